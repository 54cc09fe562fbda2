//! Lines as `listen` writes them.

use super::*;

fn message(text: &str) -> Incoming {
    Incoming {
        from: "bob".into(),
        to: "alice".into(),
        id: "m1".into(),
        seq: Some(7),
        time_ms: Some(951_827_696_789),
        typeu: 3,
        text: text.to_owned(),
    }
}

#[test]
fn a_line_has_time_sender_text_id_and_number() {
    let line = render(&message("hello"), Form::Plain);
    assert_eq!(line, "2000-02-29T12:34:56.789Z  bob  hello  (m1 7)");
    let bare = Incoming {
        seq: None,
        time_ms: None,
        ..message("hello")
    };
    assert_eq!(render(&bare, Form::Plain), "-  bob  hello  (m1)");
}

#[test]
fn a_message_stays_one_line_and_cannot_play_with_the_terminal() {
    let nasty = message("a\nb\u{1b}[2J\u{202e}");
    assert!(render(&nasty, Form::Plain).contains("a\\nb\u{1b}"));
    let line = render(&nasty, Form::Terminal);
    assert!(line.contains("a\\nb\\u{1b}[2J\\u{202e}"), "{line}");
}

#[test]
fn json_is_one_object() {
    let line = render(&message("a\n\"b\""), Form::Json);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["text"], "a\n\"b\"");
    assert_eq!(value["seq"], 7);
    assert_eq!(value["time"], 951_827_696_789_i64);
    assert!(!line.contains('\n'));
}

#[test]
fn any_time_has_a_text() {
    assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(utc(1_709_164_800_000), "2024-02-29T00:00:00.000Z");
    assert_eq!(utc(i64::MAX), i64::MAX.to_string());
}
