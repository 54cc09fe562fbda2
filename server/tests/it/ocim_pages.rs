//! The original pages, unmodified, against the server: customers who poll and agents in a browser.

use crate::ocim::page::{Jar, Page};
use crate::ocim::{Ws, agent_auth, content, http, kind, request, settings, start, text, to};
use serde_json::json;
use tidings_server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_session_says_who_asks_whatever_stands_in_from_uid() {
    let running = start(|_| {}).await;
    let mut agent = Ws::agent(http(&running), "agent1").await;
    let page = Page::open(http(&running), &Jar::default()).await;
    let visitor = running.handle().online();
    let visitor = visitor.iter().find(|user| user.user.starts_with('~'));
    let visitor = visitor.unwrap().user.clone();
    page.say("p1", "hello").await.is_ok();
    page.until("BUILD_CHAT/SUCCESS").await;
    let seen = agent.until("MESSAGE/TEXT").await;
    assert_eq!(seen["from"]["uid"], *visitor);
    agent
        .send(&crate::ocim::to(
            &visitor,
            "MESSAGE",
            "a1",
            crate::ocim::text("yes?"),
        ))
        .await;
    let (answer, _) = page.until("MESSAGE/TEXT").await;
    assert_eq!(answer["body"]["content"], "yes?");
    let close = page.packet(json!({"type": "CLOSE", "ts": "POLLING"}));
    page.get(&close).await.is_ok();
    agent.until("CLOSE_CHAT/CUSTOMER_CLOSE").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_both_pages_in_one_browser_have_a_cookie_each() {
    let running = start(|_| {}).await;
    let (address, jar) = (http(&running), Jar::default());
    let page = Page::open(address, &jar).await;
    let of_customer = jar.get("tidings-customer").unwrap();
    // The agent logs in, in the same browser.
    let login = agent_auth("agent1", crate::desk::PASSWORD, "1");
    let cookies = jar.header();
    let headers = [("Cookie", &*cookies)];
    let answer = request(address, "POST", "/ws.io", &headers, &login.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    jar.keep(&answer);
    assert_eq!(jar.get("tidings-customer").unwrap(), of_customer);
    let bare = json!({"type": "AUTH", "ts": "WEBSOCKET", "from": {"idy": "WAITER"}, "body": {"type": "LOGIN"}});
    let cookies = jar.header();
    let mut agent = Ws::try_open(address, &bare, &[("Cookie", &cookies)])
        .await
        .ok()
        .unwrap();
    agent.send(&json!({"type": "BIND"})).await;
    agent.until("BIND/SUCCESS").await;
    // The customer is who he was, and his next login leaves the agent alone.
    page.say("p1", "hello").await.is_ok();
    let customer = agent.until("MESSAGE/TEXT").await["from"]["uid"].clone();
    let page = Page::open(address, &jar).await;
    page.say("p2", "again").await.is_ok();
    assert_eq!(agent.until("MESSAGE/TEXT").await["from"]["uid"], customer);
    let cookies = jar.header();
    let again = Ws::try_open(address, &bare, &[("Cookie", &cookies)]).await;
    assert!(again.is_ok());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_the_status_of_a_login_counts_in_both_forms() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let bare = json!({"type": "AUTH", "ts": "WEBSOCKET", "from": {"idy": "WAITER"}, "body": {"type": "LOGIN"}});
    for status in ["1", "2", "3", "4"] {
        let login = agent_auth("agent1", crate::desk::PASSWORD, status);
        let answer = request(address, "POST", "/ws.io", &[], &login.to_string()).await;
        let cookie = answer.cookie().unwrap();
        let by_cookie = Ws::try_open(address, &bare, &[("Cookie", &cookie)]).await;
        let by_url = Ws::try_open(address, &login, &[]).await;
        for ws in [by_cookie, by_url] {
            let mut ws = ws.ok().unwrap();
            ws.send(&json!({"type": "BIND"})).await;
            let bound = ws.until("BIND/SUCCESS").await;
            assert_eq!(content(&bound)["status"], status);
        }
    }
    let unknown = agent_auth("agent1", crate::desk::PASSWORD, "9");
    let by_post = request(address, "POST", "/ws.io", &[], &unknown.to_string()).await;
    let by_url = Ws::try_open(address, &unknown, &[]).await.err().unwrap();
    for refused in [by_post, by_url] {
        assert_eq!(refused.status, 401);
        let reason = refused.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("status"), "{reason}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_p15_places_in_the_queue_have_a_time_and_old_pages_their_spelling() {
    let running = start(|settings| settings.ocim.compat.waitting = true).await;
    let address = http(&running);
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap();
    let before = i64::try_from(since_1970.as_millis()).unwrap();
    let mut first = Ws::customer(address, "first").await;
    first.say("p1", "hello").await;
    let mut second = Ws::customer(address, "second").await;
    let real = |packet: &serde_json::Value| {
        let time = packet["timestamp"].as_i64().unwrap();
        assert!(time >= before, "{packet}");
        assert!(!packet["datetime"].as_str().unwrap().starts_with("1969"));
    };
    first.until("BUILD_CHAT/WAITTING").await;
    second.say("p2", "hello").await;
    for wanted in ["BUILD_CHAT/WAITING", "BUILD_CHAT/WAITTING"] {
        let place = second.until(wanted).await;
        assert_eq!(place["body"]["content"], "2");
        real(&place);
    }
    first.send(&json!({"type": "CLOSE"})).await;
    for wanted in ["BROADCAST/WAITING_NO", "BROADCAST/WAITTING_NO"] {
        let place = second.until(wanted).await;
        assert_eq!(place["body"]["content"], "1");
        real(&place);
    }
    let mut agent = Ws::open(address, &agent_auth("agent1", crate::desk::PASSWORD, "2")).await;
    agent.send(&json!({"type": "BIND"})).await;
    for wanted in ["BROADCAST/WAITING_NO", "BROADCAST/WAITTING_NO"] {
        assert_eq!(agent.until(wanted).await["body"]["content"], "1");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_an_agent_of_the_demo_is_served_from_the_first_connection_on() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut settings = settings();
    settings.listen.http = Some(address);
    let started = tokio::spawn(Server::builder(settings).demo(true).start());
    // Whoever gets through gets in.
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    let mut agent = Ws::open(address, &agent_auth("agent1", "demo", "1")).await;
    agent.send(&json!({"type": "BIND"})).await;
    agent.until("BIND/SUCCESS").await;
    started.await.unwrap().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_an_account_that_serves_no_desk_is_told_so_before_the_upgrade() {
    let running = start(|_| {}).await;
    let add = tidings_server::auth::Command::AccountAdd {
        user: "clerk".to_owned(),
        role: tidings_server::auth::Role::Agent,
        password: crate::desk::PASSWORD.to_owned(),
    };
    let access = running.access();
    let added = tokio::task::spawn_blocking(move || access.execute(add).unwrap());
    added.await.unwrap();
    let login = agent_auth("clerk", crate::desk::PASSWORD, "1");
    let refused = Ws::try_open(http(&running), &login, &[])
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 403);
    assert!(
        refused.json()["reason"]
            .as_str()
            .unwrap()
            .contains("no agent")
    );
    running.stop().await;
}

/// A page in mid-chat is opened again: who serves, where, and how it went.
async fn p6_reloaded(
    (cid, pid): (&serde_json::Value, &str),
    agent: &mut Ws,
    visitor: &str,
    page: &mut Open,
) {
    let standing = page.until("BUILD_CHAT/SUCCESS").await;
    assert_eq!(standing["cid"], *cid);
    assert_eq!(standing["from"]["name"], "The agent1");
    assert_eq!(content(&standing)["tmc"], "support");
    agent.send(&to(visitor, "MESSAGE", pid, text(pid))).await;
    // What the page before may not have had comes first.
    loop {
        let said = page.until("MESSAGE/TEXT").await;
        assert_eq!(said["cid"], *cid);
        if said["body"]["content"] == *pid {
            break;
        }
    }
}

/// A page on either transport.
enum Open {
    Polling(Page, Vec<serde_json::Value>),
    WebSocket(Box<Ws>),
}

impl Open {
    async fn until(&mut self, wanted: &str) -> serde_json::Value {
        match self {
            Open::Polling(page, waiting) => loop {
                while waiting.is_empty() {
                    let answer = page.poll().await;
                    waiting.extend(answer.json().as_array().cloned().unwrap_or_default());
                }
                let packet = waiting.remove(0);
                if kind(&packet) == wanted {
                    return packet;
                }
            },
            Open::WebSocket(ws) => ws.until(wanted).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_customer_who_reloads_in_mid_chat_is_told_who_serves_him_and_can_rate() {
    let running = start(|_| {}).await;
    let (address, jar) = (http(&running), Jar::default());
    let mut agent = Ws::agent(address, "agent1").await;
    let page = Page::open(address, &jar).await;
    page.say("p1", "hello").await.is_ok();
    let given = agent.until("BUILD_CHAT/SUCCESS").await;
    let (cid, visitor) = (given["cid"].clone(), given["from"]["uid"].clone());
    let visitor = visitor.as_str().unwrap();
    page.until("BUILD_CHAT/WAITER_GREET").await;
    // The session is there, and the page joins it.
    let mut again = Open::Polling(Page::open(address, &jar).await, Vec::new());
    p6_reloaded((&cid, "a1"), &mut agent, visitor, &mut again).await;
    // The session is another one: the customer changes to a WebSocket, and comes back with it.
    for pid in ["a2", "a3"] {
        let cookie = jar.header();
        let login = crate::ocim::auth("WEBSOCKET", "");
        let ws = Ws::try_open(address, &login, &[("Cookie", &cookie)]).await;
        let ws = Box::new(ws.ok().unwrap());
        let token = ws.cookie.split_once('=').unwrap().1.to_owned();
        jar.put("tidings-customer", &token);
        let mut again = Open::WebSocket(ws);
        p6_reloaded((&cid, pid), &mut agent, visitor, &mut again).await;
        let Open::WebSocket(mut ws) = again else {
            unreachable!()
        };
        ws.settle().await;
    }
    let page = Page::open(address, &jar).await;
    let close = json!({"type": "CLOSE_CHAT", "cid": cid});
    agent.send(&close).await;
    let (closed, _) = page.until("CLOSE_CHAT/WAITER_CLOSE").await;
    let rating = json!({
        "type": "EVALUATE", "ts": "POLLING", "cid": closed["cid"],
        "body": {"type": "TEXT", "content": "{\"opinion\":5,\"suggest\":\"\"}"},
    });
    page.get(&page.packet(rating)).await.is_ok();
    running.stop().await;
}
