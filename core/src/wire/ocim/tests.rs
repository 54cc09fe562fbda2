use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits;

fn read(text: &str) -> Result<Packet, PacketError> {
    decode(text.as_bytes())
}

fn written(packet: &Packet) -> String {
    let mut out = Vec::new();
    encode(packet, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_message_of_the_demo_page() {
    let text = r#"{"pid":"p1","cid":"7","type":"MESSAGE","from":{"uid":"u","name":"n","idy":"CUSTOMER"},
        "to":{"uid":"w","idy":"WAITER"},"body":{"type":"TEXT","content":"你好 <b>"},"ts":"POLLING",
        "timestamp":1700000000000,"datetime":"2023-11-14 22:13:20","ver":"1.0",
        "ttc":"evil","tmc":"evil","unknown":{"a":[1]}}"#;
    let packet = read(text).unwrap();
    assert_eq!(packet.kind, PacketType::Message);
    assert_eq!(packet.from_uid(), Some("u"));
    assert_eq!(packet.from_idy(), Some(Identity::Customer));
    assert_eq!(packet.body_kind(), Some(BodyType::Text));
    assert_eq!(packet.content(), "你好 <b>");
    assert_eq!(packet.ts, Some(Transport::Polling));
    let back: Value = serde_json::from_str(&written(&packet)).unwrap();
    let mut expected: Value = serde_json::from_str(text).unwrap();
    for dropped in ["ttc", "tmc", "unknown"] {
        expected.as_object_mut().unwrap().remove(dropped);
    }
    assert_eq!(back, expected);
}

#[test]
fn null_members_are_omitted_and_ignored() {
    let packet = read(r#"{"type":"PING","from":null,"body":null,"pid":null,"ts":null}"#).unwrap();
    assert_eq!(packet, Packet::new(PacketType::Ping));
    assert_eq!(written(&packet), r#"{"type":"PING"}"#);
    // The original's bind has a body without anything in it.
    assert_eq!(read(r#"{"type":"BIND","body":{}}"#).unwrap().body, None);
}

#[test]
fn words_are_exact_names_or_ordinals() {
    for (at, kind) in PacketType::ALL.iter().enumerate() {
        let by_name = read(&format!(r#"{{"type":"{}"}}"#, kind.name())).unwrap();
        let by_number = read(&format!(r#"{{"type":{at}}}"#)).unwrap();
        assert_eq!((by_name.kind, by_number.kind), (*kind, *kind));
    }
    assert_eq!(PacketType::ALL.len(), 19);
    assert_eq!(PacketType::ALL[18].name(), "NON_WORKING_TIME");
    for wrong in [
        "\"ping\"",
        "\"PONGS\"",
        "19",
        "-1",
        "1.5",
        "true",
        "{}",
        "\"\"",
    ] {
        let refused = read(&format!(r#"{{"type":{wrong}}}"#));
        assert_eq!(
            refused,
            Err(PacketError::Unknown { what: "type" }),
            "{wrong}"
        );
    }
    let body = read(r#"{"type":"MESSAGE","body":{"type":"WAIITING","content":"1"}}"#);
    assert_eq!(body, Err(PacketError::Unknown { what: "body.type" }));
    assert_eq!(read("{}"), Err(PacketError::Missing("type")));
    let untyped = read(r#"{"type":"MESSAGE","body":{"content":"x"}}"#);
    assert_eq!(untyped, Err(PacketError::Missing("body.type")));
}

#[test]
fn limits_at_and_one_past() {
    let with = |name: &str, length: usize| {
        read(&format!(
            r#"{{"type":"PING","{name}":"{}"}}"#,
            "x".repeat(length)
        ))
    };
    for (name, max) in [
        ("pid", limits::MESSAGE_ID_BYTES_MAX),
        ("cid", limits::OCIM_NAME_BYTES_MAX),
        ("ver", limits::OCIM_NAME_BYTES_MAX),
    ] {
        assert!(with(name, max).is_ok());
        let refused = with(name, max + 1).unwrap_err();
        let words = format!("`{name}` has {} bytes; at most {max}", max + 1);
        assert!(refused.to_string().starts_with(&words), "{refused}");
    }
    let whole = |length: usize| {
        let rest = r#"{"type":"PING","body":{"type":"TEXT","content":""}}"#;
        let content = "x".repeat(length - rest.len());
        read(&rest.replace("\"\"", &format!("\"{content}\"")))
    };
    assert!(whole(limits::OCIM_PACKET_BYTES_MAX).is_ok());
    assert!(whole(limits::OCIM_PACKET_BYTES_MAX + 1).is_err());
}

#[test]
fn a_poll_is_answered_with_numbered_packets() {
    let one = Packet::new(PacketType::Message)
        .body(BodyType::Text, "a\"b")
        .pid("p");
    let two = Packet::new(PacketType::BuildChat)
        .body(BodyType::Waiting, "3")
        .cid(9);
    let mut out = Vec::new();
    encode_poll([(4, &one), (5, &two)], &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!([
            {"type": "MESSAGE", "pid": "p", "body": {"type": "TEXT", "content": "a\"b"}, "seq": 4},
            {"type": "BUILD_CHAT", "cid": "9", "body": {"type": "WAITING", "content": "3"}, "seq": 5},
        ])
    );
}

#[test]
fn times_as_the_original_writes_them() {
    assert_eq!(datetime(0), "1970-01-01 00:00:00");
    assert_eq!(datetime(951_827_696_789), "2000-02-29 12:34:56");
    assert_eq!(datetime(1_700_000_000_000), "2023-11-14 22:13:20");
    assert_eq!(datetime(-1), "1969-12-31 23:59:59");
}

#[test]
fn queries() {
    let query = parse_query("packet=%7B%22a%22:+%E4%BD%A0%7D&t=1&token=a%2Bb&ack=12&x").unwrap();
    assert_eq!(query.packet.as_deref(), Some("{\"a\": 你}"));
    assert_eq!(query.token.unwrap().expose(), "a+b");
    assert_eq!(query.ack, Some(12));
    assert_eq!(parse_query("").unwrap(), Query::default());
    assert_eq!(
        parse_query("packet=%7"),
        Err(QueryError::Encoding("packet"))
    );
    assert_eq!(
        parse_query("packet=%ff"),
        Err(QueryError::Encoding("packet"))
    );
    assert_eq!(parse_query("ack=x"), Err(QueryError::Ack));
    assert_eq!(parse_query("ack=1&ack=2"), Err(QueryError::Twice("ack")));
    let max = limits::OCIM_QUERY_PARAMETERS_MAX;
    assert!(parse_query(&vec!["a"; max].join("&")).is_ok());
    assert_eq!(
        parse_query(&vec!["a"; max + 1].join("&")),
        Err(QueryError::TooMany)
    );
    let max = limits::OCIM_QUERY_BYTES_MAX;
    assert!(parse_query(&"a".repeat(max)).is_ok());
    let bytes = max + 1;
    assert_eq!(
        parse_query(&"a".repeat(bytes)),
        Err(QueryError::TooLong { bytes })
    );
}

#[test]
fn contents() {
    let chat = BuildChat {
        team: "support".to_owned(),
        login: true,
        ..BuildChat::default()
    };
    assert_eq!(chat.to_json(), r#"{"tmc":"support","login":true}"#);
    let waiter = Waiter {
        id: 3,
        code: "wang".to_owned(),
        status: "1".to_owned(),
        automatic: true,
        capacity: 2,
        ..Waiter::default()
    };
    let value: Value = serde_json::from_str(&waiter.to_json()).unwrap();
    assert_eq!(value["waiterCode"], "wang");
    assert_eq!(
        (&value["shunt"], &value["autoReply"]),
        (&json!("1"), &json!("0"))
    );
    let transfer = Transfer::parse(
        r#"{"ttc":"t","tmc":"sales","uid":"c","toWc":"li","fromWc":"evil","reason":"she asks","n":null}"#,
    )
    .unwrap();
    assert_eq!(transfer.team.as_deref(), Some("sales"));
    assert_eq!(transfer.to_waiter.as_deref(), Some("li"));
    assert_eq!(transfer.reason.as_deref(), Some("she asks"));
    assert!(Transfer::parse("nonsense").is_err());
    let long = "x".repeat(limits::DESK_NOTE_BYTES_MAX + 1);
    assert!(Transfer::parse(&format!("{{\"reason\":\"{long}\"}}")).is_err());
}

#[test]
fn an_agents_login_is_three_words() {
    let parse = |text: &str| WaiterLogin::parse(&STANDARD.encode(text));
    let login = parse("wang secret 1").unwrap();
    assert_eq!((&*login.user, &*login.status), ("wang", "1"));
    assert_eq!(login.password.expose(), "secret");
    for wrong in ["wang secret", "wang  1", "wang a b 1", " a 1", ""] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert!(WaiterLogin::parse("not base64").is_err());
}

#[test]
fn a_body_does_not_reach_a_log() {
    let packet = Packet::new(PacketType::Auth).body(BodyType::Login, "hunter2");
    assert!(!format!("{packet:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse_query(&text);
        let _ = Transfer::parse(&text);
        let _ = WaiterLogin::parse(&text);
    }

    #[test]
    fn no_mutation_panics(at in 0usize..140, byte in any::<u8>()) {
        let mut bytes = br#"{"pid":"p","type":"MESSAGE","from":{"uid":"u","idy":"CUSTOMER"},"body":{"type":"TEXT","content":"x\u4f60"},"timestamp":17,"k":[{}]}"#.to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        kind in 0..PacketType::ALL.len(),
        body in proptest::option::of((0..BodyType::ALL.len(), proptest::option::of(any::<String>()))),
        pid in proptest::option::of("[a-z]{0,40}"),
        timestamp in proptest::option::of(any::<i64>()),
        ts in proptest::option::of(0..3usize),
    ) {
        let packet = Packet {
            pid,
            from: Some(Party::of("u", "", Identity::Sys)),
            body: body.map(|(kind, content)| Body { kind: BodyType::ALL[kind], content }),
            ts: ts.map(|ts| Transport::ALL[ts]),
            timestamp,
            ..Packet::new(PacketType::ALL[kind])
        };
        prop_assert_eq!(read(&written(&packet)).unwrap(), packet);
    }
}
