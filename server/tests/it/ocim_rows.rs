//! OCIM's components, row by row: what each must show, over real sockets. Rows that need two nodes come with the cluster. Where a row has tests elsewhere they are
//! named; `ocim_*.rs` and `desk_*.rs` go further than these.

use crate::ocim::{Poller, Ws, auth, http, poll_io, request, served, start, text};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn v1_websocket() {
    let running = start(|_| {}).await;
    let (mut one, mut two) = (
        Ws::customer(http(&running), "one").await,
        Ws::customer(http(&running), "two").await,
    );
    for ws in [&mut one, &mut two] {
        ws.say("p1", "is anybody there?").await;
        ws.until("BUILD_CHAT/BUILDING_CHAT").await; // it was received
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_authorization_handler() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let get = |target: String| async move {
        let origin = [("Origin", "http://shop.example")];
        request(address, "GET", &target, &origin, "").await
    };
    assert_eq!(get(poll_io(&auth("POLLING", ""))).await.json()["ret"], "ok");
    let wrong_ts = json!({"type": "AUTH", "ts": "SOCKET", "body": {"type": "LOGIN"}});
    let unsigned = "/poll.io?packet=%7B%22type%22%3A%22POLL%22%7D&token=forged".to_owned();
    for refused in [
        "/poll.io".to_owned(),
        "/poll.io?packet=%7B".to_owned(),
        poll_io(&wrong_ts),
        poll_io(&json!({"type": "POLL", "ts": "POLLING"})),
        unsigned,
    ] {
        let answer = get(refused.clone()).await;
        assert_eq!(answer.status, 401, "{refused}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("http://shop.example"),
            "{refused}"
        );
    }
    assert!(running.handle().online().len() <= 1, "no session was made");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_chain_authorization_polling_websocket() {
    // The order of the steps in a trace: `ocim_trace.rs`.
    let running = start(|_| {}).await;
    let address = http(&running);
    let polled = request(address, "GET", &poll_io(&auth("POLLING", "")), &[], "").await;
    assert_eq!(polled.status, 200);
    Ws::customer(address, "").await.settle().await;
    let unknown = request(address, "GET", "/elsewhere.io?packet=%7B%7D", &[], "").await;
    assert!((400..500).contains(&unknown.status));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_simulated_packet_exchange() {
    let running = start(|_| {}).await;
    let (mut agent, mut alice, cid) = served(&running, "agent1", "alice").await;
    let packet = json!({
        "type": "MESSAGE", "pid": "p2", "ttc": "evil", "tmc": "evil", "colour": {"of": "no matter"},
        "body": text("with more members than one knows"),
    });
    alice.send(&packet).await;
    let seen = agent.until("MESSAGE/TEXT").await;
    assert_eq!(seen["body"]["content"], "with more members than one knows");
    assert_eq!(
        (&seen["cid"], seen.get("ttc"), seen.get("tmc")),
        (&cid, None, None)
    );
    alice.settle().await; // PING, PONG
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_routing_table_demo() {
    // The part of one node: looking does not remove, leaving does, and an old session's end does not
    // end the new one.
    let running = start(|_| {}).await;
    let (address, handle) = (http(&running), running.handle());
    let mut first = Ws::customer(address, "alice").await;
    first.settle().await;
    for _ in 0..3 {
        assert_eq!(handle.sessions("alice").len(), 1);
    }
    let mut second = Ws::customer(address, "alice").await;
    first.until("RE_LOGIN/CUSTOMER_CLOSE").await;
    drop(first);
    second.settle().await;
    assert_eq!(handle.sessions("alice").len(), 1, "only the newest");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_default_custom_queue() {
    let running = start(|_| {}).await;
    let poller = Poller::log_in(http(&running), "alice").await;
    let producers = (0..4).map(|producer| {
        let handle = running.handle();
        tokio::spawn(async move {
            for number in 0..20 {
                let id = format!("{producer}-{number}");
                let message = handle.send("alice", id.clone()).from("friend").id(id);
                message.await.unwrap();
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.unwrap();
    }
    // Taken in order of each producer, nothing lost, nothing twice.
    let mut next = [0; 4];
    while next != [20; 4] {
        for packet in poller.poll().await.json().as_array().into_iter().flatten() {
            let pid = packet["pid"].as_str().unwrap();
            let (producer, number) = pid.split_once('-').unwrap();
            let next = &mut next[producer.parse::<usize>().unwrap()];
            assert_eq!(number.parse::<i32>().unwrap(), *next, "{pid}");
            *next += 1;
        }
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_local_transport_store() {
    let running = start(|_| {}).await;
    let poller = Poller::log_in(http(&running), "alice").await;
    // Typed before there is an agent: kept for him, not for the customer's own outlet.
    poller.say("future", "hello?").await.is_ok();
    for number in 0..3 {
        let id = format!("m{number}");
        let message = running
            .handle()
            .send("alice", id.clone())
            .from("friend")
            .id(id);
        message.await.unwrap();
    }
    let mut pids = Vec::new();
    while pids.len() < 3 {
        for packet in poller.poll().await.json().as_array().into_iter().flatten() {
            assert_ne!(packet["pid"], "future");
            if packet["type"] == "MESSAGE" {
                pids.push(packet["pid"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(pids, ["m0", "m1", "m2"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_polling_transport() {
    // Hold, life and replacement: `ocim_polling.rs`, and on a virtual clock beside the code.
    let running = start(|settings| settings.ocim.poll_hold_ms = 200).await;
    let alice = Poller::log_in(http(&running), "alice").await;
    alice.poll().await.is_ok(); // nothing to say
    let (held, ()) = tokio::join!(alice.poll(), async {
        let said = running
            .handle()
            .send("alice", "wake up")
            .from("friend")
            .id("m1");
        said.await.unwrap();
    });
    if held.json().is_object() {
        held.is_ok(); // it ended just before
    } else {
        assert_eq!(held.json()[0]["pid"], "m1");
    }
    let mallory = Poller::log_in(http(&running), "mallory").await;
    let stolen = json!({"type": "POLL", "ts": "POLLING", "from": {"uid": "alice"}});
    mallory.ask("GET", &stolen).await.is_ok(); // her own poll, with nothing to say
    let pong = alice
        .ask("GET", &json!({"type": "PING", "ts": "POLLING"}))
        .await;
    assert_eq!(pong.json()["type"], "PONG");
    alice
        .ask("POST", &json!({"type": "CLOSE", "ts": "POLLING"}))
        .await
        .is_ok();
    running.stop().await;
}
