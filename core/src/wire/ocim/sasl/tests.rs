use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::scram::hmac;
use super::{Mechanism, SaslError, ScramError, ScramKeys, Start, decode, parse_first, parse_plain};

/// PBKDF2 as SCRAM uses it: one block of HMAC-SHA-256.
fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut round = hmac(password.as_bytes(), &[salt, &1u32.to_be_bytes()].concat());
    let mut sum = round;
    for _ in 1..iterations {
        round = hmac(password.as_bytes(), &round);
        for (byte, more) in sum.iter_mut().zip(round) {
            *byte ^= more;
        }
    }
    sum
}

/// RFC 7677 §3.
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const VERIFIER: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn keys() -> ScramKeys {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    ScramKeys::derive(&salted("pencil", &salt, 4096), salt, 4096)
}

#[test]
fn scram_as_in_rfc_7677() {
    let first = parse_first(FIRST.as_bytes()).unwrap();
    assert_eq!(first.user, "user");
    let waiting = first.challenge(keys(), NONCE);
    assert_eq!(waiting.challenge(), CHALLENGE);
    assert_eq!(waiting.finish(FINAL.as_bytes()), Ok(VERIFIER.to_owned()));
}

#[test]
fn scram_refuses_in_the_words_of_rfc_5802() {
    let finish = |message: &str| {
        let first = parse_first(FIRST.as_bytes()).unwrap();
        first.challenge(keys(), NONCE).finish(message.as_bytes())
    };
    let proof = FINAL.replace("p=dHzb", "p=dHzc");
    assert_eq!(finish(&proof), Err(ScramError::Proof));
    assert_eq!(
        finish(&FINAL.replace("c=biws", "c=eSws")),
        Err(ScramError::ChannelBindings)
    );
    assert_eq!(
        finish(&FINAL.replace("fuxFI", "fuxFJ")),
        Err(ScramError::Nonce)
    );
    let no_proof = FINAL.replace("p=dHzb", "p=***b");
    assert_eq!(finish(&no_proof), Err(ScramError::Encoding));
    for broken in ["", "c=biws", "p=AA==", "x,p=AA=="] {
        assert_eq!(finish(broken), Err(ScramError::Encoding), "{broken}");
    }
    let other = |keys: ScramKeys| {
        let first = parse_first(FIRST.as_bytes()).unwrap();
        first.challenge(keys, NONCE).finish(FINAL.as_bytes())
    };
    let salt = keys().salt;
    let wrong = ScramKeys::derive(&salted("pencils", &salt, 4096), salt, 4096);
    assert_eq!(other(wrong), Err(ScramError::Proof));
    assert_eq!(ScramError::Proof.message(), "e=invalid-proof");
}

#[test]
fn the_first_message_of_scram() {
    let first = |text: &str| parse_first(text.as_bytes());
    assert_eq!(first("n,,n=a=2Cb=3Dc,r=x").unwrap().user, "a,b=c");
    assert_eq!(first("y,a=me,n=me,r=x,future=1").unwrap().user, "me");
    for (text, error) in [
        (
            "p=tls-unique,,n=a,r=x",
            ScramError::ChannelBindingNotSupported,
        ),
        ("n,,m=1,n=a,r=x", ScramError::Extensions),
        ("n,,n=a=b,r=x", ScramError::UsernameEncoding),
        ("n,,n=,r=x", ScramError::UsernameEncoding),
        ("n,a=other,n=me,r=x", ScramError::Encoding),
        ("n,,n=a,r=", ScramError::Encoding),
        ("n,,n=a", ScramError::Encoding),
        ("q,,n=a,r=x", ScramError::Encoding),
        ("", ScramError::Encoding),
    ] {
        assert_eq!(first(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn plain_is_separated_by_nul() {
    let plain = parse_plain(b"\0tim\0tanstaaf tanstaaf").unwrap();
    assert_eq!(plain.user, "tim");
    assert_eq!(plain.password.expose(), "tanstaaf tanstaaf");
    assert_eq!(parse_plain(b"tim\0tim\0x").unwrap().user, "tim");
    for wrong in [
        &b"tim tanstaaf 1"[..],
        b"\0tim",
        b"\0\0x",
        b"\0tim\0",
        b"\0tim\0x\0y",
        b"Ursel\0Kurt\0xipj3plmq",
        b"\0\xff\0x",
    ] {
        assert!(parse_plain(wrong).is_err());
    }
    let long = format!("\0{}\0x", "u".repeat(65));
    assert!(parse_plain(long.as_bytes()).is_err());
}

#[test]
fn what_a_login_asks_for() {
    let start = Start::parse(r#"{"mechanism":"PLAIN","data":"AHRpbQB4"}"#).unwrap();
    assert_eq!(start.mechanism, Mechanism::Plain);
    assert_eq!(start.data, b"\0tim\0x");
    let start = Start::parse(r#"{"mechanism":"SCRAM-SHA-256"}"#).unwrap();
    assert_eq!(
        (start.mechanism, start.data.len()),
        (Mechanism::ScramSha256, 0)
    );
    let wrong = Start::parse(r#"{"mechanism":"ANONYMOUS","data":""}"#);
    assert!(matches!(wrong, Err(SaslError::Mechanism)));
    assert!(matches!(Start::parse("AHRpbQB4"), Err(SaslError::Form(_))));
    assert_eq!(decode("*"), Err(SaslError::Base64));
    let long = STANDARD.encode(vec![0; 4097]);
    assert_eq!(decode(&long), Err(SaslError::TooLong { bytes: 4097 }));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_plain(&bytes);
        if let Ok(first) = parse_first(&bytes) {
            let _ = first.challenge(keys_for_any(), "n").finish(&bytes);
        }
        let waiting = parse_first(FIRST.as_bytes()).unwrap().challenge(keys_for_any(), NONCE);
        let _ = waiting.finish(&bytes);
        let _ = Start::parse(&String::from_utf8_lossy(&bytes));
    }
}

fn keys_for_any() -> ScramKeys {
    ScramKeys::derive(&[7; 32], vec![1; 16], 4096)
}
