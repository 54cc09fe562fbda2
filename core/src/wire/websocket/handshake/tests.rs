use proptest::prelude::*;

use super::*;

/// The key and answer of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const REQUEST: &str = "GET /websocket?x=1 HTTP/1.1\r\nHost: im.example\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: https://shop.example\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nAuthorization: Bearer t\r\nCookie: a=b\r\n\
    X-Forwarded-For: 10.0.0.1\r\n\r\n";

fn status(head: &str) -> u16 {
    match parse_upgrade(head.as_bytes()) {
        Ok(_) => 0,
        Err(refusal) => refusal.status,
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_browsers_request_is_read() {
    let more = format!("{REQUEST}\u{1}\u{2}");
    let (upgrade, used) = parse_upgrade(more.as_bytes()).unwrap().unwrap();
    let expected = Upgrade {
        path: "/websocket",
        query: Some("x=1"),
        key: KEY,
        host: Some("im.example"),
        origin: Some("https://shop.example"),
        authorization: Some("Bearer t"),
        cookie: Some("a=b"),
        forwarded_for: Some("10.0.0.1"),
    };
    assert_eq!((upgrade, used), (expected, REQUEST.len()));
}

#[test]
fn header_case_and_order_do_not_matter() {
    let shouted = "GET / HTTP/1.1\r\nSEC-WEBSOCKET-VERSION:13\r\nCONNECTION:UPGRADE\r\n\
        sec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ==  \r\nconnection: close\r\nUPGRADE: h2c, WebSocket\r\n\r\n";
    assert_eq!(status(shouted), 0);
}

#[test]
fn every_prefix_waits_for_more() {
    for end in 0..REQUEST.len() {
        assert_eq!(parse_upgrade(&REQUEST.as_bytes()[..end]), Ok(None), "{end}");
    }
}

#[test]
fn refusals() {
    let with = |from: &str, to: &str| {
        assert!(REQUEST.contains(from), "{from}");
        REQUEST.replace(from, to)
    };
    for (head, expected) in [
        (with("GET", "POST"), 405),
        (with("HTTP/1.1", "HTTP/1.0"), 505),
        (with("HTTP/1.1", "HTTP/2.0"), 505),
        (with("Upgrade: websocket", "Upgrade: h2c"), 426),
        (with("keep-alive, Upgrade", "keep-alive"), 426),
        (with("Version: 13", "Version: 8"), 426),
        (with("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (with(KEY, "dGhlIHNhbXBsZQ=="), 400),
        (with(KEY, "dGhlIHNhbXBsZSBub25jZQ"), 400),
        (with(KEY, "!"), 400),
        (with("Origin", "Sec-WebSocket-Key"), 400),
        (with("Host: im.example", "Host"), 400),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(status(&head), expected, "{head}");
    }
}

#[test]
fn long_heads_are_refused() {
    let max = limits::UPGRADE_HEAD_BYTES_MAX;
    let padded = |length: usize| {
        let pad = length - REQUEST.len() - "X-Pad: \r\n".len();
        REQUEST.replace("Host:", &format!("X-Pad: {}\r\nHost:", "x".repeat(pad)))
    };
    assert_eq!(padded(max).len(), max);
    assert_eq!(status(&padded(max)), 0);
    assert_eq!(status(&padded(max + 1)), 431);
    let endless = padded(max + 100);
    assert_eq!(parse_upgrade(&endless.as_bytes()[..max]), Ok(None));
    assert_eq!(status(&endless[..=max]), 431);
    let lines = "A: b\r\n".repeat(limits::UPGRADE_HEADERS_MAX);
    assert_eq!(
        status(&REQUEST.replace("Host:", &format!("{lines}Host:"))),
        431
    );
}

#[test]
fn the_answer_has_three_headers() {
    assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(
        text(|out| write_101(KEY, out)),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn refusals_are_whole_http_answers() {
    let answer = text(|out| write_refusal(426, "version 13, bitte schön", out));
    assert_eq!(
        answer,
        "HTTP/1.1 426 Upgrade Required\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: 24\r\n\r\nversion 13, bitte schön"
    );
    for status in [400, 401, 403, 404, 405, 418, 429, 431, 503, 505] {
        let answer = text(|out| write_refusal(status, "no", out));
        assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("\r\n\r\nno"));
        let error = parse_response(answer.as_bytes(), KEY);
        assert_eq!(error, Err(ResponseError::Status(status)));
    }
}

#[test]
fn both_ends_agree() {
    let request = text(|out| write_request("im.example:3000", "/websocket", KEY, out));
    let (upgrade, used) = parse_upgrade(request.as_bytes()).unwrap().unwrap();
    assert_eq!(
        (upgrade.path, upgrade.key, used),
        ("/websocket", KEY, request.len())
    );
    let answer = text(|out| write_101(upgrade.key, out));
    for end in 0..answer.len() {
        assert_eq!(parse_response(&answer.as_bytes()[..end], KEY), Ok(None));
    }
    let more = format!("{answer}more");
    assert_eq!(parse_response(more.as_bytes(), KEY), Ok(Some(answer.len())));
    let other = parse_response(answer.as_bytes(), "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(other, Err(ResponseError::Header("sec-websocket-accept")));
    for (from, to, header) in [
        ("upgrade: websocket\r\n", "", "upgrade"),
        ("connection: upgrade", "connection: close", "connection"),
        (
            "connection:",
            "sec-websocket-extensions: x\r\nconnection:",
            "sec-websocket-extensions",
        ),
        (
            "connection:",
            "sec-websocket-protocol: x\r\nconnection:",
            "sec-websocket-protocol",
        ),
    ] {
        let wrong = answer.replace(from, to);
        let error = parse_response(wrong.as_bytes(), KEY);
        assert_eq!(error, Err(ResponseError::Header(header)));
    }
    assert_eq!(
        parse_response(b"SSH-2.0\r\n\r\n", KEY),
        Err(ResponseError::NotHttp)
    );
    let endless = format!("{}{}", &answer[..answer.len() - 2], "A: b\r\n".repeat(2000));
    assert_eq!(
        parse_response(endless.as_bytes(), KEY),
        Err(ResponseError::TooLong)
    );
}

#[test]
fn a_host_cannot_add_headers() {
    let request = text(|out| write_request("h\r\nEvil: 1", "/a b\r\n\r\n", KEY, out));
    assert!(request.starts_with("GET /ab HTTP/1.1\r\nhost: hEvil:1\r\nupgrade:"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_or_an_error(
        bytes: Vec<u8>,
        at in 0..REQUEST.len(),
        patch in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut mutated = REQUEST.as_bytes().to_vec();
        mutated.splice(at..(at + patch.len()).min(REQUEST.len()), patch);
        for head in [&bytes, &mutated] {
            let _ = parse_upgrade(head);
            let _ = parse_response(head, KEY);
        }
    }
}
