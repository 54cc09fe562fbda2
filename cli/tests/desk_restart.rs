//! The desk end to end, in the real binary: customers on polling, on `/ws.io` and on a MobileIMSDK
//! UDP client, agents on `/ws.io` and over TCP with SASL; texts both ways for every pair, transfer,
//! recall, close, rating, history; and in the middle of it the server is killed and started again.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "../../server/tests/it/desk/mod.rs"]
mod desk;
#[path = "../../server/tests/it/ocim/mod.rs"]
mod ocim;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocim::{PATIENCE, Poller, Ws, agent_auth, kind, request};
use serde_json::{Value, json};
use tidings_client::{Client, Event, Events};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The real binary. Killed when dropped.
struct Demo {
    child: Child,
    at: HashMap<String, SocketAddr>,
}

impl Demo {
    /// Starts it where it was before, or on free ports.
    async fn start(dir: &Path, before: Option<&Demo>) -> Demo {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(["serve", "--demo", "--data"]).arg(dir);
        for name in ["tcp", "udp", "ws", "http", "agents"] {
            let address =
                before.map_or_else(|| "127.0.0.1:0".to_owned(), |b| b.at[name].to_string());
            command.arg(format!("--{name}")).arg(address);
        }
        // As the requests of these tests name it.
        command.env("TIDINGS_WEB_HOSTS", "im.example");
        command.kill_on_drop(true).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let read = out.read_line(&mut line);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("not ready")
            .unwrap();
        let words = line.split_whitespace().skip(1);
        let at = words.map(|word| {
            let (name, address) = word.split_once('=').unwrap();
            (name.to_owned(), address.parse().unwrap())
        });
        let at = at.collect();
        // Read on, so that it never meets a closed pipe.
        tokio::spawn(async move {
            while out.read_line(&mut String::new()).await.is_ok_and(|n| n > 0) {}
        });
        Demo { child, at }
    }

    async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    fn http(&self) -> SocketAddr {
        self.at["http"]
    }
}

/// An agent, on either transport.
enum Agent {
    Page(Ws),
    Desktop(TcpStream),
}

impl Agent {
    async fn page(demo: &Demo, user: &str) -> Agent {
        let ws = Ws::open(demo.http(), &agent_auth(user, "demo", "1")).await;
        let mut agent = Agent::Page(ws);
        agent.bind().await;
        agent
    }

    async fn desktop(demo: &Demo, user: &str) -> Agent {
        let stream = TcpStream::connect(demo.at["agents"]).await.unwrap();
        let mut agent = Agent::Desktop(stream);
        let plain = STANDARD.encode(format!("\0{user}\0demo"));
        let login = json!({"mechanism": "PLAIN", "data": plain}).to_string();
        let auth =
            json!({"type": "AUTH", "ts": "SOCKET", "body": {"type": "LOGIN", "content": login}});
        agent.send(&auth).await;
        agent.until(|packet| kind(packet) == "AUTH/SUCCESS").await;
        agent.bind().await;
        agent
    }

    async fn bind(&mut self) {
        self.send(&json!({"type": "BIND", "body": {}})).await;
        self.until(|packet| kind(packet) == "BIND/SUCCESS").await;
    }

