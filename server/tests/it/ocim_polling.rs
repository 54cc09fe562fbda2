//! OCIM's "v4 PollingTransport", "v4 LocalTransportStore", "v2 simulated packet exchange": the
//! answers of `docs/ocim.md` over real sockets. The hold and life times are tested with a virtual clock beside the code
//! (`crate::ocim::polling::tests`); here they are short.

use crate::ocim::{Poller, Ws, http, kind, poll_io, request, start};
use serde_json::{Value, json};
use tidings_server::store::Page;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn poll() -> Value {
    json!({"type": "POLL", "ts": "POLLING"})
}

fn pids(answer: &crate::ocim::Answer) -> Vec<String> {
    let json = answer.json();
    let packets = json.as_array().expect("not an array");
    let pid = |packet: &Value| packet["pid"].as_str().unwrap_or_default().to_owned();
    packets.iter().map(pid).collect()
}

fn seqs(answer: &crate::ocim::Answer) -> Vec<u64> {
    let json = answer.json();
    let packets = json.as_array().expect("not an array");
    packets
        .iter()
        .map(|packet| packet["seq"].as_u64().unwrap())
        .collect()
}

/// A message that needs no desk.
async fn tell(running: &tidings_server::Running, user: &str, id: &str) {
    let sent = running
        .handle()
        .send(user, format!("text of {id}"))
        .from("friend")
        .id(id);
    sent.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_comes_in_one_array_in_order_and_is_confirmed_once_written() {
    let running = start(|_| {}).await;
    let poller = Poller::log_in(http(&running), "alice").await;
    for id in ["m1", "m2", "m3"] {
        tell(&running, "alice", id).await;
    }
    // They arrive one after the other; without a confirmation what came comes again.
    let mut answer = poller.poll_ack(0).await;
    while pids(&answer).len() < 3 {
        answer = poller.poll_ack(0).await;
    }
    assert_eq!(pids(&answer), ["m1", "m2", "m3"]);
    assert_eq!(seqs(&answer), [1, 2, 3]);
    let packet = &answer.json()[0];
    assert_eq!(kind(packet), "MESSAGE/TEXT");
    assert_eq!(packet["body"]["content"], "text of m1");
    assert_eq!(packet["from"]["uid"], "friend");
    assert_eq!(packet["ver"], "1.0");
    // The poll before was written in full: this one confirms it, and waits for more.
    let held = tokio::spawn({
        let poller = poller.clone();
        async move { poller.poll().await }
    });
    tell(&running, "alice", "m4").await;
    assert_eq!(pids(&held.await.unwrap()), ["m4"]);
    // What is confirmed does not come again at another login either.
    let mut again = poller.clone();
    assert_eq!(pids(&again.poll_ack(3).await), ["m4"]);
    again.log_in_again().await;
    assert_eq!(pids(&again.poll().await), ["m4"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_written_in_full_comes_again() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "alice").await;
    // The page is gone while its poll is held.
    let bearer = format!("Bearer {}", poller.token);
    let mut stream = TcpStream::connect(address).await.unwrap();
    crate::ocim::send_request(
        &mut stream,
        "GET",
        &poll_io(&poll()),
        &[("Authorization", &bearer)],
        "",
    )
    .await;
    stream.shutdown().await.unwrap();
    // The server has noticed.
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    tell(&running, "alice", "m1").await;
    assert_eq!(pids(&poller.poll().await), ["m1"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_with_nothing_to_say_is_answered_ok() {
    let running = start(|settings| {
        settings.ocim.poll_hold_ms = 100;
    })
    .await;
    let poller = Poller::log_in(http(&running), "alice").await;
    poller.poll().await.is_ok();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_the_session_and_auth_alone_does_not_keep_it() {
    let running = start(|settings| {
        settings.ocim.poll_hold_ms = 100;
        settings.ocim.life_ms = 300;
    })
    .await;
    let poller = Poller::log_in(http(&running), "alice").await;
    assert_eq!(running.handle().sessions("alice").len(), 1);
    // AUTH without any POLL (defect 15).
    while !running.handle().sessions("alice").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(poller.poll().await.status, 400);
    assert_eq!(poller.say("p1", "hello").await.status, 500);
    // With its token it is the same customer again.
    let mut again = poller.clone();
    again.log_in_again().await;
    again.say("p1", "hello").await.is_ok();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_ping_and_close_are_answered_as_listed() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "alice").await;
    // PING: one packet object, `from` echoed, no body; no session needed.
    let ping = json!({"type": "PING", "ts": "POLLING", "from": {"uid": "x", "idy": "CUSTOMER"}});
    let pong = request(address, "GET", &poll_io(&ping), &[], "").await;
    assert_eq!(pong.status, 200);
    assert_eq!(
        pong.json(),
        json!({"type": "PONG", "from": {"uid": "x", "idy": "CUSTOMER"}})
    );
    // MESSAGE by POST, and by GET with everything in the URL as the old page does it.
    poller.say("p1", "hello 你好").await.is_ok();
    let mut packet = crate::ocim::message("p2", "by GET");
    packet["from"] = json!({"uid": "alice", "idy": "CUSTOMER"});
    packet["ttc"] = json!("evil");
    packet["unknown"] = json!([{}]);
    let target = format!("{}&token={}", poll_io(&packet), poller.token);
    request(address, "GET", &target, &[], "").await.is_ok();
    let handle = running.handle();
    let history = handle.history("alice", "@support", Page::After(0, 10));
    let texts: Vec<String> = history
        .await
        .unwrap()
        .iter()
        .filter(|m| &*m.from == "alice")
        .map(|m| m.body.to_string())
        .collect();
    assert_eq!(texts, ["hello 你好", "by GET"]);
    // Unsupported types, bodies that customers do not send, frames too long.
    assert_eq!(
        poller
            .ask("POST", &json!({"type": "BIND", "ts": "POLLING"}))
            .await
            .status,
        400
    );
    let tip = json!({"type": "MESSAGE", "ts": "POLLING", "body": {"type": "TIP", "content": "x"}});
    assert_eq!(poller.ask("POST", &tip).await.status, 400);
    let long = crate::ocim::message("p3", &"x".repeat(70_000));
    assert_eq!(poller.ask("POST", &long).await.status, 413);
    // CLOSE is answered; again, too (defect 15).
    let close = json!({"type": "CLOSE", "ts": "POLLING"});
    poller.ask("POST", &close).await.is_ok();
    assert!(running.handle().sessions("alice").is_empty());
    poller.ask("POST", &close).await.is_ok();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_sends_or_closes_as_somebody_else() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let alice = Poller::log_in(address, "alice").await;
    let mallory = Poller::log_in(address, "mallory").await;
    tell(&running, "alice", "for-alice").await;
    tell(&running, "mallory", "for-mallory").await;
    let of_alice = |kind: &str| {
        json!({
            "type": kind, "ts": "POLLING", "from": {"uid": "alice", "idy": "CUSTOMER"},
            "body": {"type": "TEXT", "content": "in her name"},
        })
    };
    for kind in ["POLL", "MESSAGE", "CLOSE"] {
        let none = request(
            address,
            "POST",
            "/poll.io",
            &[],
            &of_alice(kind).to_string(),
        )
        .await;
        assert_eq!(none.status, 401, "{kind}");
    }
    // `from.uid` says nothing: it is mallory who reads, writes and leaves.
    assert_eq!(
        pids(&mallory.ask("POST", &of_alice("POLL")).await),
        ["for-mallory"]
    );
    mallory.ask("POST", &of_alice("MESSAGE")).await.is_ok();
    mallory.ask("POST", &of_alice("CLOSE")).await.is_ok();
    let handle = running.handle();
    assert_eq!(handle.sessions("alice").len(), 1);
    assert!(handle.sessions("mallory").is_empty());
    assert_eq!(pids(&alice.poll().await), ["for-alice"]);
    let page = Page::After(0, 10);
    let of_alice = handle.history("alice", "@support", page).await.unwrap();
    assert!(of_alice.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_login_wins_and_the_old_page_is_told() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let old = Poller::log_in(address, "alice").await;
    let held = tokio::spawn({
        let old = old.clone();
        async move { old.poll().await }
    });
    let new = loop {
        let new = Poller::log_in(address, "alice").await;
        if held.is_finished() {
            break new;
        }
    };
    let told = held.await.unwrap().json();
    // A poll that comes between the end of the old session and the beginning of the new one is told
    // that there is none.
    if told.is_array() {
        assert_eq!(kind(&told[0]), "RE_LOGIN/CUSTOMER_CLOSE");
        assert_eq!(told[0]["body"]["content"], "会话重复开启");
    }
    // A page that did not hear it hears it at its next poll, and cannot send.
    assert_eq!(kind(&old.poll().await.json()[0]), "RE_LOGIN/CUSTOMER_CLOSE");
    assert_eq!(old.say("p1", "still here").await.status, 500);
    new.say("p1", "here").await.is_ok();
    assert_eq!(running.handle().sessions("alice").len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = crate::ocim::settings();
    settings.data = dir.path().to_owned();
    settings.delivery.durability = tidings_server::store::Durability::Os;
    let running = tidings_server::Server::start(settings.clone())
        .await
        .unwrap();
    crate::desk::furnish(&running).await;
    let mut poller = Poller::log_in(http(&running), "").await;
    poller.say("p1", "before").await.is_ok();
    let name = running.handle().online()[0].user.clone();
    assert!(name.starts_with('~'));
    running.stop().await;
    let running = tidings_server::Server::start(settings).await.unwrap();
    poller.address = http(&running);
    assert_eq!(
        poller.poll().await.status,
        400,
        "sessions end with the server"
    );
    poller.log_in_again().await;
    poller.say("p2", "after").await.is_ok();
    assert_eq!(running.handle().online()[0].user, name);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_changes_from_polling_to_a_websocket_and_back() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let poller = Poller::log_in(address, "").await;
    let name = running.handle().online()[0].user.clone();
    let cookie = format!("tidings-customer={}", poller.token);
    let again = crate::ocim::auth("WEBSOCKET", "");
    let ws = Ws::try_open(address, &again, &[("Cookie", &cookie)]).await;
    let mut ws = ws.ok().unwrap();
    ws.settle().await;
    assert_eq!(running.handle().sessions(&name).len(), 1);
    tell(&running, &name, "m1").await;
    assert_eq!(ws.text().await, "text of m1");
    ws.settle().await;
    tell(&running, &name, "m2").await;
    ws.pongs = false;
    assert_eq!(ws.text().await, "text of m2");
    // Not confirmed: it comes again.
    let token = ws
        .cookie
        .strip_prefix("tidings-customer=")
        .unwrap()
        .to_owned();
    let mut poller = Poller { address, token };
    poller.log_in_again().await;
    assert_eq!(pids(&poller.poll().await), ["m2"]);
    running.stop().await;
}
