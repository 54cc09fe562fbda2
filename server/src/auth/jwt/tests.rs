use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: f64 = 1_700_000_000.0;

fn jwt(change: impl FnOnce(&mut settings::Jwt)) -> (tempfile::TempDir, Jwt) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, KEY).unwrap();
    let mut settings = settings::Jwt {
        key_file: Some(path),
        ..settings::Jwt::default()
    };
    change(&mut settings);
    let jwt = Jwt::open(&settings).unwrap();
    (dir, jwt)
}

fn code_of(jwt: &Jwt, claims: &Value) -> i32 {
    let key = EncodingKey::from_secret(KEY);
    let token = encode(&Header::default(), claims, &key).unwrap();
    match jwt.check("alice", &token, NOW) {
        Outcome::Known(Ok(_)) => code::OK,
        Outcome::Known(Err(code)) => code,
        Outcome::UnknownKey => panic!("unknown key"),
    }
}

#[test]
fn times_to_the_second() {
    let (_dir, lenient) = jwt(|_| {});
    let (_dir, strict) = jwt(|settings| settings.leeway_s = 0);
    let exp = |exp: f64| json!({"sub": "alice", "exp": exp});
    assert_eq!(code_of(&strict, &exp(NOW)), code::REFUSED_EXPIRED);
    assert_eq!(code_of(&strict, &exp(NOW + 1.0)), code::OK);
    assert_eq!(code_of(&lenient, &exp(NOW - 59.0)), code::OK);
    assert_eq!(code_of(&lenient, &exp(NOW - 60.0)), code::REFUSED_EXPIRED);
    let nbf = |nbf: f64| json!({"sub": "alice", "exp": NOW + 900.0, "nbf": nbf});
    assert_eq!(code_of(&strict, &nbf(NOW)), code::OK);
    assert_eq!(code_of(&strict, &nbf(NOW + 1.0)), code::REFUSED_EXPIRED);
    assert_eq!(code_of(&lenient, &nbf(NOW + 60.0)), code::OK);
    assert_eq!(code_of(&lenient, &nbf(NOW + 61.0)), code::REFUSED_EXPIRED);
}

#[test]
fn without_an_end_only_if_that_is_allowed() {
    let forever = json!({"sub": "alice"});
    let (_dir, strict) = jwt(|_| {});
    assert_eq!(code_of(&strict, &forever), code::REFUSED_TOKEN);
    let (_dir, lenient) = jwt(|settings| settings.require_exp = false);
    assert_eq!(code_of(&lenient, &forever), code::OK);
    let expired = json!({"sub": "alice", "exp": 1});
    assert_eq!(code_of(&lenient, &expired), code::REFUSED_EXPIRED);
}

#[test]
fn only_one_newline_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    for (after, of_key) in [
        (&b"\n"[..], &b""[..]),
        (b"\n\n", b"\n"),
        (b"", b""),
        (b" \n", b" "),
        (b"\xff\x00\n", b"\xff\x00"),
    ] {
        let (content, key) = ([KEY, after].concat(), [KEY, of_key].concat());
        std::fs::write(&path, content).unwrap();
        let settings = settings::Jwt {
            key_file: Some(path.clone()),
            ..settings::Jwt::default()
        };
        let jwt = Jwt::open(&settings).unwrap();
        let claims = json!({"sub": "alice", "exp": NOW + 10.0});
        let key = EncodingKey::from_secret(&key);
        let token = encode(&Header::default(), &claims, &key).unwrap();
        assert!(matches!(
            jwt.check("alice", &token, NOW),
            Outcome::Known(Ok(_))
        ));
    }
}

#[test]
fn s8_a_shared_key_that_can_be_guessed_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let open = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let settings = settings::Jwt {
            key_file: Some(path.clone()),
            ..settings::Jwt::default()
        };
        Jwt::open(&settings)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for short in [&b"\n"[..], b"x", &KEY[1..]] {
        let refused = open(short).unwrap_err();
        assert!(
            refused.contains("empty") || refused.contains("32"),
            "{refused}"
        );
    }
    assert_eq!(open(KEY), Ok(()));
    use base64::Engine as _;
    let b64 = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&KEY[1..]);
    let set = json!({"keys": [{"kty": "oct", "kid": "one", "k": b64}]}).to_string();
    assert!(keys::from_set(set.as_bytes(), JwtAlgorithm::Hs256).is_err());
}

#[test]
fn b23_an_end_in_milliseconds_is_no_end_in_the_year_58000() {
    let (_dir, jwt) = jwt(|_| {});
    let exp = |exp: f64| json!({"sub": "alice", "exp": exp});
    assert_eq!(
        code_of(&jwt, &exp((NOW + 60.0) * 1000.0)),
        code::REFUSED_TOKEN
    );
    let nbf = json!({"sub": "alice", "exp": NOW + 60.0, "nbf": NOW * 1000.0});
    assert_eq!(code_of(&jwt, &nbf), code::REFUSED_TOKEN);
    assert_eq!(code_of(&jwt, &exp(NOW * 2.0)), code::OK, "the year 2077");
}

