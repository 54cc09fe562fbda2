//! Frames. The cases named "answers" are what the reference server was seen to do.

use std::borrow::Cow;

use proptest::prelude::*;

use super::frame::lenient;
use super::*;
use crate::wire::code;

fn read(json: &str) -> Frame<'_> {
    match decode(json.as_bytes()) {
        Ok(frame) => frame,
        Err(error) => panic!("{json}: {error}"),
    }
}

fn refused(json: &str) -> DecodeError {
    match decode(json.as_bytes()) {
        Ok(frame) => panic!("{json} was read as {frame:?}"),
        Err(error) => error,
    }
}

fn written(frame: &Frame<'_>) -> String {
    let mut out = Vec::new();
    encode(frame, &mut out);
    String::from_utf8(out).unwrap()
}

/// A message as the Java client writes it.
const PLAIN: &str = r#"{"bridge":false,"type":2,"dataContent":"hello","from":"alice","to":"bob","fp":"943ef0ca-11ab-4c00-9d1e-000000000001","QoS":true,"typeu":-1,"sm":-1}"#;

fn plain() -> Frame<'static> {
    Frame {
        bridge: false,
        kind: code::COMMON_DATA,
        data: Some("hello".into()),
        from: Some("alice".into()),
        to: Some("bob".into()),
        fp: Some("943ef0ca-11ab-4c00-9d1e-000000000001".into()),
        qos: true,
        typeu: -1,
        sm: -1,
    }
}

#[test]
fn plain_frame_is_read_fast_borrowed_and_written_the_same() {
    let frame = read(PLAIN);
    assert_eq!(frame, plain());
    assert!(fast::decode::<false>(PLAIN).is_some());
    for field in [&frame.data, &frame.from, &frame.to, &frame.fp] {
        assert!(matches!(field, Some(Cow::Borrowed(_))));
    }
    assert_eq!(written(&frame), PLAIN);
    assert_eq!(frame.clone().into_owned(), frame);
}

#[test]
fn java_samples_are_read_fast_and_written_the_same() {
    for json in [
        r#"{"bridge":false,"type":0,"dataContent":"{\"loginUserId\":\"aliceT\",\"loginToken\":\"tok\",\"firstLoginTime\":0}","from":"aliceT","to":"0","QoS":false,"typeu":-1,"sm":-1}"#,
        r#"{"bridge":false,"type":50,"dataContent":"{\"code\":0,\"firstLoginTime\":1795289264146}","from":"0","to":"aliceT","QoS":false,"typeu":-1,"sm":-1}"#,
        r#"{"bridge":false,"type":4,"dataContent":"943ef0ca-…","from":"bobU","to":"aliceT","QoS":false,"typeu":-1,"sm":-1}"#,
        r#"{"bridge":true,"type":54,"from":"0","to":"-1","QoS":true,"typeu":7,"sm":1795289264146}"#,
    ] {
        assert!(fast::decode::<false>(json).is_some(), "{json}");
        assert_eq!(written(&read(json)), json);
    }
}

#[test]
fn nothing_there_is_zero_false_and_none() {
    assert_eq!(read("{}"), Frame::default());
    assert_eq!(read(" { } ").kind, code::LOGIN);
}

#[test]
fn unset_names_are_written_as_minus_one() {
    assert_eq!(
        written(&Frame::default()),
        r#"{"bridge":false,"type":0,"from":"-1","to":"-1","QoS":false,"typeu":0,"sm":0}"#
    );
}

