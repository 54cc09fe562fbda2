use proptest::prelude::*;

use super::*;
use crate::wire::code;

#[test]
fn login_as_java_writes_it() {
    let login = Login {
        user: Some("aliceT".into()),
        token: Some("tok".into()),
        ..Login::default()
    };
    let json = r#"{"loginUserId":"aliceT","loginToken":"tok","firstLoginTime":0}"#;
    assert_eq!(decode_login(json).as_ref(), Ok(&login));
    assert_eq!(encode_login(&login), json);
    // As lenient inside as outside; {} is answered by closing, which is the session's business.
    assert_eq!(decode_login("{}"), Ok(Login::default()));
    let lenient = "{loginUserId:5,loginToken:null,firstLoginTime:'3.0',other:[{}]}";
    let login = decode_login(lenient).unwrap();
    assert_eq!(
        (login.user.as_deref(), login.token, login.first_login_time),
        (Some("5"), None, 3)
    );
    for bad in [
        "",
        "null",
        "[]",
        "{\"loginUserId\":{}}",
        "{}x",
        "{\"firstLoginTime\":\"x\"}",
    ] {
        assert!(decode_login(bad).is_err(), "{bad}");
    }
}

#[test]
fn declaration_is_read_strictly() {
    let login = decode_login(
        r#"{"loginUserId":"a","tidings":{"device":"pixel","class":"phone","caps":["own","seq"],"more":[{}]},"extra":"e"}"#,
    )
    .unwrap();
    assert_eq!(login.extra.as_deref(), Some("e"));
    let declared = login.tidings.unwrap();
    assert_eq!((&*declared.device, &*declared.class), ("pixel", "phone"));
    assert_eq!(declared.caps, ["own", "seq"]);

    let tidings = |value: &str| decode_login(&format!("{{\"tidings\":{value}}}"));
    assert_eq!(tidings("{}").unwrap().tidings, Some(Declared::default()));
    assert_eq!(tidings("null").unwrap().tidings, None);
    let long = format!("{{\"device\":\"{}\"}}", "x".repeat(65));
    let many = format!("{{\"caps\":[{}\"x\"]}}", "\"x\",".repeat(16));
    for (value, named) in [
        ("1", "tidings"),
        ("[]", "tidings"),
        ("\"x\"", "tidings"),
        ("{\"device\":5}", "tidings.device"),
        ("{\"device\":null}", "tidings.device"),
        ("{\"device\":\"\"}", "tidings.device"),
        ("{\"device\":\"a\\nb\"}", "tidings.device"),
        (&long, "tidings.device"),
        ("{\"class\":[]}", "tidings.class"),
        ("{\"caps\":\"x\"}", "tidings.caps"),
        ("{\"caps\":null}", "tidings.caps"),
        ("{\"caps\":[1]}", "tidings.caps"),
        ("{\"caps\":[[]]}", "tidings.caps"),
        (&many, "tidings.caps"),
    ] {
        let error = tidings(value).unwrap_err();
        assert!(
            matches!(error, DecodeError::BadField { name, .. } if name == named),
            "{value}: {error}"
        );
    }
    let most = format!("{{\"caps\":[{}]}}", vec!["\"x\""; 16].join(","));
    assert_eq!(tidings(&most).unwrap().tidings.unwrap().caps.len(), 16);
}

#[test]
fn answers() {
    let json = r#"{"code":0,"firstLoginTime":1795289264146}"#;
    assert_eq!(
        encode_login_answer(code::OK, 1_795_289_264_146, false),
        json
    );
    let json = encode_login_answer(1025, -1, true);
    assert_eq!(json, r#"{"code":1025,"firstLoginTime":-1,"tidings":{}}"#);
    let answer = LoginAnswer {
        code: 1025,
        first_login_time: -1,
        tidings: true,
    };
    assert_eq!(decode_login_answer(&json), Ok(answer));
    // Servers before 6.0 answer with the code alone.
    assert_eq!(
        decode_login_answer("{\"code\":0}"),
        Ok(LoginAnswer::default())
    );
    assert!(decode_login_answer("{\"code\":3000000000}").is_err());
}

#[test]
fn errors_and_kicks() {
    let json = encode_error(code::NOT_LOGGED_IN, "log \"in\"");
    assert_eq!(json, r#"{"errorCode":301,"errorMsg":"log \"in\""}"#);
    let notice = ErrorNotice {
        code: 301,
        message: "log \"in\"".into(),
    };
    assert_eq!(decode_error(&json), Ok(notice));

    // c6: Flutter's client throws if `reason` is absent.
    assert_eq!(
        encode_kickout(code::KICK_DUPLICATE_LOGIN, None),
        r#"{"code":1,"reason":""}"#
    );
    let json = encode_kickout(code::KICK_BY_ADMIN, Some("spam"));
    assert_eq!(json, r#"{"code":2,"reason":"spam"}"#);
    let kickout = Kickout {
        code: 2,
        reason: Some("spam".into()),
    };
    assert_eq!(decode_kickout(&json), Ok(kickout));
}

proptest! {
    #[test]
    fn logins_go_there_and_back(
        user: Option<String>, token: Option<String>, extra: Option<String>, first_login_time: i64,
        tidings in prop::option::of(
            ("[a-z]{1,64}", "[a-zé]{1,32}", prop::collection::vec("[a-z]{1,9}", 0..=16))
        ),
    ) {
        let tidings = tidings.map(|(device, class, caps)| Declared { device, class, caps });
        let login = Login { user, token, extra, first_login_time, tidings };
        prop_assert_eq!(decode_login(&encode_login(&login)), Ok(login));
    }

    #[test]
    fn notices_go_there_and_back(code: i32, message: String, reason: Option<String>) {
        let read = decode_error(&encode_error(code, &message)).unwrap();
        prop_assert_eq!((read.code, read.message), (code, message));
        let read = decode_kickout(&encode_kickout(code, reason.as_deref())).unwrap();
        let reason = reason.filter(|reason| !reason.is_empty());
        prop_assert_eq!((read.code, read.reason), (code, reason));
    }

    #[test]
    fn any_text_is_a_payload_or_an_error(text in prop_oneof![
        any::<String>(),
        "[{}\\[\\]\",: ]{0,9}(\"(tidings|caps|code|device)\":)?[{}\\[\\]\",:a0 ]{0,20}",
    ]) {
        let _ = decode_login(&text);
        let _ = decode_login_answer(&text);
        let _ = decode_error(&text);
        let _ = decode_kickout(&text);
    }
}