#[test]
fn s4_it_is_known_until_when_a_token_is_valid() {
    let (_dir, jwt) = jwt(|settings| settings.leeway_s = 10);
    let key = EncodingKey::from_secret(KEY);
    let until = |claims: Value| {
        let token = encode(&Header::default(), &claims, &key).unwrap();
        match jwt.check("alice", &token, NOW) {
            Outcome::Known(Ok(valid)) => valid.until_s,
            other => panic!("{other:?}"),
        }
    };
    let exp = json!({"sub": "alice", "exp": NOW + 1.5});
    assert_eq!(until(exp), Some(1_700_000_012));
}

#[test]
fn a_set_gives_the_key_that_a_token_names() {
    use base64::Engine as _;
    let b64 = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let other: &[u8] = b"fedcba9876543210fedcba9876543210";
    let set = json!({"keys": [
        {"kty": "oct", "kid": "one", "k": b64(KEY), "alg": "HS256"},
        {"kty": "oct", "kid": "two", "k": b64(other)},
        {"kty": "OKP", "crv": "Ed448", "x": "AAAA", "kid": "odd"},
        {"kty": "new", "kid": "odder"},
    ]});
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.json");
    std::fs::write(&path, set.to_string()).unwrap();
    let settings = settings::Jwt {
        jwks: Some(path.to_str().unwrap().to_owned()),
        ..settings::Jwt::default()
    };
    let jwt = Jwt::open(&settings).unwrap();
    let check = |kid: Option<&str>, key: &[u8]| {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::default()
        };
        let claims = json!({"sub": "alice", "exp": NOW + 10.0});
        let token = encode(&header, &claims, &EncodingKey::from_secret(key)).unwrap();
        jwt.check("alice", &token, NOW)
    };
    let refused = Outcome::Known(Err(code::REFUSED_TOKEN));
    for (kid, key) in [(Some("one"), KEY), (Some("two"), other), (None, other)] {
        assert!(matches!(check(kid, key), Outcome::Known(Ok(_))), "{kid:?}");
    }
    assert_eq!(check(Some("one"), other), refused);
    assert_eq!(check(Some("three"), KEY), Outcome::UnknownKey);
}

/// A set of shared keys named `0`, `1`, … as JSON.
fn set_of(count: usize) -> String {
    use base64::Engine as _;
    let b64 = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(KEY);
    let key = |kid: usize| json!({"kty": "oct", "kid": kid.to_string(), "k": b64});
    json!({"keys": (0..count).map(key).collect::<Vec<_>>()}).to_string()
}

fn token_of(kid: usize) -> String {
    let header = Header {
        kid: Some(kid.to_string()),
        ..Header::default()
    };
    let claims = json!({"sub": "alice", "exp": NOW + 10.0});
    encode(&header, &claims, &EncodingKey::from_secret(KEY)).unwrap()
}

#[test]
fn so_many_keys_and_none_beyond() {
    let max = limits::TOKEN_KEYS_MAX;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.json");
    std::fs::write(&path, set_of(max + 1)).unwrap();
    let settings = settings::Jwt {
        jwks: Some(path.to_str().unwrap().to_owned()),
        ..settings::Jwt::default()
    };
    let jwt = Jwt::open(&settings).unwrap();
    let known = jwt.check("alice", &token_of(max - 1), NOW);
    assert!(matches!(known, Outcome::Known(Ok(_))));
    let beyond = jwt.check("alice", &token_of(max), NOW);
    assert_eq!(beyond, Outcome::UnknownKey);
}

/// A key may come into use right after we asked for the set: that is no wrong token.
#[tokio::test]
async fn a_key_that_is_new_since_we_asked_is_to_be_tried_again() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/set.json", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let count = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let set = set_of(count + 1);
            let length = set.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{set}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let settings = settings::Jwt {
        jwks: Some(url),
        ..settings::Jwt::default()
    };
    let opened = tokio::task::spawn_blocking(move || Jwt::open(&settings));
    let jwt = Arc::new(opened.await.unwrap().unwrap());
    let verify = async |kid: usize| {
        let verdict = jwt.verify("alice", &token_of(kid), || NOW).await;
        verdict.map_or_else(|code| code, |_| code::OK)
    };
    assert_eq!(verify(0).await, code::OK);
    assert_eq!(
        verify(1).await,
        code::OK,
        "asked again for a key that was missed"
    );
    assert_eq!(
        verify(2).await,
        code::REFUSED_BUSY,
        "it was only just asked"
    );
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
}