#[test]
fn nulls_leave_numbers_and_empty_strings() {
    // Flutter sends these.
    let frame = read(
        r#"{"bridge":null,"type":null,"dataContent":null,"from":null,"to":null,"fp":null,"QoS":null,"typeu":null,"sm":null,"retryCount":null}"#,
    );
    assert_eq!(frame, Frame::default());
    let frame = read(r#"{"type":2,"type":null,"to":"x","to":null}"#);
    assert_eq!((frame.kind, frame.to), (2, None));
}

#[test]
fn duplicate_members_the_last_wins() {
    let frame = read(r#"{"type":1,"to":"a","type":2,"to":"b"}"#);
    assert_eq!((frame.kind, frame.to.as_deref()), (2, Some("b")));
}

#[test]
fn pretty_printed_with_escaped_slashes_in_any_order_as_ios_sends() {
    let json = "{\n  \"sm\" : -1,\n  \"dataContent\" : \"http:\\/\\/x\\/\",\n  \"QoS\" : true,\n  \"typeu\" : -1,\n  \
         \"fp\" : \"943EF0CA\",\n  \"to\" : \"bob\",\n  \"from\" : \"alice\",\n  \"type\" : 2,\n  \"bridge\" : false\n}";
    let frame = read(json);
    assert!(fast::decode::<false>(json).is_some());
    assert_eq!(
        frame,
        Frame {
            data: Some("http://x/".into()),
            fp: Some("943EF0CA".into()),
            ..plain()
        }
    );
}

#[test]
fn answers_coerced_types() {
    let frame = read(r#"{"type":"2","dataContent":123,"from":5,"to":"0","fp":"q1","QoS":"true"}"#);
    assert_eq!(frame.kind, 2);
    assert_eq!(frame.data.as_deref(), Some("123"));
    assert_eq!(frame.from.as_deref(), Some("5"));
    assert!(frame.qos);
    assert_eq!((frame.typeu, frame.sm), (0, 0));
}

#[test]
fn answers_type_as_2_point_0_and_no_from() {
    let frame = read(r#"{"type":2.0,"to":"0","fp":"q2","QoS":true}"#);
    assert_eq!((frame.kind, frame.from), (2, None));
}

#[test]
fn answers_to_absent_and_unknown_type_are_frames() {
    assert_eq!(read(r#"{"type":2,"from":"a"}"#).to, None);
    assert_eq!(read(r#"{"type":99}"#).kind, 99);
}

#[test]
fn answers_byte_order_mark() {
    let json = format!("\u{feff}{PLAIN}");
    assert_eq!(read(&json), plain());
}

#[test]
fn answers_refused() {
    use DecodeError as E;
    assert!(matches!(refused("{\"type\":2,"), E::NotJson { .. }));
    assert!(matches!(
        refused("not json"),
        E::NotAnObject { .. } | E::NotJson { .. }
    ));
    assert_eq!(refused("null"), E::NotAnObject { found: "null" });
    assert_eq!(refused(""), E::NotAnObject { found: "nothing" });
    assert_eq!(refused(" \n"), E::NotAnObject { found: "nothing" });
    assert_eq!(refused("\u{feff}"), E::NotAnObject { found: "nothing" });
    assert_eq!(refused("[]"), E::NotAnObject { found: "an array" });
    assert_eq!(refused("\"x\""), E::NotAnObject { found: "a string" });
    assert_eq!(refused("12"), E::NotAnObject { found: "a number" });
    // Trailing comma.
    assert!(matches!(refused(r#"{"type":2,}"#), E::NotJson { .. }));
    let bad = |name, problem| E::BadField { name, problem };
    for data in ["{}", "[]", "{\"a\":1}", "[1]"] {
        let json = format!("{{\"type\":2,\"dataContent\":{data}}}");
        assert_eq!(refused(&json), bad("dataContent", "is not a string"));
    }
    // Trailing junk, after either parser.
    for junk in ["x", "{}", "\u{0}", "}", "null"] {
        let json = format!("{PLAIN}{junk}");
        assert_eq!(
            refused(&json),
            E::TrailingBytes {
                offset: PLAIN.len()
            }
        );
        assert_eq!(
            refused(&format!("{{ }}{junk}")),
            E::TrailingBytes { offset: 3 }
        );
    }
    assert_eq!(read(&format!("{PLAIN} \r\n\t")), plain());
}

#[test]
fn numeric_qos_is_our_addition() {
    assert!(read(r#"{"QoS":1}"#).qos);
    assert!(!read(r#"{"QoS":0}"#).qos);
    assert!(read(r#"{"bridge":1}"#).bridge);
    for odd in ["2", "-1", "1.0", "[]", "{}"] {
        let error = refused(&format!("{{\"QoS\":{odd}}}"));
        assert!(
            matches!(error, DecodeError::BadField { name: "QoS", .. }),
            "{odd}"
        );
    }
}

#[test]
fn any_word_is_a_boolean() {
    for (word, value) in [
        ("\"TRUE\"", true),
        ("\"yes\"", false),
        ("\"1\"", false),
        ("no", false),
    ] {
        assert_eq!(read(&format!("{{\"QoS\":{word}}}")).qos, value, "{word}");
    }
}

#[test]
fn strings_are_made_of_scalars() {
    for (value, text) in [
        ("true", "true"),
        ("False", "false"),
        ("1.50", "1.50"),
        ("-0", "-0"),
        ("abc", "abc"),
        ("'a'", "a"),
        ("00", "00"),
    ] {
        let json = format!("{{\"dataContent\":{value},\"fp\":{value}}}");
        let frame = read(&json);
        assert_eq!(frame.data.as_deref(), Some(text));
        assert_eq!(frame.fp.as_deref(), Some(text));
    }
}

#[test]
fn whole_numbers_in_every_spelling() {
    for (value, number) in [
        ("2", 2),
        ("\"2\"", 2),
        ("2.0", 2),
        ("\"2.0\"", 2),
        ("2e0", 2),
        ("20E-1", 2),
        ("02", 2),
        ("+2", 2),
        ("\" 2 \"", 2),
        ("-2", -2),
        ("'-2'", -2),
        ("2147483647", i32::MAX),
        ("-2147483648", i32::MIN),
        ("2147483647.0", i32::MAX),
    ] {
        assert_eq!(
            read(&format!("{{\"type\":{value}}}")).kind,
            number,
            "{value}"
        );
        assert_eq!(
            read(&format!("{{\"sm\":{value}}}")).sm,
            i64::from(number),
            "{value}"
        );
    }
    assert_eq!(read(r#"{"sm":9223372036854775807}"#).sm, i64::MAX);
    assert_eq!(read(r#"{"sm":-9223372036854775808}"#).sm, i64::MIN);
    assert_eq!(read(r#"{"sm":1e15}"#).sm, 1_000_000_000_000_000);
}

#[test]
fn numbers_out_of_range_or_not_whole_are_refused_by_name() {
    for value in [
        "2.5",
        "\"\"",
        "\"x\"",
        "true",
        "\"true\"",
        "[]",
        "{}",
        "2147483648",
        "-2147483649",
        "1e10",
        "NaN",
        "Infinity",
        "inf",
        "1e400",
        "99999999999999999999",
        "0x2",
        "1_0",
    ] {
        for name in ["type", "typeu"] {
            let error = refused(&format!("{{\"{name}\":{value}}}"));
            assert!(
                matches!(error, DecodeError::BadField { name: named, .. } if named == name),
                "{name} {value}: {error}"
            );
        }
    }
    for value in [
        "9223372036854775808",
        "-9223372036854775809",
        "9.3e18",
        "1e400",
    ] {
        let error = refused(&format!("{{\"sm\":{value}}}"));
        assert!(
            matches!(error, DecodeError::BadField { name: "sm", .. }),
            "{value}"
        );
    }
}

#[test]
fn unknown_members_of_every_type_are_passed_over() {
    for value in [
        "1",
        "\"x\"",
        "null",
        "true",
        "{}",
        "[]",
        "{\"type\":7,\"a\":[1,{\"b\":null}]}",
        "bare",
        "[[[\"}\"]]]",
        "'q'",
        "1e999",
    ] {
        for json in [
            format!("{{\"retryCount\":{value},{}", &PLAIN[1..]),
            format!("{},\"extra\":{value}}}", &PLAIN[..PLAIN.len() - 1]),
        ] {
            assert_eq!(read(&json), plain());
        }
    }
    // Names count to the letter.
    assert_eq!(
        read(r#"{"Type":2,"qos":true,"typeU":3,"":1}"#),
        Frame::default()
    );
    // Unknown to those who did not declare them, whatever they hold.
    assert_eq!(read(r#"{"id":[],"seq":"x","time":{}}"#), Frame::default());
}

#[test]
fn names_without_quotes_and_other_lenient_syntax() {
    for json in [
        "{type:2,to:'bob',from:alice}",
        "{'type':2,'to':'bob','from':'alice'}",
        "{type=2;to=>bob;from=alice}",
        "{\"\\u0074ype\":2,\"to\":\"b\\u006fb\",\"from\":\"alice\"}",
        "/*c*/{type:2,//c\nto:bob,#c\nfrom:alice}",
    ] {
        let frame = read(json);
        assert_eq!(frame.kind, 2, "{json}");
        assert_eq!(frame.to.as_deref(), Some("bob"), "{json}");
        assert_eq!(frame.from.as_deref(), Some("alice"), "{json}");
    }
}

#[test]
fn html_escapes_and_surrogates_are_read() {
    let frame = read(r#"{"type":5,"dataContent":"echo\u003c\u003e \ud83d\ude00 \ud83d"}"#);
    assert_eq!(frame.data.as_deref(), Some("echo<> 😀 \u{fffd}"));
    // Written as standard JSON.
    assert!(written(&frame).contains(r#""dataContent":"echo<> 😀 �""#));
}

#[test]
fn only_content_with_escapes_is_copied() {
    let json = r#"{"type":2,"dataContent":"a\nb","from":"alice"}"#;
    let frame = read(json);
    assert!(fast::decode::<false>(json).is_some());
    assert!(matches!(frame.data, Some(Cow::Owned(ref text)) if text == "a\nb"));
    assert!(matches!(frame.from, Some(Cow::Borrowed("alice"))));
    // Escapes in a header member: the lenient reader.
    let json = r#"{"type":2,"from":"a\u006cice"}"#;
    assert!(fast::decode::<false>(json).is_none());
    assert_eq!(read(json).from.as_deref(), Some("alice"));
}

#[test]
fn depth_and_text_errors() {
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(matches!(refused(&deep), DecodeError::TooDeep { .. }));
    assert_eq!(
        decode(b"{\"to\":\"\xff\"}"),
        Err(DecodeError::NotUtf8 { offset: 7 })
    );
    assert_eq!(
        decode(b"{\"to\":\"\xed\xa0\x80\"}"),
        Err(DecodeError::NotUtf8 { offset: 7 })
    );
}

/// Were anything quadratic, this would take minutes.
#[test]
fn long_input_takes_linear_time() {
    let times = |part: &str| part.repeat((1 << 21) / part.len());
    for json in [
        format!("{{\"dataContent\":\"{}\"}}", times("\\u0041")),
        format!("{{\"dataContent\":\"{}\"}}", times("\\ud83d")),
        format!("{{\"from\":\"{}", times("\\n")),
        format!("{{{}}}", times("/**/")),
        format!("{{{}", times("#\n")),
        format!("{{\"x\":[{}]}}", times("[],{},")),
        format!("{{\"x\":[{}]}}", times(",")),
        format!("{{{}\"x\":1}}", times("\"to\":\"a\\u0062\",")),
        format!("{{\"sm\":1.{}}}", times("0")),
        format!("{{\"sm\":{}}}", times("9")),
        format!("{{\"x\":{}}}", times("1e")),
        times("{'"),
        times(" "),
        times("[["),
    ] {
        let _ = decode(json.as_bytes());
    }
}

#[test]
fn errors_speak() {
    assert_eq!(
        refused("[]").to_string(),
        "an array instead of a JSON object"
    );
    assert_eq!(
        refused(r#"{"type":"x"}"#).to_string(),
        "member `type` is not a whole number of 64 bits"
    );
    assert_eq!(
        refused("{a:1,}").to_string(),
        "not JSON: a name expected at byte 5"
    );
}

#[test]
fn extension_goes_there_and_back() {
    let mut out = Vec::new();
    encode_extended(&plain(), 7, 1_795_289_264_146, &mut out);
    let json = String::from_utf8(out).unwrap();
    let tail = r#","id":"943ef0ca-11ab-4c00-9d1e-000000000001","seq":7,"time":1795289264146}"#;
    assert_eq!(json, format!("{}{tail}", &PLAIN[..PLAIN.len() - 1]));
    let extended = Extended {
        seq: 7,
        time_ms: 1_795_289_264_146,
    };
    assert!(fast::decode::<true>(&json).is_some());
    assert_eq!(
        decode_extended(json.as_bytes()),
        Ok((plain(), Some(extended)))
    );
    assert_eq!(read(&json), plain());
    assert_eq!(decode_extended(PLAIN.as_bytes()), Ok((plain(), None)));

    let mut out = Vec::new();
    encode_extended(&Frame::default(), u64::MAX, i64::MIN, &mut out);
    let (frame, extended) = decode_extended(&out).unwrap();
    assert_eq!(frame.fp, None);
    assert!(!String::from_utf8(out.clone()).unwrap().contains("\"id\""));
    let extremes = Extended {
        seq: u64::MAX,
        time_ms: i64::MIN,
    };
    assert_eq!(extended, Some(extremes));
    let half = decode_extended(b"{\"seq\":1}").unwrap();
    assert_eq!(half.1, None);
    let negative = decode_extended(b"{\"seq\":-1,\"time\":1}");
    assert!(matches!(
        negative,
        Err(DecodeError::BadField { name: "seq", .. })
    ));
}

/// The same answer, or none: what the fast path must be to the lenient reader.
fn agree(text: &str) {
    if let Some(fast) = fast::decode::<false>(text) {
        assert_eq!(lenient(text, false), Ok(fast), "{text}");
    }
    if let Some(fast) = fast::decode::<true>(text) {
        assert_eq!(lenient(text, true), Ok(fast), "{text}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{0,40}", any::<String>(), "[\"\\\\/\n😀é<]{0,9}"]
}

fn any_frame() -> impl Strategy<Value = Frame<'static>> {
    let text = || prop::option::of(any_text().prop_map(Cow::Owned));
    let names = (text(), text(), text(), text());
    let numbers = (
        any::<i32>(),
        any::<i32>(),
        any::<i64>(),
        any::<bool>(),
        any::<bool>(),
    );
    (names, numbers).prop_map(
        |((data, from, to, fp), (kind, typeu, sm, bridge, qos))| Frame {
            bridge,
            kind,
            data,
            from,
            to,
            fp,
            qos,
            typeu,
            sm,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn frames_go_there_and_back(frame in any_frame(), seq: u64, time_ms: i64) {
        let mut out = Vec::new();
        encode(&frame, &mut out);
        let mut expected = frame.clone();
        expected.from.get_or_insert("-1".into());
        expected.to.get_or_insert("-1".into());
        prop_assert_eq!(decode(&out), Ok(expected.clone()));
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        let mut out = Vec::new();
        encode_extended(&frame, seq, time_ms, &mut out);
        prop_assert_eq!(decode_extended(&out), Ok((expected, Some(Extended { seq, time_ms }))));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode_extended(&bytes);
    }

    #[test]
    fn any_json_like_text_is_read_alike(text in "[{}\\[\\]\"':,;=>tysmQof\\\\u0 1.e/#*-]{0,60}") {
        agree(&text);
        let _ = decode(text.as_bytes());
    }

    #[test]
    fn mutated_frames_are_read_alike(
        frame in any_frame(),
        extended: bool,
        at: prop::sample::Index,
        cut in 0..4usize,
        patch in prop_oneof![any::<Vec<u8>>(), "[ \"'{}\\[\\],:;\\\\a0e.-]{0,3}".prop_map(String::into_bytes)],
    ) {
        let mut out = Vec::new();
        if extended {
            encode_extended(&frame, 5, 6, &mut out);
        } else {
            encode(&frame, &mut out);
        }
        let start = at.index(out.len());
        let end = (start + cut).min(out.len());
        out.splice(start..end, patch);
        let _ = decode(&out);
        if let Ok(text) = std::str::from_utf8(&out) {
            agree(text);
        }
    }

    /// Any order, any subset, any spelling of the values, with unknown members between.
    #[test]
    fn members_in_any_order_are_read_alike(
        members in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "bridge", "type", "dataContent", "from", "to", "fp", "QoS", "typeu", "sm", "id",
                    "seq", "time", "other",
                ]),
                prop::sample::select(vec![
                    "true", "false", "null", "0", "-1", "-0", "007", "2.0", "\"x\"", "\"2\"", "\"\\n\"",
                    "999999999999999999", "9999999999999999999", "{}", "[1]", "'q'", "\"\"",
                ]),
            ),
            0..6,
        ),
        blanks in prop::collection::vec(
            prop::sample::select(vec!["", "", "", " ", "\n\t", "\r", "\u{c}", "/**/"]),
            5,
        ),
    ) {
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|index| blanks[index]);
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{a}\"{name}\"{b}:{c}{value}{d}"))
            .collect();
        let text = format!("{e}{{{}}}{e}", members.join(","));
        agree(&text);
        let _ = decode(text.as_bytes());
    }
}
