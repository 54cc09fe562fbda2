//! Logins by JSON Web Token over real sockets.

use std::path::Path;

use crate::support::{TestServer, login_tcp, login_udp, login_ws, now_s, until};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tidings_core::wire::code::{REFUSED_EXPIRED, REFUSED_TOKEN};
use tidings_server::config::{AuthMode, JwtAlgorithm};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn sign(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, claims, key).unwrap()
}

fn hs256(key: &[u8], claims: &Value) -> String {
    sign(
        Algorithm::HS256,
        None,
        &EncodingKey::from_secret(key),
        claims,
    )
}

fn good(user: &str) -> Value {
    json!({"sub": user, "exp": now_s() + 600})
}

fn server(algorithm: JwtAlgorithm, key: &[u8]) -> TestServer {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("jwt.key");
    std::fs::write(&path, key).unwrap();
    TestServer::try_start(data, |settings| {
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.algorithm = algorithm;
        settings.auth.jwt.key_file = Some(path);
    })
    .unwrap()
}

#[test]
fn on_every_transport_the_right_token_and_no_other() {
    let server = server(JwtAlgorithm::Hs256, &[KEY, b"\n"].concat());
    let right = hs256(KEY, &good("alice"));
    let wrong = hs256(b"another key of about that length", &good("alice"));
    assert_eq!(login_tcp(server.tcp(), "alice", &right), 0);
    assert_eq!(login_ws(server.ws(), "alice", &right), 0);
    assert_eq!(login_udp(server.udp(), "alice", &right), 0);
    assert_eq!(login_tcp(server.tcp(), "alice", &wrong), REFUSED_TOKEN);
    assert_eq!(login_ws(server.ws(), "alice", &wrong), REFUSED_TOKEN);
    assert_eq!(login_udp(server.udp(), "alice", &wrong), REFUSED_TOKEN);
}

#[test]
fn what_a_token_must_say() {
    let server = server(JwtAlgorithm::Hs256, KEY);
    let now = now_s();
    let cases = [
        (good("alice"), 0),
        (
            json!({"sub": "alice", "exp": now + 600, "nbf": now - 5, "iss": "x"}),
            0,
        ),
        (json!({"sub": "alice", "exp": now - 20}), 0), // within the leeway
        (json!({"sub": "alice", "exp": now - 120}), REFUSED_EXPIRED),
        (
            json!({"sub": "alice", "exp": now + 600, "nbf": now + 20}),
            0,
        ),
        (
            json!({"sub": "alice", "exp": now + 900, "nbf": now + 300}),
            REFUSED_EXPIRED,
        ),
        (good("bob"), REFUSED_TOKEN),
        (json!({"exp": now + 600}), REFUSED_TOKEN),
        (json!({"sub": "alice"}), REFUSED_TOKEN),
        (json!({"sub": "alice", "exp": "tomorrow"}), REFUSED_TOKEN),
        (
            json!({"sub": "alice", "exp": now + 600, "aud": "another service"}),
            REFUSED_TOKEN,
        ),
        (json!({"sub": ["alice"], "exp": now + 600}), REFUSED_TOKEN),
    ];
    for (claims, expected) in cases {
        assert_eq!(
            server.login("alice", &hs256(KEY, &claims)),
            expected,
            "{claims}"
        );
    }
    for nonsense in ["", "x", "a.b.c", "..", &"a".repeat(9000)[..4000]] {
        assert_eq!(server.login("alice", nonsense), REFUSED_TOKEN);
    }
}

#[test]
fn audience_and_issuer_if_they_are_set() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("jwt.key");
    std::fs::write(&path, KEY).unwrap();
    let server = TestServer::try_start(data, |settings| {
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(path);
        settings.auth.jwt.audience = Some("chat".to_owned());
        settings.auth.jwt.issuer = Some("https://id.example".to_owned());
        settings.auth.jwt.leeway_s = 0;
    })
    .unwrap();
    let with = |aud: Value, iss: Value| {
        let claims = json!({"sub": "alice", "exp": now_s() + 600, "aud": aud, "iss": iss});
        server.login("alice", &hs256(KEY, &claims))
    };
    let iss = json!("https://id.example");
    assert_eq!(with(json!("chat"), iss.clone()), 0);
    assert_eq!(with(json!(["shop", "chat"]), iss.clone()), 0);
    assert_eq!(with(json!(["shop"]), iss.clone()), REFUSED_TOKEN);
    assert_eq!(with(Value::Null, iss), REFUSED_TOKEN);
    assert_eq!(
        with(json!("chat"), json!("https://other.example")),
        REFUSED_TOKEN
    );
    assert_eq!(with(json!("chat"), Value::Null), REFUSED_TOKEN);
}

