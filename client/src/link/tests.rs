//! What a server's address may look like.

use super::tls::Trust;
use super::{Target, Transport};

fn parts(url: &str) -> (Transport, String, u16, String) {
    let target = Target::parse(url, &Trust::default()).unwrap();
    (target.transport, target.host, target.port, target.path)
}

#[test]
fn addresses_of_each_transport() {
    let path = || "/websocket".to_owned();
    let tcp = parts("tcp://localhost:1");
    assert_eq!(tcp, (Transport::Tcp, "localhost".into(), 1, path()));
    let udp = parts("udp://[::1]:9");
    assert_eq!(udp, (Transport::Udp, "::1".into(), 9, path()));
    let ws = parts("ws://h:2/a?b=c");
    assert_eq!(ws, (Transport::WebSocket, "h".into(), 2, "/a?b=c".into()));
    assert_eq!(parts("udp://h").2, 7901);
    assert_eq!(parts("tcp://[::1]").2, 8901);
    assert_eq!(
        parts("ws://h"),
        (Transport::WebSocket, "h".into(), 3000, path())
    );
}

#[test]
fn what_is_no_address_is_refused() {
    let bad = [
        "",
        "h:1",
        "http://h:1",
        "tcp://",
        "tcp://:1",
        "tcp://h:x",
        "tcp://h:1/path",
        "tcp://a:b:1",
        "ws://h:1/a b",
        "ws://h:1/a\r\nX: y",
        "tcp://h:99999",
    ];
    for url in bad {
        assert!(Target::parse(url, &Trust::default()).is_err(), "{url}");
    }
}

#[test]
fn addresses_with_tls_and_without() {
    let is_tls = |url| Target::parse(url, &Trust::default()).unwrap().tls.is_some();
    assert!(is_tls("tls://h") && is_tls("tcps://h:1") && is_tls("wss://h/websocket"));
    assert!(!is_tls("tcp://h") && !is_tls("ws://h") && !is_tls("udp://h"));
}

#[test]
fn fingerprints_are_read_as_openssl_writes_them() {
    let plain = "0a".repeat(32);
    let colons = vec!["0A"; 32].join(":");
    assert_eq!(Trust::pin(&plain).unwrap(), Trust::Pinned([10; 32]));
    assert_eq!(Trust::pin(&colons).unwrap(), Trust::Pinned([10; 32]));
    for bad in ["", "0a", &plain[1..], &"zz".repeat(32)] {
        assert!(Trust::pin(bad).is_err(), "{bad}");
    }
}
