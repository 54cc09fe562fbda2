use proptest::prelude::*;

use super::{DecodeError, Reader, Token, put_int, put_string, put_uint, scan};
use crate::limits;

/// Reads one member's value out of `{"a":…}` and demands the end.
fn value(json: &str) -> Result<Token<'_>, DecodeError> {
    let mut reader = Reader::new(json);
    reader.open_object()?;
    assert_eq!(reader.next_name(true)?.as_deref(), Some("a"));
    let value = reader.value()?;
    reader.skip_open(&value)?;
    assert_eq!(reader.next_name(false)?, None);
    reader.end()?;
    Ok(value)
}

#[test]
fn tells_words_from_numbers() {
    for number in [
        "0",
        "-0",
        "1",
        "-17",
        "1.50",
        "2e0",
        "2E+7",
        "1.0e-3",
        "123456789012345678901",
    ] {
        let json = format!("{{\"a\":{number}}}");
        assert_eq!(value(&json), Ok(Token::Number(number)));
    }
    for bare in [
        "01", "-", "1.", ".5", "+1", "1e", "1e+", "0x10", "NaN", "abc", "nullx", "a\"b'c",
    ] {
        let json = format!("{{\"a\":{bare}}}");
        assert_eq!(value(&json), Ok(Token::Bare(bare)));
    }
    assert_eq!(value("{a:NULL}"), Ok(Token::Null));
    assert_eq!(value("{a:True}"), Ok(Token::Bool(true)));
    assert_eq!(value("{a:false}"), Ok(Token::Bool(false)));
}

#[test]
fn reads_names_and_separators_leniently() {
    for json in [
        "{\"a\":1}",
        "{'a':1}",
        "{a:1}",
        "{a=1}",
        "{a=>1}",
        "{ a => 1 }",
        "\u{feff}{a:1}",
        "/* c */{// c\na#c\r:1/**/}// end",
        " \t\r\n{a\n:\r1}\n",
        "{\"\\u0061\":1}",
    ] {
        assert_eq!(value(json), Ok(Token::Number("1")), "{json}");
    }
    for nested in [
        "[]",
        "[1,2]",
        "[1;2]",
        "[,]",
        "[1,]",
        "[[],{}]",
        "[a,'b',\"c\"]",
    ] {
        assert_eq!(
            value(&format!("{{a:{nested}}}")),
            Ok(Token::Array),
            "{nested}"
        );
    }
    for nested in ["{}", "{b:1;c:2}", "{b:{c:[{}]}}", "{'b':null}"] {
        assert_eq!(
            value(&format!("{{a:{nested}}}")),
            Ok(Token::Object),
            "{nested}"
        );
    }
}

#[test]
fn refuses_what_is_not_even_lenient_json() {
    for json in [
        "{",
        "{a",
        "{a:",
        "{a:1",
        "{a:1,",
        "{a:1,}",
        "{a:1;}",
        "{,}",
        "{a:1,,b:2}",
        "{a 1}",
        "{a:}",
        "{a:1 2}",
        "{a:\"x}",
        "{a:'x\"}",
        "{a:\"\\x\"}",
        "{a:\"\\u12\"}",
        "{a:\"\\u12g4\"}",
        "{a:\"\\",
        "{a:[1}",
        "{a:{]}",
        "{a:[1 2]}",
        "{a:{b:1,}}",
        "{a:/*}",
        "{a:1/}",
        "{a:[",
        "{:1}",
        "{a::1}",
        "{a:\u{c}1}",
    ] {
        let result = Reader::new(json).open_object().and_then(|()| {
            let mut reader = Reader::new(json);
            reader.open_object()?;
            reader.skip_open(&Token::Object)?;
            reader.end()
        });
        assert!(
            matches!(result, Err(DecodeError::NotJson { .. })),
            "{json}: {result:?}"
        );
    }
    assert_eq!(
        value("{a:1}{"),
        Err(DecodeError::TrailingBytes { offset: 5 })
    );
}

#[test]
fn unescapes() {
    let cases = [
        (r#""plain""#, "plain"),
        (r#""\"\\\/\b\f\n\r\t\'""#, "\"\\/\u{8}\u{c}\n\r\t'"),
        (r#""a\u00e9\u4f60b""#, "aé你b"),
        (r#""\ud83d\ude00""#, "😀"),
        (r#""\uD83D\uDE00!""#, "😀!"),
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00x""#, "\u{fffd}x"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        ("\"raw\u{1}\n\ttabs\"", "raw\u{1}\n\ttabs"),
        ("'it\"s'", "it\"s"),
        ("\"it's\"", "it's"),
    ];
    for (json, text) in cases {
        assert_eq!(
            value(&format!("{{a:{json}}}")),
            Ok(Token::Text(text.into())),
            "{json}"
        );
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{{a:{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(value(&nested(limits::JSON_DEPTH_MAX)), Ok(Token::Array));
    let beyond = nested(limits::JSON_DEPTH_MAX + 1);
    assert!(matches!(value(&beyond), Err(DecodeError::TooDeep { .. })));
    let mixed = format!("{{a:{}1{}}}", "{b:[".repeat(32), "]}".repeat(32));
    assert_eq!(value(&mixed), Ok(Token::Object));
    let deep = "[".repeat(1 << 20);
    assert!(matches!(
        value(&format!("{{a:{deep}")),
        Err(DecodeError::TooDeep { .. })
    ));
}

proptest! {
    #[test]
    fn finds_what_a_plain_search_finds(bytes: Vec<u8>, quote in prop::sample::select(b"\"'".as_slice())) {
        let plain = bytes.iter().position(|&b| b == quote || b == b'\\');
        prop_assert_eq!(scan::find_quote(&bytes, quote), plain);
        let plain = bytes.iter().position(|&b| scan::needs_escape(b));
        prop_assert_eq!(scan::find_escaped(&bytes), plain);
    }

    #[test]
    fn strings_go_there_and_back(text: String) {
        let mut out = Vec::new();
        put_string(&text, &mut out);
        let strict: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&strict, &text);
        let json = format!("{{a:{}}}", String::from_utf8(out).unwrap());
        prop_assert_eq!(value(&json), Ok(Token::Text(text.as_str().into())));
    }

    #[test]
    fn numbers_are_written_as_everybody_does(signed: i64, unsigned: u64) {
        let mut out = Vec::new();
        put_int(signed, &mut out);
        out.push(b' ');
        put_uint(unsigned, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{signed} {unsigned}"));
    }

    /// Whatever a strict parser takes, the lenient one takes, too.
    #[test]
    fn takes_what_a_strict_parser_takes(text in "[{}\\[\\]:,\"a1 \\\\]{0,24}") {
        if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok() {
            let mut reader = Reader::new(&text);
            prop_assert_eq!(reader.open_object(), Ok(()));
            prop_assert_eq!(reader.skip_open(&Token::Object), Ok(()));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}

#[test]
fn numbers_at_their_ends() {
    let mut out = Vec::new();
    put_int(i64::MIN, &mut out);
    put_uint(u64::MAX, &mut out);
    assert_eq!(out, b"-922337203685477580818446744073709551615");
}
