//! Lengths, pieces and control frames of each transport, byte for byte, as in `wire`.

use crate::support::raw::{
    Got, Raw, Transport, acknowledgement, encode, keepalive, login, message, websocket_frame,
};
use crate::wire::{acked, control, hear, hear_end, hear_nothing, login_answer, server};

#[test]
fn tcp_framing() {
    let (_dir, server) = server();
    let mut raw = Raw::connect(Transport::Tcp, &server.at);
    for byte in encode(Transport::Tcp, login("part", 0).as_bytes()) {
        raw.send_bytes(&[byte]);
    }
    hear(&mut raw, "byte by byte", &login_answer("part"));
    raw.send_bytes(&encode(Transport::Tcp, keepalive("part").as_bytes()).repeat(3));
    for _ in 0..3 {
        hear(&mut raw, "glued", &control(51, "part", "{}"));
    }
    // The longest frame that is read: here with members that do not count.
    let frame = message("part", "0", "long", "x");
    let padded = format!("{}{frame}", " ".repeat(6144 - frame.len()));
    raw.send(&padded);
    hear(&mut raw, "6144", &acked("long", "0", "part"));
    raw.send_bytes(&6145_u32.to_be_bytes());
    assert_eq!(raw.next(), Got::End, "6145");
    for prefix in [u32::MAX, 0] {
        let mut raw = Raw::connect(Transport::Tcp, &server.at);
        raw.send_bytes(&prefix.to_be_bytes());
        assert_eq!(raw.next(), Got::End, "{prefix}");
    }
}

/// The size that counts is that of the frame that leaves: what TCP clients accept.
/// A sender may send what his transport takes; a receiver is sent what his takes.
#[test]
fn a_message_fits_its_senders_transport_and_its_receivers() {
    let (_dir, server) = server();
    let mut receiver = Raw::connect(Transport::Tcp, &server.at);
    receiver.login("fit");
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("fat");
    let body = "x".repeat(6144 - message("fat", "fit", "id", "").len());
    sender.send(&message("fat", "fit", "id", &body));
    hear(&mut receiver, "fits", &message("fat", "fit", "id", &body));
    hear(&mut sender, "fits", &acked("id", "fit", "fat"));
    receiver.send(&acknowledgement("fit", "fat", "id"));
    // One byte more ends a TCP sender's connection, as the framing says.
    sender.send(&message("fat", "fit", "id2", &format!("{body}x")));
    assert_eq!(sender.next(), Got::End);
    hear_nothing(&mut receiver, "too long", Some("fit"));
    // A WebSocket takes it; for the receiver's TCP connection it waits, and a notice says so.
    let mut sender = Raw::connect(Transport::Ws, &server.at);
    sender.login("fat");
    let long = format!("{body}x");
    sender.send(&message("fat", "fit", "id3", &long));
    hear(&mut sender, "long", &acked("id3", "fit", "fat"));
    let notice = receiver.frame();
    assert!(notice.contains("\"typeu\":319,"), "{notice}");
    let mut receiver = Raw::connect(Transport::Ws, &server.at);
    receiver.login("fit");
    hear(&mut receiver, "long", &message("fat", "fit", "id3", &long));
}