/// A token without a signature, and one that takes a public key for a shared one.
#[test]
fn the_token_does_not_choose_its_algorithm() {
    use base64::Engine as _;
    let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let public = pair.public_key_pem();
    let server = server(JwtAlgorithm::Rs256, public.as_bytes());
    let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
    let right = sign(Algorithm::RS256, None, &key, &good("alice"));
    assert_eq!(server.login("alice", &right), 0);
    for public in [public.as_bytes(), public.trim_end().as_bytes()] {
        let confused = hs256(public, &good("alice"));
        assert_eq!(server.login("alice", &confused), REFUSED_TOKEN);
    }
    for name in ["none", "None", "NONE", ""] {
        let head = b64(&json!({"alg": name, "typ": "JWT"}).to_string());
        let body = b64(&good("alice").to_string());
        for signature in ["", "AAAA"] {
            let unsigned = format!("{head}.{body}.{signature}");
            assert_eq!(server.login("alice", &unsigned), REFUSED_TOKEN);
        }
    }
    // The other key of the same family, and the right signature over another body.
    let body = b64(&good("bob").to_string());
    let mut parts = right.split('.');
    let (head, _, signature) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
    let swapped = format!("{head}.{body}.{signature}");
    assert_eq!(server.login("bob", &swapped), REFUSED_TOKEN);
}

#[test]
fn a_public_key_is_no_shared_key() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("jwt.key");
    std::fs::write(&path, pair.public_key_pem()).unwrap();
    let outcome = TestServer::try_start(data, |settings| {
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(path);
    });
    assert!(outcome.is_err_and(|error| error.contains("is a public key")));
}

#[test]
fn elliptic_curves_and_several_keys_in_a_file() {
    for (algorithm, ours, curve) in [
        (
            Algorithm::ES256,
            JwtAlgorithm::Es256,
            &rcgen::PKCS_ECDSA_P256_SHA256,
        ),
        (Algorithm::EdDSA, JwtAlgorithm::EdDsa, &rcgen::PKCS_ED25519),
    ] {
        let pairs = [(); 2].map(|()| rcgen::KeyPair::generate_for(curve).unwrap());
        let stranger = rcgen::KeyPair::generate_for(curve).unwrap();
        let both = pairs[0].public_key_pem() + "\n" + &pairs[1].public_key_pem();
        let server = server(ours, both.as_bytes());
        let token = |pair: &rcgen::KeyPair| {
            let pem = pair.serialize_pem();
            let key = match algorithm {
                Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
                _ => EncodingKey::from_ed_pem(pem.as_bytes()),
            };
            sign(algorithm, Some("any"), &key.unwrap(), &good("alice"))
        };
        assert_eq!(server.login("alice", &token(&pairs[0])), 0);
        assert_eq!(server.login("alice", &token(&pairs[1])), 0);
        assert_eq!(server.login("alice", &token(&stranger)), REFUSED_TOKEN);
    }
}

#[test]
fn keys_are_changed_while_it_runs() {
    let data = tempfile::tempdir().unwrap();
    let (path, old) = (data.path().join("jwt.key"), data.path().join("old.key"));
    let second: &[u8] = b"the second key has 32 bytes, too";
    std::fs::write(&path, KEY).unwrap();
    std::fs::write(&old, KEY).unwrap();
    let server = TestServer::try_start(data, |settings| {
        settings.auth.mode = AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(path.clone());
        settings.auth.jwt.old_key_file = Some(old.clone());
    })
    .unwrap();
    let (before, after) = (hs256(KEY, &good("alice")), hs256(second, &good("alice")));
    assert_eq!(server.login("alice", &before), 0);
    assert_eq!(server.login("alice", &after), REFUSED_TOKEN);
    replace(&path, second);
    until("the new key", || server.login("alice", &after) == 0);
    assert_eq!(server.login("alice", &before), 0);
    replace(&old, second);
    until("the old key gone", || {
        server.login("alice", &before) == REFUSED_TOKEN
    });
    // A file that cannot be used changes nothing.
    replace(&path, b"");
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(server.login("alice", &after), 0);
}

fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}
