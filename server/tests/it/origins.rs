//! Which web pages may use the server, and what a link on somebody else's page can do: nothing.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::io::{Read, Write};
use std::net::SocketAddr;

use serde_json::json;
use tidings_server::config::PageOrigins;

use crate::ocim::{Poller, Ws, auth, http, poll_io, request, start};
use crate::support::{TestServer, connect};

/// The status of an upgrade with these lines.
fn upgrade(address: SocketAddr, lines: &str) -> u16 {
    let mut stream = connect(address);
    let head = format!(
        "GET /websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

/// The status of a request with these lines.
fn get(address: SocketAddr, path: &str, lines: &str) -> u16 {
    let mut stream = connect(address);
    let head = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

#[test]
fn s10_a_foreign_page_opens_no_websocket() {
    let server = TestServer::start(|settings| {
        settings.web.origins = PageOrigins::parse("https://shop.example").unwrap();
    });
    let port = server.ws().port();
    for (lines, status) in [
        // Programs that are no browsers.
        ("Host: whatever\r\n".to_owned(), 101),
        (
            format!("Host: localhost:{port}\r\nOrigin: http://localhost:5173\r\n"),
            101,
        ),
        (
            format!("Host: 127.0.0.1:{port}\r\nOrigin: https://shop.example\r\n"),
            101,
        ),
        (
            format!("Host: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n"),
            403,
        ),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: null\r\n"), 403),
        (
            format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
            403,
        ),
        (
            format!("Host: evil.example:{port}\r\nOrigin: https://shop.example\r\n"),
            403,
        ),
        (format!("Host: evil.example:{port}\r\nCookie: a=b\r\n"), 403),
    ] {
        assert_eq!(upgrade(server.ws(), &lines), status, "{lines}");
    }
}

#[test]
fn s10_a_name_that_was_made_to_lead_here_is_refused_everywhere() {
    let server = TestServer::start(|_| {});
    let address = server.http();
    for path in [
        "/healthz",
        "/metrics",
        "/docs/",
        "/api/v1/stats",
        "/poll.io",
        "/ws.io",
    ] {
        for lines in [
            "Host: evil.example\r\nOrigin: http://evil.example\r\n",
            "Host: evil.example\r\nSec-Fetch-Site: same-origin\r\n",
            "Host: evil.example\r\nCookie: tidings-customer=x\r\n",
        ] {
            assert_eq!(get(address, path, lines), 403, "{path} {lines}");
        }
    }
    assert_eq!(get(address, "/healthz", "Host: evil.example\r\n"), 200);
    let own = "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(get(address, "/healthz", own), 200);
    // A password that a browser remembers is no other page's.
    let foreign =
        "Host: localhost\r\nOrigin: https://evil.example\r\nAuthorization: Basic YTpi\r\n";
    assert_eq!(get(address, "/api/v1/desk/tenants", foreign), 403);
    let own = "Host: localhost\r\nOrigin: http://localhost\r\nAuthorization: Basic YTpi\r\n";
    assert_eq!(get(address, "/api/v1/desk/tenants", own), 401);
}

#[test]
fn s_low_metrics_need_a_key_behind_a_proxy_that_says_nothing() {
    let server = TestServer::start(|_| {});
    assert_eq!(get(server.http(), "/metrics", "Host: x\r\n"), 401);
    let server = TestServer::start(|settings| settings.web.metrics_open = true);
    assert_eq!(get(server.http(), "/metrics", "Host: x\r\n"), 200);
    let proxied = "Host: x\r\nX-Forwarded-For: 192.0.2.1\r\n";
    assert_eq!(get(server.http(), "/metrics", proxied), 401);
}

/// A navigation carries the cookie and no origin.
#[tokio::test(flavor = "multi_thread")]
async fn s11_a_link_changes_nothing() {
    let running = start(|settings| settings.ocim.compat.send_by_get = false).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "alice").await;
    let handle = running.handle();
    handle
        .send("alice", "one")
        .from("friend")
        .id("m1")
        .await
        .unwrap();
    let cookie = format!("tidings-customer={}", poller.token);
    let poll = json!({"type": "POLL", "ts": "POLLING"});
    let close = json!({"type": "CLOSE", "ts": "POLLING"});
    let targets = [
        format!("{}&ack=99", poll_io(&poll)),
        poll_io(&poll),
        poll_io(&auth("POLLING", "")),
        poll_io(&close),
        format!(
            "/ws.io?{}",
            poll_io(&auth("WEBSOCKET", "")).split_once('?').unwrap().1
        ),
    ];
    for target in &targets {
        for more in [None, Some("none"), Some("cross-site"), Some("same-site")] {
            let mut headers = vec![("Cookie", &*cookie)];
            headers.extend(more.map(|site| ("Sec-Fetch-Site", site)));
            let refused = request(address, "GET", target, &headers, "").await;
            assert_eq!(refused.status, 403, "{target} {more:?}");
            assert_eq!(refused.header("set-cookie"), None);
        }
    }
    // Nothing was confirmed, nobody was kicked: the page gets what waited for it.
    let body = poll.to_string();
    let page = request(address, "POST", "/poll.io", &[("Cookie", &*cookie)], &body).await;
    assert_eq!(page.json()[0]["pid"], "m1");
    // A page of ours, as the browser says; and who shows a token that no browser adds by itself.
    let own = [("Cookie", &*cookie), ("Sec-Fetch-Site", "same-origin")];
    handle
        .send("alice", "two")
        .from("friend")
        .id("m2")
        .await
        .unwrap();
    assert_eq!(
        request(address, "GET", &poll_io(&poll), &own, "")
            .await
            .status,
        200
    );
    handle
        .send("alice", "three")
        .from("friend")
        .id("m3")
        .await
        .unwrap();
    assert_eq!(poller.poll().await.status, 200);
    // An upgrade is no link.
    let ws = Ws::try_open(address, &auth("WEBSOCKET", ""), &[("Cookie", &cookie)]).await;
    assert!(ws.is_ok());
    running.stop().await;
}
