//! OCIM's components, row by row, goes on from `ocim_rows.rs`: assignment, routing, storage.

use crate::ocim::{
    Poller, Ws, agent_auth, auth, content, http, kind, poll_io, request, served, start, status,
    text, to,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn customer_assign_status() {
    let running = start(|_| {}).await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    alice.say("p1", "one").await;
    alice.until("BUILD_CHAT/BUILDING_CHAT").await; // 0 → 2
    alice.say("p2", "two").await;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    alice.until("BUILD_CHAT/SUCCESS").await; // 2 → 1
    assert_eq!(agent.text().await, "one");
    assert_eq!(agent.text().await, "two");
    agent.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await; // 1 → 0
    alice.say("p3", "three").await;
    alice.until("BUILD_CHAT/BUILDING_CHAT").await; // and on
    assert_eq!(agent.text().await, "three");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routing_table_route_packet() {
    // OCIM's table of assignment, on one node.
    let running = start(|_| {}).await;
    let (mut agent, mut alice, cid) = served(&running, "agent1", "alice").await;
    // CUSTOMER, assigned: delivered with `cid`; from anybody else CHATTING/FAIL.
    agent
        .send(&to("alice", "MESSAGE", "r1", text("yes?")))
        .await;
    assert_eq!(alice.until("MESSAGE/TEXT").await["cid"], cid);
    let mut other = Ws::agent(http(&running), "agent2").await;
    other.send(&to("alice", "MESSAGE", "r2", text("no!"))).await;
    other.until("CHATTING/FAIL").await;
    // CUSTOMER, without a route: refused, and the session stays.
    other.send(&to("nobody", "MESSAGE", "r3", text("?"))).await;
    other.until("CHATTING/FAIL").await;
    other.settle().await;
    // WAITER: delivered; a packet of the customer without `to` goes to his own.
    alice.say("p2", "to my own").await;
    assert_eq!(agent.text().await, "to my own");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_customer_session_send_packet() {
    // Socket: `ocim_agents.rs`. One frame each on a WebSocket, one array for a poll.
    let running = start(|_| {}).await;
    let mut page = Ws::customer(http(&running), "alice").await;
    let poller = Poller::log_in(http(&running), "bob").await;
    for user in ["alice", "bob"] {
        for number in 0..2 {
            let id = format!("m{number}");
            let message = running
                .handle()
                .send(user, id.clone())
                .from("friend")
                .id(id);
            message.await.unwrap();
        }
    }
    assert_eq!(page.packet().await["pid"], "m0");
    assert_eq!(page.packet().await["pid"], "m1");
    let mut answer = poller.poll_ack(0).await.json();
    while answer.as_array().is_none_or(|packets| packets.len() < 2) {
        answer = poller.poll_ack(0).await.json();
    }
    assert_eq!(
        (&answer[0]["pid"], &answer[1]["pid"]),
        (&json!("m0"), &json!("m1"))
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deal_offline_waiter_packet() {
    let running = start(|_| {}).await;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    let alice = Poller::log_in(http(&running), "alice").await;
    alice.say("first", "hello").await.is_ok();
    agent.until("MESSAGE/TEXT").await;
    let close = json!({"type": "CLOSE", "ts": "POLLING"});
    alice.ask("POST", &close).await.is_ok();
    agent.until("CLOSE_CHAT/CUSTOMER_CLOSE").await;
    // She has gone. What is written to her waits; a slip that is recalled is gone from it.
    for (pid, words) in [("r1", "a slip"), ("r2", "call us")] {
        agent.send(&to("alice", "MESSAGE", pid, text(words))).await;
    }
    agent
        .send(&to("alice", "REVOCATION", "r1", json!({})))
        .await;
    agent.settle().await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "call us") {
        let packet = alice.packet().await;
        if kind(&packet) == "MESSAGE/TEXT" {
            texts.push(packet["body"]["content"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(texts, ["call us"]);
    running.stop().await;
}

// "PacketStoreManager OFFLINE" and "PacketStoreListener local + kafka": `desk_sinks.rs`.

#[tokio::test(flavor = "multi_thread")]
async fn packet_store_manager_revocation() {
    let running = start(|_| {}).await;
    let (mut agent, mut alice, cid) = served(&running, "agent1", "alice").await;
    agent
        .send(&to("alice", "MESSAGE", "r1", text("a secret")))
        .await;
    assert_eq!(alice.text().await, "a secret");
    let recall = |pid: &str| json!({"type": "REVOCATION", "pid": pid, "cid": cid});
    agent.send(&recall("r1")).await;
    assert_eq!(alice.until("REVOCATION").await["pid"], "r1");
    let page = tidings_server::store::Page::Before(u64::MAX, 100);
    let history = running
        .handle()
        .history("alice", "@support", page)
        .await
        .unwrap();
    assert!(
        history
            .iter()
            .all(|message| !message.body.contains("a secret"))
    );
    // Once; not what there is not; not what somebody else wrote.
    let mut other = Ws::agent(http(&running), "agent2").await;
    for (agent, pid) in [(&mut agent, "r1"), (&mut other, "r1")] {
        agent.send(&recall(pid)).await;
        agent.until("REVOCATION/FAIL").await;
    }
    agent.send(&recall("unknown")).await;
    agent.until("REVOCATION/FAIL").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_chain_dispatcher_customer_packet() {
    let running = start(|_| {}).await;
    let (mut agent, mut alice, cid) = served(&running, "agent1", "alice").await;
    let forged = json!({
        "type": "MESSAGE", "pid": "p2", "cid": "999",
        "from": {"uid": "boss", "idy": "WAITER"}, "body": text("who am I?"),
    });
    alice.send(&forged).await;
    let seen = agent.until("MESSAGE/TEXT").await;
    assert_eq!(
        (&seen["from"]["uid"], &seen["from"]["idy"], &seen["cid"]),
        (&json!("alice"), &json!("CUSTOMER"), &cid)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_packet() {
    let running = start(|_| {}).await;
    let alice = Poller::log_in(http(&running), "alice").await;
    for number in 0..5 {
        alice
            .say(&format!("p{number}"), &number.to_string())
            .await
            .is_ok();
    }
    let mut agent = Ws::agent(http(&running), "agent1").await;
    agent.until("BUILD_CHAT/SUCCESS").await;
    for number in 0..5 {
        assert_eq!(agent.text().await, number.to_string());
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn register_assign_event() {
    let running = start(|_| {}).await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    for number in 0..10 {
        alice.say(&format!("p{number}"), "quick").await;
    }
    let mut building = 0;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    loop {
        match &*kind(&alice.packet().await) {
            "BUILD_CHAT/BUILDING_CHAT" => building += 1,
            "BUILD_CHAT/SUCCESS" => break,
            _ => {}
        }
    }
    assert_eq!(building, 1);
    agent.until("BUILD_CHAT/SUCCESS").await;
    for _ in 0..10 {
        // One chat, and no second notice of it between its texts.
        let packet = agent.packet().await;
        assert_ne!(kind(&packet), "BUILD_CHAT/SUCCESS");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allot_dispatcher_register_allot_event() {
    let running = start(|_| {}).await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    alice.say("p1", "one").await;
    alice.say("p2", "two").await;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    let first = agent.until("BUILD_CHAT/SUCCESS").await["cid"].clone();
    agent.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    alice.say("p3", "again").await;
    let second = agent.until("BUILD_CHAT/SUCCESS").await["cid"].clone();
    assert_ne!(first, second);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_register() {
    let running = start(|_| {}).await;
    let mut waiting = Vec::new();
    for name in ["c1", "c2", "c3", "c4"] {
        let mut ws = Ws::customer(http(&running), name).await;
        ws.say("p1", "hello").await;
        ws.until("BUILD_CHAT/BUILDING_CHAT").await;
        waiting.push(ws);
    }
    // The second gives up: whoever comes after him moves up, and he is given to nobody.
    waiting[1].send(&json!({"type": "CLOSE_CHAT"})).await;
    waiting[1].settle().await;
    let mut one = Ws::agent(http(&running), "agent1").await;
    let mut given = Vec::new();
    for _ in 0..2 {
        given.push(one.until("BUILD_CHAT/SUCCESS").await["from"]["uid"].clone());
    }
    let mut two = Ws::agent(http(&running), "agent2").await;
    given.push(two.until("BUILD_CHAT/SUCCESS").await["from"]["uid"].clone());
    assert_eq!(given, ["c1", "c3", "c4"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_scheduler_build_relation_build_chat() {
    // The order of notices: `ocim_websocket.rs`; what holds under every order of events:
    // `core/src/desk/tests`. Here: never above the capacity, and a slot serves the head.
    let running = start(|_| {}).await;
    let mut agent = Ws::agent(http(&running), "agent1").await; // capacity 2
    let mut customers = Vec::new();
    for name in ["c1", "c2", "c3", "c4"] {
        let mut ws = Ws::customer(http(&running), name).await;
        ws.say("p1", "hello").await;
        if name != "c4" {
            // His place is told to whoever is there, and may come before this.
            ws.until("BUILD_CHAT/BUILDING_CHAT").await;
        }
        customers.push(ws);
    }
    let mut cids = Vec::new();
    for name in ["c1", "c2"] {
        let given = agent.until("BUILD_CHAT/SUCCESS").await;
        assert_eq!(given["from"]["uid"], name);
        cids.push(given["cid"].clone());
    }
    assert_ne!(cids[0], cids[1]);
    assert_eq!(
        customers[3].until("BUILD_CHAT/WAITING").await["body"]["content"],
        "2"
    );
    agent.send(&to("c1", "CLOSE_CHAT", "", json!({}))).await;
    let given = agent.until("BUILD_CHAT/SUCCESS").await;
    assert_eq!(given["from"]["uid"], "c3");
    let moved = customers[3].until("BROADCAST/WAITING_NO").await;
    assert_eq!(moved["body"]["content"], "1");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn near_service_provider() {
    let running = start(|_| {}).await;
    let (mut one, mut alice, _) = served(&running, "agent1", "alice").await;
    let mut two = Ws::agent(http(&running), "agent2").await;
    one.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    // agent2 has never had anybody; she still gets whom she had.
    alice.say("p2", "one thing more").await;
    assert_eq!(
        one.until("BUILD_CHAT/SUCCESS").await["from"]["uid"],
        "alice"
    );
    one.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    // He is not there for new ones: another.
    status(&mut one, "2").await;
    alice.say("p3", "and another").await;
    assert_eq!(
        two.until("BUILD_CHAT/SUCCESS").await["from"]["uid"],
        "alice"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_type_websocket_polling() {
    let running = start(|_| {}).await;
    let address = http(&running);
    // The transport is chosen by `ts`, whatever the path.
    let polling = auth("POLLING", "");
    let target = poll_io(&polling).replace("/poll.io", "/ws.io");
    assert_eq!(request(address, "GET", &target, &[], "").await.status, 200);
    Ws::customer(address, "").await.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_type_bind() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "hello").await;
    let mut agent = Ws::open(address, &agent_auth("agent1", crate::desk::PASSWORD, "1")).await;
    agent.send(&json!({"type": "PING"})).await;
    assert_eq!(
        kind(&agent.packet().await),
        "PONG/TEXT",
        "nothing before BIND"
    );
    agent.send(&json!({"type": "BIND", "body": {}})).await;
    let bound = agent.packet().await;
    assert_eq!(kind(&bound), "BIND/SUCCESS");
    assert_eq!(content(&bound)["waiterCode"], "agent1");
    assert_eq!(
        agent.until("BUILD_CHAT/SUCCESS").await["from"]["uid"],
        "alice"
    );
    let mut second = Ws::agent(address, "agent1").await;
    agent.until("RE_LOGIN/WAITER_CLOSE").await;
    assert_eq!(
        second.until("BUILD_CHAT/SUCCESS").await["from"]["uid"],
        "alice"
    );
    second.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_type_reception() {
    let running = start(|_| {}).await;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    status(&mut agent, "2").await;
    agent.send(&json!({"type": "RECEPTION"})).await;
    agent.until("RECEPTION/FAIL").await;
    let mut customers = Vec::new();
    for name in ["c1", "c2", "c3"] {
        let mut ws = Ws::customer(http(&running), name).await;
        ws.say("p1", "hello").await;
        ws.until("BUILD_CHAT/BUILDING_CHAT").await;
        customers.push(ws);
    }
    // Busy, and in the end above his capacity of 2.
    for name in ["c1", "c2", "c3"] {
        agent.send(&json!({"type": "RECEPTION"})).await;
        assert_eq!(agent.until("BUILD_CHAT/SUCCESS").await["from"]["uid"], name);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiter_customer_communication() {
    let running = start(|_| {}).await;
    let (mut agent, mut page, _) = served(&running, "agent1", "page").await;
    page.say("p2", "from a page").await;
    assert_eq!(agent.text().await, "from a page");
    agent
        .send(&to("page", "MESSAGE", "r1", text("to a page")))
        .await;
    assert_eq!(page.text().await, "to a page");
    let polls = Poller::log_in(http(&running), "polls").await;
    polls.say("p1", "by polling").await.is_ok();
    assert_eq!(agent.text().await, "by polling");
    agent
        .send(&to("polls", "MESSAGE", "r2", text("to who polls")))
        .await;
    let said = polls.until(|packet| kind(packet) == "MESSAGE/TEXT").await;
    assert_eq!(said["body"]["content"], "to who polls");
    let mut other = Ws::agent(http(&running), "agent2").await;
    other
        .send(&to("page", "MESSAGE", "r3", text("mine?")))
        .await;
    other.until("CHATTING/FAIL").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certification_center_authorize_by_waiter() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let wrong = Ws::try_open(address, &agent_auth("agent1", "wrong password", "1"), &[]).await;
    assert_eq!(wrong.err().unwrap().status, 401);
    let mut busy = Ws::open(address, &agent_auth("agent1", crate::desk::PASSWORD, "2")).await;
    busy.send(&json!({"type": "BIND", "body": {}})).await;
    assert_eq!(content(&busy.until("BIND/SUCCESS").await)["status"], "2");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_close_chat_change_status() {
    let running = start(|_| {}).await;
    let (mut one, mut alice, cid) = served(&running, "agent1", "alice").await;
    let mut two = Ws::agent(http(&running), "agent2").await;
    let transfer = |to: &str| {
        let content = json!({"uid": "alice", "toWc": to, "reason": "yours"}).to_string();
        json!({"type": "TRANSFER", "cid": cid, "body": {"type": "TRANSFER_WAITER", "content": content}})
    };
    // Not to somebody who is busy; the giver keeps her.
    status(&mut two, "2").await;
    one.send(&transfer("agent2")).await;
    one.until("TRANSFER/FAIL").await;
    status(&mut two, "1").await;
    // Not by somebody who does not serve her.
    two.send(&transfer("agent2")).await;
    two.until("TRANSFER/FAIL").await;
    one.send(&transfer("agent2")).await;
    one.until("TRANSFER/SUCCESS").await;
    two.until("BUILD_TRANSFER_CHAT/TRANSFER_WAITER").await;
    alice.until("TRANSFER/SUCCESS").await;
    // The slot is free: two more come to the giver.
    let mut more = Vec::new();
    for name in ["c1", "c2"] {
        let mut ws = Ws::customer(http(&running), name).await;
        ws.say("p1", "hello").await;
        ws.until("BUILD_CHAT/BUILDING_CHAT").await;
        more.push(ws);
    }
    assert_eq!(one.until("BUILD_CHAT/SUCCESS").await["from"]["uid"], "c1");
    // Only her own agent closes her chat.
    one.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    one.settle().await;
    two.send(&to("alice", "MESSAGE", "r1", text("still here")))
        .await;
    assert_eq!(alice.text().await, "still here");
    two.send(&to("alice", "CLOSE_CHAT", "", json!({}))).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_note_v4() {
    // The endings: data, the time-out's answer, a network error; the page polls again after each.
    let running = start(|settings| settings.ocim.poll_hold_ms = 150).await;
    let alice = Poller::log_in(http(&running), "alice").await;
    alice.poll().await.is_ok();
    let mut cut = tokio::net::TcpStream::connect(http(&running))
        .await
        .unwrap();
    let target = poll_io(&json!({"type": "POLL", "ts": "POLLING"}));
    let bearer = format!("Bearer {}", alice.token);
    let headers = [("Authorization", &*bearer)];
    crate::ocim::send_request(&mut cut, "GET", &target, &headers, "").await;
    cut.shutdown().await.unwrap();
    assert_eq!(
        cut.read(&mut [0]).await.unwrap_or(0),
        0,
        "the server has noticed"
    );
    let said = running
        .handle()
        .send("alice", "not lost")
        .from("friend")
        .id("m1");
    said.await.unwrap();
    let packet = alice.until(|packet| packet["pid"] == "m1").await;
    assert_eq!(packet["body"]["content"], "not lost");
    running.stop().await;
}
