//! OCIM's "v2 AuthorizationHandler", and what every answer by HTTP owes a page: CORS, length, gzip. The
//! order of the chain is in `ocim_trace`.

use std::io::Read as _;

use crate::ocim::{Answer, Poller, Ws, agent_auth, auth, http, poll_io, request, start, ws_io};
use serde_json::{Value, json};

/// Refusals of all kinds, each with its status.
async fn refusals(address: std::net::SocketAddr, token: &str) -> Vec<(u16, Answer)> {
    let bind = json!({"type": "BIND", "ts": "POLLING"});
    let bearer = format!("Bearer {token}");
    let mut all = Vec::new();
    for (status, target, authorized) in [
        (401, "/poll.io".to_owned(), false),
        (401, "/poll.io?packet=%7Bnonsense".to_owned(), false),
        (
            401,
            "/poll.io?packet=%7B%22type%22:%22NOTHING%22%7D".to_owned(),
            false,
        ),
        (401, "/poll.io?packet=%zz".to_owned(), false),
        (
            401,
            poll_io(&json!({"type": "POLL", "ts": "POLLING"})),
            false,
        ),
        (401, poll_io(&auth("SOCKET", "x")), false),
        (401, ws_io(&agent_auth("agent1", "wrong", "1")), false),
        (400, poll_io(&bind), true),
        (426, ws_io(&auth("WEBSOCKET", "x")), false),
        (
            414,
            format!("/poll.io?packet={}", "x".repeat(20_000)),
            false,
        ),
    ] {
        let mut headers = vec![
            ("Origin", "https://shop.example"),
            ("Accept-Encoding", "gzip"),
        ];
        if authorized {
            headers.push(("Authorization", &bearer));
        }
        all.push((status, request(address, "GET", &target, &headers, "").await));
    }
    all
}