    async fn send(&mut self, packet: &Value) {
        match self {
            Agent::Page(ws) => ws.send(packet).await,
            Agent::Desktop(stream) => {
                let text = packet.to_string();
                let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
                bytes.extend_from_slice(text.as_bytes());
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }

    async fn next(&mut self) -> Value {
        match self {
            Agent::Page(ws) => ws.packet().await,
            Agent::Desktop(stream) => {
                let read = async {
                    let length = stream.read_u32().await.unwrap();
                    let mut bytes = vec![0; length as usize];
                    stream.read_exact(&mut bytes).await.unwrap();
                    serde_json::from_slice(&bytes).unwrap()
                };
                tokio::time::timeout(PATIENCE, read)
                    .await
                    .expect("nothing came")
            }
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let packet = self.next().await;
            if wanted(&packet) {
                return packet;
            }
        }
    }

    /// The next customer who is given to him, newly or again.
    async fn given(&mut self) -> String {
        let packet = self
            .until(|packet| {
                ["BUILD_CHAT/SUCCESS", "BUILD_TRANSFER_CHAT/TRANSFER_WAITER"]
                    .contains(&&*kind(packet))
            })
            .await;
        packet["from"]["uid"].as_str().unwrap().to_owned()
    }

    async fn text_of(&mut self, customer: &str) -> String {
        let packet = self
            .until(|p| kind(p) == "MESSAGE/TEXT" && p["from"]["uid"] == customer)
            .await;
        packet["body"]["content"].as_str().unwrap().to_owned()
    }

    async fn about(&mut self, kind: &str, customer: &str, more: Value) {
        let mut packet = json!({"type": kind, "to": {"uid": customer, "idy": "CUSTOMER"}});
        for (name, value) in more.as_object().unwrap() {
            packet[name] = value.clone();
        }
        self.send(&packet).await;
    }

    async fn says(&mut self, customer: &str, pid: &str, text: &str) {
        let body = json!({"pid": pid, "body": {"type": "TEXT", "content": text}});
        self.about("MESSAGE", customer, body).await;
    }

    async fn transfers(&mut self, customer: &str, to: &str) {
        let content = json!({"uid": customer, "toWc": to, "toWn": to, "reason": "yours"});
        let body = json!({"body": {"type": "TRANSFER_WAITER", "content": content.to_string()}});
        self.about("TRANSFER", customer, body).await;
        self.until(|packet| kind(packet) == "TRANSFER/SUCCESS")
            .await;
    }
}

/// A customer, on any transport.
enum Customer {
    Polls(Poller),
    Page(Ws, String),
    Mobile(Client, Events),
}

impl Customer {
    async fn says(&mut self, pid: &str, text: &str) {
        match self {
            Customer::Polls(poller) => poller.say(pid, text).await.is_ok(),
            Customer::Page(ws, _) => ws.say(pid, text).await,
            Customer::Mobile(client, _) => {
                client.send("@support", text).await.unwrap();
            }
        }
    }

    /// The next text of an agent.
    async fn text(&mut self) -> String {
        let body = |packet: &Value| packet["body"]["content"].as_str().unwrap().to_owned();
        match self {
            Customer::Polls(poller) => {
                let packet = poller.until(|packet| kind(packet) == "MESSAGE/TEXT").await;
                body(&packet)
            }
            Customer::Page(ws, _) => ws.text().await,
            Customer::Mobile(_, events) => loop {
                let event = tokio::time::timeout(PATIENCE, events.next()).await;
                if let Some(Event::Message(message)) = event.expect("nothing came")
                    && message.typeu == -1
                {
                    return message.text.to_string();
                }
            },
        }
    }
}

/// Texts both ways.
async fn exchange(agent: &mut Agent, name: &str, customer: &mut Customer, mark: &str) {
    customer
        .says(&format!("c-{mark}"), &format!("{mark}?"))
        .await;
    // Whoever took the customer over is told first what was written before.
    while agent.text_of(name).await != format!("{mark}?") {}
    agent
        .says(name, &format!("a-{mark}"), &format!("{mark}!"))
        .await;
    // After a crash the last ones may come again, each with the `pid` that it had: what a page has
    // received is written down when there is time for it.
    loop {
        let text = customer.text().await;
        if text == format!("{mark}!") {
            return;
        }
        assert!(mark.starts_with("again"), "{text} once more");
    }
}

/// A customer by polling, one by `/ws.io`, one with a mobile client, come to the one agent there is.
async fn arrive(demo: &Demo, one: &mut Agent) -> Vec<(String, Customer)> {
    let mut customers = Vec::new();
    let polls = Poller::log_in(demo.http(), "").await;
    let page = Ws::customer(demo.http(), "").await;
    let cookie = page.cookie.clone();
    let url = format!("udp://{}", demo.at["udp"]);
    let (client, events) = Client::builder(&url).user("carol").connect().await.unwrap();
    for (number, mut customer) in [
        Customer::Polls(polls),
        Customer::Page(page, cookie),
        Customer::Mobile(client, events),
    ]
    .into_iter()
    .enumerate()
    {
        customer.says(&format!("first-{number}"), "hello").await;
        let name = one.given().await;
        assert_eq!(one.text_of(&name).await, "hello");
        customers.push((name, customer));
    }
    assert_eq!(customers[2].0, "carol");
    customers
}

/// The end: closed, rated, and in the history without the slip.
async fn finish(demo: &Demo, data: &Path, name: &str, customer: &mut Customer) {
    let Customer::Polls(poller) = customer else {
        panic!("the first polls");
    };
    let closed = poller.until(|packet| packet["type"] == "CLOSE_CHAT").await;
    let cid = closed["cid"].as_str().unwrap().to_owned();
    let rating = json!({"type": "EVALUATE", "ts": "POLLING", "cid": cid, "body": {
        "type": "TEXT", "content": json!({"opinion": 5, "suggest": "quick"}).to_string(),
    }});
    let rated = poller.ask("POST", &rating).await;
    rated.is_ok();
    let history = history(demo, data, name).await;
    let texts: Vec<&str> = history.iter().filter_map(|m| m["text"].as_str()).collect();
    for expected in [
        "hello", "one-0?", "one-0!", "two-0?", "two-0!", "again-0?", "again-0!",
    ] {
        let count = texts.iter().filter(|text| **text == expected).count();
        assert_eq!(count, 1, "{expected}: {texts:?}");
    }
    assert!(!texts.contains(&"a secret"), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_talks_and_a_killed_server_costs_a_reconnect() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(dir.path(), None).await;
    let mut one = Agent::page(&demo, "agent1").await;

    let mut customers = arrive(&demo, &mut one).await;

    // Every pair: with the agent on a page, then with the one on the desktop.
    let mut two = Agent::desktop(&demo, "agent2").await;
    for (number, (name, customer)) in customers.iter_mut().enumerate() {
        exchange(&mut one, name, customer, &format!("one-{number}")).await;
        one.transfers(name, "agent2").await;
        assert_eq!(two.given().await, *name);
        exchange(&mut two, name, customer, &format!("two-{number}")).await;
    }
    // A slip, recalled; and one customer goes back.
    let (name, customer) = &mut customers[0];
    two.says(name, "slip", "a secret").await;
    assert_eq!(customer.text().await, "a secret");
    two.about("REVOCATION", name, json!({"pid": "slip"})).await;
    if let Customer::Polls(poller) = customer {
        let gone = poller.until(|packet| packet["type"] == "REVOCATION").await;
        assert_eq!(gone["pid"], "slip");
    }
    two.transfers(name, "agent1").await;
    assert_eq!(one.given().await, *name);

    // A text is under way to an agent who does not read when the server dies.
    customers[1].1.says("unread", "still unread").await;
    two.text_of(&customers[1].0.clone()).await;
    demo.kill().await;
    let demo_again = Demo::start(dir.path(), Some(&demo)).await;
    demo = demo_again;

    // The agents are back: one word for each customer whom they serve.
    let mut one = Agent::page(&demo, "agent1").await;
    assert_eq!(one.given().await, customers[0].0);
    let mut two = Agent::desktop(&demo, "agent2").await;
    let mut served = vec![two.given().await, two.given().await];
    served.sort();
    let mut expected = vec![customers[1].0.clone(), customers[2].0.clone()];
    expected.sort();
    assert_eq!(served, expected);
    // Pages log in again with the token they have; the mobile client does so by itself.
    if let Customer::Polls(poller) = &mut customers[0].1 {
        poller.log_in_again().await;
    }
    let (name, customer) = &mut customers[1];
    if let Customer::Page(ws, cookie) = customer {
        let headers = [("Cookie", &**cookie)];
        let again = Ws::try_open(demo.http(), &ocim::auth("WEBSOCKET", ""), &headers).await;
        *ws = again.unwrap_or_else(|answer| panic!("{answer:?}"));
    }
    exchange(&mut two, name, customer, "again-1").await;
    let (name, customer) = &mut customers[0];
    exchange(&mut one, name, customer, "again-0").await;
    let (name, customer) = &mut customers[2];
    exchange(&mut two, name, customer, "again-2").await;

    let (name, customer) = &mut customers[0];
    one.about("CLOSE_CHAT", name, json!({})).await;
    finish(&demo, dir.path(), name, customer).await;
}

/// A customer's conversation with the team, by the API.
async fn history(demo: &Demo, data: &Path, customer: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(["admin", "--data"]).arg(data);
    let output = command
        .args(["key", "create", "--scope", "read"])
        .output()
        .await
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let bearer = format!("Bearer {}", output.lines().last().unwrap());
    let target = format!(
        "/api/v1/users/{}/conversations/%40support/messages?limit=200",
        ocim::encoded(customer)
    );
    let answer = request(
        demo.http(),
        "GET",
        &target,
        &[("Authorization", &bearer)],
        "",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["messages"].as_array().unwrap().clone()
}