#[test]
fn udp_sizes() {
    let (_dir, server) = server();
    let mut raw = Raw::connect(Transport::Udp, &server.at);
    raw.login("bigu");
    let frame = message("bigu", "0", "b1", "");
    let body = "x".repeat(2048 - frame.len());
    raw.send(&message("bigu", "0", "b1", &body));
    hear(&mut raw, "2048", &acked("b1", "0", "bigu"));
    // Ours: a datagram that is too long is dropped and ends nothing.
    raw.send(&message("bigu", "0", "b2", &format!("{body}x")));
    hear_nothing(&mut raw, "2049", Some("bigu"));
    raw.send_bytes(b"\xff\xfe\x00garbage");
    raw.send_bytes(b"");
    raw.send(&keepalive("bigu"));
    hear(&mut raw, "after garbage", &control(51, "bigu", "{}"));
    // A logout must name whose session it ends: anybody can send datagrams in his name.
    raw.send(r#"{"type":3,"from":"somebody","to":"0"}"#);
    hear_nothing(&mut raw, "forged logout", Some("bigu"));
}

/// Ours: MobileIMSDK's UDP clients read into 1024 bytes, so what is longer waits for another
/// transport, does not hold up what follows, and is announced once.
#[test]
fn what_is_too_long_for_udp_waits_for_another_transport() {
    let (_dir, server) = server();
    let mut sender = Raw::connect(Transport::Tcp, &server.at);
    sender.login("lender");
    let mut receiver = Raw::connect(Transport::Udp, &server.at);
    receiver.login("lunar");
    // Signs of life pay for what is sent to an address that has proved nothing.
    for _ in 0..8 {
        receiver.send(&keepalive("lunar"));
        hear(&mut receiver, "alive", &control(51, "lunar", "{}"));
    }
    let long = "y".repeat(1200);
    for (id, body) in [("l1", &*long), ("l2", "short"), ("l3", &*long)] {
        sender.send(&message("lender", "lunar", id, body));
        hear(&mut sender, id, &acked(id, "lunar", "lender"));
    }
    let notice = receiver.frame();
    assert!(notice.contains("\"typeu\":319,"), "{notice}");
    assert!(notice.contains("\"from\":\"0\""), "{notice}");
    hear(
        &mut receiver,
        "l2",
        &message("lender", "lunar", "l2", "short"),
    );
    receiver.send(&acknowledgement("lunar", "lender", "l2"));
    hear_nothing(&mut receiver, "one notice", Some("lunar"));
    let mut receiver = Raw::connect(Transport::Ws, &server.at);
    receiver.login("lunar");
    for id in ["l1", "l3"] {
        hear(&mut receiver, id, &message("lender", "lunar", id, &long));
        receiver.send(&acknowledgement("lunar", "lender", id));
    }
}

#[test]
fn websocket_frames() {
    let (_dir, server) = server();
    let mut raw = Raw::connect(Transport::Ws, &server.at);
    raw.login("wsb");
    raw.send_bytes(&websocket_frame(0x89, b"pp"));
    assert_eq!(raw.next(), Got::Control(10, b"pp".to_vec()));
    raw.send_bytes(&websocket_frame(0x8a, b"pong"));
    hear_nothing(&mut raw, "pong", Some("wsb"));
    // Ours: fragments are put together, with a ping between them.
    let frame = message("wsb", "0", "frag", "x");
    let (head, tail) = frame.as_bytes().split_at(30);
    raw.send_bytes(&websocket_frame(0x01, head));
    raw.send_bytes(&websocket_frame(0x89, b""));
    assert_eq!(raw.next(), Got::Control(10, Vec::new()));
    raw.send_bytes(&websocket_frame(0x80, tail));
    hear(&mut raw, "fragments", &acked("frag", "0", "wsb"));
    raw.send(&message("wsb", "0", "60k", &"z".repeat(60 << 10)));
    hear(&mut raw, "60k", &acked("60k", "0", "wsb"));
    raw.send_bytes(&websocket_frame(0x88, &1000_u16.to_be_bytes()));
    assert_eq!(raw.next(), Got::Control(8, 1000_u16.to_be_bytes().to_vec()));
    assert_eq!(raw.next(), Got::End);

    for (name, bytes, code) in [
        ("binary", websocket_frame(0x82, b"{}"), 1003),
        ("66 KB", websocket_frame(0x81, &[b'x'; 66_000]), 1009),
        ("not masked", b"\x81\x02{}".to_vec(), 1002),
        ("reserved bit", websocket_frame(0xc1, b"{}"), 1002),
        ("not UTF-8", websocket_frame(0x81, b"\xff"), 1007),
    ] {
        let mut raw = Raw::connect(Transport::Ws, &server.at);
        raw.login("wsc");
        let _ = raw.try_send_bytes(&bytes);
        hear_end(&mut raw, name, code);
    }
}

#[test]
fn websocket_handshakes() {
    let (_dir, server) = server();
    let ask = |path: &str, more: &str| {
        let at = crate::support::server::Addresses {
            tcp: server.at.ws,
            ..server.at
        };
        let mut raw = Raw::connect(Transport::Tcp, &at);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        raw.send_bytes(request.as_bytes());
        raw.read_head().unwrap()
    };
    let opened = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(ask("/websocket", ""), opened);
    let offers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert_eq!(ask("/websocket", offers), opened);
    // Ours: an answer instead of silence.
    for path in ["/", "/websocket/a", "/echo"] {
        let head = ask(path, "");
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
}