fn unzipped(answer: &Answer) -> Value {
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
    decoder.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_cors_length_and_whole_gzip() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "alice").await;
    for (status, answer) in refusals(address, &poller.token).await {
        assert_eq!(answer.status, status, "{answer:?}");
        let origin = answer.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://shop.example"));
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert!(answer.header("vary").unwrap().contains("origin"));
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        let reason = unzipped(&answer);
        assert_eq!(reason["ret"], "error");
        assert!(reason["reason"].as_str().unwrap().len() > 10);
    }
    // An unknown path is nobody's.
    assert_eq!(
        request(address, "GET", "/other.io?packet=x", &[], "")
            .await
            .status,
        404
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_pages_may_use_it_and_preflights_execute_nothing() {
    let running = start(|settings| {
        settings.ocim.compat.any_origin = false;
        settings.ocim.origin =
            tidings_server::config::PageOrigin::One("https://shop.example".into());
    })
    .await;
    let address = http(&running);
    let login = poll_io(&auth("POLLING", "alice"));
    let foreign = [("Origin", "https://evil.example")];
    let refused = request(address, "GET", &login, &foreign, "").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(refused.header("set-cookie"), None);
    let ws = auth("WEBSOCKET", "alice");
    let refused = Ws::try_open(address, &ws, &foreign).await.err().unwrap();
    assert_eq!(refused.status, 403);
    for (origin, allowed) in [("https://shop.example", true), ("http://im.example", true)] {
        let preflight = request(address, "OPTIONS", &login, &[("Origin", origin)], "").await;
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("set-cookie"), None, "it was executed");
        let told = preflight.header("access-control-allow-origin");
        assert_eq!(told == Some(origin), allowed);
        let methods = preflight.header("access-control-allow-methods");
        assert_eq!(methods, Some("GET, POST, OPTIONS"));
    }
    assert!(running.handle().sessions("alice").is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_old_pages_do_needs_its_switch() {
    let running = start(|settings| settings.ocim.compat = Default::default()).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "alice").await;
    // Tokens and passwords in URLs.
    let poll = json!({"type": "POLL", "ts": "POLLING"});
    let target = format!("{}&token={}", poll_io(&poll), poller.token);
    assert_eq!(request(address, "GET", &target, &[], "").await.status, 401);
    let agent = agent_auth("agent1", crate::desk::PASSWORD, "1");
    let refused = Ws::try_open(address, &agent, &[]).await.err().unwrap();
    assert_eq!(refused.status, 401);
    assert!(
        refused.json()["reason"]
            .as_str()
            .unwrap()
            .contains("credentials_in_url")
    );
    // Sending by GET.
    let refused = poller
        .ask("GET", &crate::ocim::message("p1", "hello"))
        .await;
    assert_eq!(refused.status, 405);
    assert_eq!(
        poller
            .ask("GET", &json!({"type": "CLOSE", "ts": "POLLING"}))
            .await
            .status,
        405
    );
    poller.say("p1", "hello").await.is_ok();
    // The way without: log in by POST, then open the WebSocket with the cookie.
    let login = request(address, "POST", "/ws.io", &[], &agent.to_string()).await;
    assert_eq!(login.status, 200, "{login:?}");
    let cookie = login.cookie().unwrap();
    let bare = json!({"type": "AUTH", "ts": "WEBSOCKET", "from": {"idy": "WAITER"}, "body": {"type": "LOGIN"}});
    let mut ws = Ws::try_open(address, &bare, &[("Cookie", &cookie)])
        .await
        .ok()
        .unwrap();
    ws.send(&json!({"type": "BIND"})).await;
    ws.until("BIND/SUCCESS").await;
    // It ends with the account.
    let access = running.access();
    let user = "agent1".to_owned();
    let remove = tidings_server::auth::Command::AccountRemove { user };
    tokio::task::spawn_blocking(move || access.execute(remove).unwrap())
        .await
        .unwrap();
    let refused = Ws::try_open(address, &bare, &[("Cookie", &cookie)]).await;
    assert_eq!(refused.err().unwrap().status, 401);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_sets_one_cookie_that_scripts_cannot_read() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let explorer = [(
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0)",
    )];
    let login = request(
        address,
        "GET",
        &poll_io(&auth("POLLING", "alice")),
        &explorer,
        "",
    )
    .await;
    assert_eq!(login.header("x-xss-protection"), Some("0"));
    let cookies: Vec<_> = login
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .collect();
    assert_eq!(cookies.len(), 1);
    let cookie = &cookies[0].1;
    assert!(cookie.starts_with("tidings-customer="));
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let token = login.json()["token"].as_str().unwrap().to_owned();
    assert!(cookie.contains(&token));
    // It is taken back as a cookie, in a header, in the query.
    let ping = json!({"type": "MESSAGE", "ts": "POLLING", "pid": "p", "body": {"type": "TEXT", "content": "x"}});
    let cookie = format!("other=1; tidings-customer={token}");
    let bearer = format!("Bearer {token}");
    let in_query = format!("/poll.io?token={token}");
    for (target, headers) in [
        ("/poll.io", vec![("Cookie", &*cookie)]),
        ("/poll.io", vec![("Authorization", &*bearer)]),
        (&*in_query, vec![]),
    ] {
        request(address, "POST", target, &headers, &ping.to_string())
            .await
            .is_ok();
    }
    // A wrong one is refused and, as a cookie, taken back: the page could not do that itself.
    let refused = request(
        address,
        "POST",
        "/poll.io",
        &[("Cookie", "tidings-customer=x")],
        &ping.to_string(),
    )
    .await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("set-cookie").unwrap().contains("Max-Age=0"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_himself_must_prove_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("jwt.key");
    std::fs::write(&key, "a key for the tokens of this test").unwrap();
    let running = start(|settings| {
        settings.auth.mode = tidings_server::config::AuthMode::Jwt;
        settings.auth.jwt.key_file = Some(key);
    })
    .await;
    let address = http(&running);
    let refused = request(address, "GET", &poll_io(&auth("POLLING", "alice")), &[], "").await;
    assert_eq!(refused.status, 401);
    let token = |sub: &str, exp: u64, key: &str| {
        let claims = json!({"sub": sub, "exp": exp});
        let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let right = "a key for the tokens of this test";
    for (uid, token, status) in [
        ("alice", token("alice", 1 << 40, right), 200),
        ("", token("alice", 1 << 40, right), 200),
        ("bob", token("alice", 1 << 40, right), 401),
        ("alice", token("alice", 1 << 40, "another key"), 401),
        ("alice", token("alice", 1, right), 401),
        ("", "nonsense".to_owned(), 401),
    ] {
        let mut packet = auth("POLLING", uid);
        packet["body"]["content"] = json!(token);
        let answer = request(address, "POST", "/poll.io", &[], &packet.to_string()).await;
        assert_eq!(answer.status, status, "{uid} {answer:?}");
        assert_eq!(answer.header("set-cookie").is_some(), status == 200);
    }
    // Anonymous visitors need no token, and get a name of their own.
    let visitor = Poller::log_in(address, "").await;
    visitor.say("p1", "hello").await.is_ok();
    let online = running.handle().online();
    assert!(online.iter().any(|user| user.user.starts_with('~')));
    assert!(!online.iter().any(|user| &*user.user == "bob"));
    running.stop().await;
}
