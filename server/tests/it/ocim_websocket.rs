//! OCIM's "v1 websocket", "waiter ↔ customer communication", "PacketType.BIND", and the rest of what
//! customers and agents do over `/ws.io`.

use crate::ocim::{Frame, Poller, Ws, agent_auth, auth, http, kind, start};
use serde_json::{Value, json};
use tidings_server::core::wire::websocket::Opcode;

fn content(packet: &Value) -> Value {
    serde_json::from_str(packet["body"]["content"].as_str().unwrap()).unwrap()
}

/// A packet of an agent to a customer.
fn to(customer: &str, kind: &str, body: Value) -> Value {
    json!({"type": kind, "pid": "r1", "to": {"uid": customer, "idy": "CUSTOMER"}, "body": body})
}

fn text(text: &str) -> Value {
    json!({"type": "TEXT", "content": text})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_at_once_are_served_and_closes_are_echoed() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut alice = Ws::customer(address, "alice").await;
    let mut bob = Ws::customer(address, "bob").await;
    for ws in [&mut alice, &mut bob] {
        ws.send(&json!({"type": "PING"})).await;
        let pong = ws.until("PONG/TEXT").await;
        assert!(
            pong["body"]["content"]
                .as_str()
                .unwrap()
                .parse::<i64>()
                .unwrap()
                > 0
        );
        ws.say("p1", "hello").await;
        assert_eq!(kind(&ws.packet().await), "BUILD_CHAT/BUILDING_CHAT");
    }
    // Fragments, and a protocol ping between them.
    let ping = json!({"type": "PING"}).to_string();
    alice
        .frame(Opcode::Text, false, &ping.as_bytes()[..5])
        .await;
    alice.frame(Opcode::Ping, true, b"are you there").await;
    alice
        .frame(Opcode::Continuation, true, &ping.as_bytes()[5..])
        .await;
    let mut came = Vec::new();
    while came.len() < 2 {
        match alice.next().await {
            Frame::Pong(payload) => came.push(String::from_utf8(payload).unwrap()),
            Frame::Packet(packet) if packet["type"] == "PONG" => came.push("PONG".to_owned()),
            Frame::Packet(_) | Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, ["are you there", "PONG"]);
    // A clean close is echoed with its code.
    alice
        .frame(Opcode::Close, true, &1000u16.to_be_bytes())
        .await;
    loop {
        match alice.next().await {
            Frame::Close(code) => break assert_eq!(code, Some(1000)),
            Frame::End => panic!("not echoed"),
            _ => {}
        }
    }
    bob.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_too_long_or_not_text_close_with_their_code() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let long = vec![b' '; 65_537];
    for (opcode, payload, code) in [
        (Opcode::Text, &long[..], 1009),
        (Opcode::Binary, &b"x"[..], 1003),
        (Opcode::Text, &b"\xff"[..], 1007),
    ] {
        let mut ws = Ws::customer(address, "alice").await;
        ws.frame(opcode, true, payload).await;
        loop {
            match ws.next().await {
                Frame::Close(told) => break assert_eq!(told, Some(code)),
                Frame::End => panic!("no close frame"),
                _ => {}
            }
        }
    }
    // What is no packet is answered, and the session stays.
    let mut ws = Ws::customer(address, "alice").await;
    ws.frame(Opcode::Text, true, b"{\"type\":\"NOTHING\"}")
        .await;
    assert_eq!(kind(&ws.packet().await), "CHATTING/FAIL");
    ws.send(&json!({"type": "BIND"})).await;
    assert_eq!(kind(&ws.packet().await), "CHATTING/FAIL");
    ws.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_noticed_and_pongs_are_signs_of_life() {
    let running = start(|settings| settings.ocim.idle_ms = 200).await;
    let address = http(&running);
    let mut silent = Ws::customer(address, "alice").await;
    let mut alive = Ws::customer(address, "bob").await;
    silent.pongs = false;
    let watch = async {
        let mut pings = 0;
        loop {
            match silent.next().await {
                Frame::Ping(_) => pings += 1,
                Frame::Close(code) => break (code, pings > 0),
                Frame::End => panic!("no close frame"),
                _ => {}
            }
        }
    };
    // The other one answers pings for as long as that takes, and longer.
    let keep = async {
        for _ in 0..5 {
            assert!(matches!(alive.next().await, Frame::Ping(_)));
        }
    };
    let (told, ()) = tokio::join!(watch, keep);
    assert_eq!(told, (Some(1001), true));
    alive.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_an_upgrade_that_does_not_complete() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let plain = crate::ocim::request(
        address,
        "GET",
        &crate::ocim::ws_io(&auth("WEBSOCKET", "alice")),
        &[],
        "",
    )
    .await;
    assert_eq!(plain.status, 426);
    assert_eq!(plain.header("set-cookie"), None);
    let headers = [("Sec-WebSocket-Key", "short")];
    let _ = Ws::try_open(
        address,
        &json!({"type": "POLL", "ts": "WEBSOCKET"}),
        &headers,
    )
    .await;
    assert!(running.handle().sessions("alice").is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_password_and_status_count() {
    let running = start(|_| {}).await;
    let address = http(&running);
    for (user, password) in [("agent1", "wrong"), ("nobody", crate::desk::PASSWORD)] {
        let refused = Ws::try_open(address, &agent_auth(user, password, "1"), &[]).await;
        assert_eq!(refused.err().unwrap().status, 401);
    }
    let mut busy = Ws::open(address, &agent_auth("agent1", crate::desk::PASSWORD, "2")).await;
    busy.send(&json!({"type": "BIND"})).await;
    let bound = busy.until("BIND/SUCCESS").await;
    assert_eq!(bound["to"]["uid"], "agent1");
    let own = content(&bound);
    assert_eq!(
        (&own["status"], &own["maxReception"]),
        (&json!("2"), &json!(2))
    );
    assert_eq!(own["tenantCode"], "demo");
    // Busy: a customer waits; on going online he comes.
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "hello").await;
    assert_eq!(
        alice.until("BUILD_CHAT/WAITING").await["body"]["content"],
        "1"
    );
    busy.send(&json!({"type": "CHANGE_STATUS", "body": text("1")}))
        .await;
    assert_eq!(
        busy.until("BUILD_CHAT/SUCCESS").await["from"]["uid"],
        "alice"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_bind_an_agent_is_told_nothing_and_a_second_login_kicks_the_first() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "hello").await;
    alice.until("BUILD_CHAT/WAITING").await;
    let mut first = Ws::open(address, &agent_auth("agent1", crate::desk::PASSWORD, "1")).await;
    first.send(&json!({"type": "PING"})).await;
    assert_eq!(kind(&first.packet().await), "PONG/TEXT");
    first.send(&to("alice", "MESSAGE", text("too early"))).await;
    assert_eq!(kind(&first.packet().await), "CHATTING/FAIL");
    first.send(&json!({"type": "BIND"})).await;
    assert_eq!(kind(&first.packet().await), "BIND/SUCCESS");
    first.until("BUILD_CHAT/SUCCESS").await;
    assert_eq!(first.text().await, "hello");
    first.settle().await;
    let mut second = Ws::agent(address, "agent1").await;
    let told = first.until("RE_LOGIN/WAITER_CLOSE").await;
    assert_eq!(told["body"]["content"], "会话重复开启");
    // The new one has the customer.
    second.until("BUILD_CHAT/SUCCESS").await;
    second
        .send(&to("alice", "MESSAGE", text("here I am")))
        .await;
    assert_eq!(alice.text().await, "here I am");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_page_of_a_customer_takes_over_and_the_first_is_told() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut first = Ws::customer(address, "alice").await;
    first.settle().await;
    let mut second = Ws::customer(address, "alice").await;
    let told = first.until("RE_LOGIN/CUSTOMER_CLOSE").await;
    assert_eq!(told["body"]["content"], "会话重复开启");
    loop {
        match first.next().await {
            Frame::Close(code) => break assert_eq!(code, Some(1000)),
            Frame::End => panic!("no close frame"),
            _ => {}
        }
    }
    second.settle().await;
    assert_eq!(running.handle().sessions("alice").len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_come_in_their_order_and_texts_both_ways() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut agent = Ws::agent(address, "agent1").await;
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "one").await;
    alice.say("p2", "two").await;
    assert_eq!(kind(&alice.packet().await), "BUILD_CHAT/BUILDING_CHAT");
    let success = alice.until("BUILD_CHAT/SUCCESS").await;
    assert!(success["pid"].as_str().unwrap().starts_with("901-"));
    assert_eq!(
        (&success["from"]["uid"], &success["from"]["idy"]),
        (&json!("agent1"), &json!("SYS"))
    );
    let about = content(&success);
    assert_eq!(
        (&about["ttc"], &about["tmc"]),
        (&json!("demo"), &json!("support"))
    );
    let cid = success["cid"].clone();
    let greeting = alice.packet().await;
    assert_eq!(kind(&greeting), "BUILD_CHAT/TEAM_GREET");
    assert!(greeting["pid"].as_str().unwrap().starts_with("909-"));
    assert_eq!(greeting["body"]["content"], "welcome");
    let greeting = alice.packet().await;
    assert_eq!(kind(&greeting), "BUILD_CHAT/WAITER_GREET");
    assert!(greeting["pid"].as_str().unwrap().starts_with("902-"));

    let given = agent.until("BUILD_CHAT/SUCCESS").await;
    assert!(given["pid"].as_str().unwrap().starts_with("904-"));
    assert_eq!(
        (&given["from"]["uid"], &given["cid"]),
        (&json!("alice"), &cid)
    );
    let first = agent.until("MESSAGE/TEXT").await;
    assert_eq!(
        (&first["pid"], &first["from"]["idy"]),
        (&json!("p1"), &json!("CUSTOMER"))
    );
    assert_eq!(agent.text().await, "two");
    agent
        .send(&to("alice", "MESSAGE", text("<b>yes?</b>")))
        .await;
    let said = alice.until("MESSAGE/TEXT").await;
    assert_eq!(said["body"]["content"], "<b>yes?</b>");
    assert_eq!((&said["pid"], &said["cid"]), (&json!("r1"), &cid));
    assert_eq!(
        (&said["from"]["uid"], &said["from"]["idy"]),
        (&json!("agent1"), &json!("WAITER"))
    );
    // `from` and `cid` of the customer are the server's to say.
    let forged = json!({"type": "MESSAGE", "pid": "p3", "cid": "999", "from": {"uid": "bob"}, "body": text("three")});
    alice.send(&forged).await;
    let seen = agent.until("MESSAGE/TEXT").await;
    assert_eq!(
        (&seen["from"]["uid"], &seen["cid"]),
        (&json!("alice"), &cid)
    );
    // Recall, by the same pid.
    agent
        .send(&json!({"type": "REVOCATION", "pid": "r1", "cid": cid}))
        .await;
    let recalled = alice.until("REVOCATION").await;
    assert_eq!((&recalled["pid"], &recalled["cid"]), (&json!("r1"), &cid));
    // Somebody else's customer.
    let mut other = Ws::agent(address, "agent2").await;
    other.send(&to("alice", "MESSAGE", text("mine?"))).await;
    let refused = other.until("CHATTING/FAIL").await;
    assert_eq!(refused["pid"], "r1");
    // The end, and a rating.
    agent.send(&json!({"type": "CLOSE_CHAT", "cid": cid})).await;
    alice.until("CLOSE_CHAT/WAITER_CLOSE").await;
    let rating = json!({"type": "EVALUATE", "cid": cid, "body": {"type": "TEXT", "content": "{\"opinion\":5,\"suggest\":\"\"}"}});
    alice.send(&rating).await;
    alice.settle().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_polls_and_an_agent_with_a_websocket() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut agent = Ws::agent(address, "agent1").await;
    let alice = Poller::log_in(address, "alice").await;
    alice.say("p1", "hello").await.is_ok();
    let building = alice.until(|p| kind(p) == "BUILD_CHAT/BUILDING_CHAT").await;
    assert_eq!(building["body"]["content"], "正在分配客服");
    assert_eq!(agent.text().await, "hello");
    agent.send(&to("alice", "MESSAGE", text("good day"))).await;
    let said = alice.until(|p| kind(p) == "MESSAGE/TEXT").await;
    assert_eq!(said["body"]["content"], "good day");
    alice
        .ask("POST", &json!({"type": "CLOSE", "ts": "POLLING"}))
        .await
        .is_ok();
    let closed = agent.until("CLOSE_CHAT/CUSTOMER_CLOSE").await;
    assert_eq!(closed["from"]["uid"], "alice");
    assert_eq!(closed["body"]["content"], "客户结束会话");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer_reception_and_queue_length() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let mut one = Ws::agent(address, "agent1").await;
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "hello").await;
    let cid = one.until("BUILD_CHAT/SUCCESS").await["cid"].clone();
    let mut two = Ws::agent(address, "agent2").await;
    let ask = |content: Value| json!({"type": "TRANSFER", "cid": cid, "body": {"type": "TRANSFER_WAITER", "content": content.to_string()}});
    one.send(&ask(json!({"uid": "alice", "toWc": "nobody"})))
        .await;
    let failed = one.until("TRANSFER/FAIL").await;
    assert!(
        failed["body"]["content"]
            .as_str()
            .unwrap()
            .starts_with("转接客户失败")
    );
    one.send(&ask(
        json!({"uid": "alice", "toWc": "agent2", "reason": "she is in a hurry"}),
    ))
    .await;
    assert_eq!(one.until("TRANSFER/SUCCESS").await["cid"], cid);
    let given = two.until("BUILD_TRANSFER_CHAT/TRANSFER_WAITER").await;
    assert!(
        content(&given)["reason"]
            .as_str()
            .unwrap()
            .contains("she is in a hurry")
    );
    alice.until("TRANSFER/SUCCESS").await;
    // Busy agents are not assigned anything, but may pull; an empty queue is a clear answer.
    for agent in [&mut one, &mut two] {
        agent
            .send(&json!({"type": "CHANGE_STATUS", "body": text("2")}))
            .await;
    }
    two.send(&json!({"type": "RECEPTION"})).await;
    two.until("RECEPTION/FAIL").await;
    let mut bob = Ws::customer(address, "bob").await;
    bob.say("p1", "hello?").await;
    loop {
        let queue = one.until("BROADCAST/WAITING_NO").await;
        if queue["body"]["content"] == "1" {
            break;
        }
    }
    one.send(&json!({"type": "RECEPTION"})).await;
    assert_eq!(one.until("BUILD_CHAT/SUCCESS").await["from"]["uid"], "bob");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_websocket_keeps_the_chat_for_a_while_and_then_gives_it_up() {
    let running = start(|settings| {
        settings.ocim.poll_hold_ms = 100;
        settings.ocim.life_ms = 1_500;
    })
    .await;
    let address = http(&running);
    let mut agent = Ws::agent(address, "agent1").await;
    let mut alice = Ws::customer(address, "alice").await;
    alice.say("p1", "hello").await;
    agent.until("BUILD_CHAT/SUCCESS").await;
    // The connection breaks; what the agent writes then waits. The page comes back with its cookie, to
    // the same chat.
    let cookie = alice.cookie.clone();
    drop(alice);
    agent
        .send(&to("alice", "MESSAGE", text("still there?")))
        .await;
    agent.settle().await;
    let back = Ws::try_open(address, &auth("WEBSOCKET", ""), &[("Cookie", &cookie)]).await;
    let mut alice = back.ok().unwrap();
    assert_eq!(alice.text().await, "still there?");
    alice.settle().await;
    // It breaks and nobody comes back.
    drop(alice);
    agent.until("CLOSE_CHAT/CUSTOMER_CLOSE").await;
    assert!(running.handle().sessions("alice").is_empty());
    running.stop().await;
}
