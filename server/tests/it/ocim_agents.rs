//! Desktop agents over TCP: framing, SASL with both mechanisms, the desk behind it.

use std::net::SocketAddr;

use crate::ocim::{PATIENCE, Ws, http, kind, start};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A desktop agent's connection.
pub(crate) struct Desktop(TcpStream);

impl Desktop {
    pub(crate) async fn connect(running: &tidings_server::Running) -> Desktop {
        let address: SocketAddr = running.addresses().agents.unwrap();
        Desktop(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, packet: &Value) {
        let text = packet.to_string();
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The next packet; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let read = async {
            let length = self.0.read_u32().await.ok()?;
            let mut bytes = vec![0; length as usize];
            self.0.read_exact(&mut bytes).await.ok()?;
            Some(serde_json::from_slice(&bytes).unwrap())
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("nothing came")
    }

    async fn until(&mut self, wanted: &str) -> Value {
        loop {
            let packet = self.next().await.expect("the connection ended");
            if kind(&packet) == wanted {
                return packet;
            }
        }
    }

    async fn auth(&mut self, body: &str, content: &str) -> (String, String) {
        self.send(
            &json!({"type": "AUTH", "ts": "SOCKET", "body": {"type": body, "content": content}}),
        )
        .await;
        let answer = self.next().await.expect("the connection ended");
        let content = answer["body"]["content"].as_str().unwrap_or_default();
        (kind(&answer), content.to_owned())
    }

    pub(crate) async fn plain(&mut self, message: &str) -> (String, String) {
        let login = json!({"mechanism": "PLAIN", "data": STANDARD.encode(message)});
        self.auth("LOGIN", &login.to_string()).await
    }

    /// The client's side of SCRAM; whether the server proved itself, too.
    pub(crate) async fn scram(&mut self, user: &str, password: &str) -> Result<bool, String> {
        let bare = format!("n={user},r=rOprNGfwEbeRWgbNEkqO");
        let login =
            json!({"mechanism": "SCRAM-SHA-256", "data": STANDARD.encode(format!("n,,{bare}"))});
        let (kind, challenge) = self.auth("LOGIN", &login.to_string()).await;
        if kind != "AUTH/RESPONSE" {
            return Err(challenge);
        }
        let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let part = |name: &str| {
            let mut parts = challenge.split(',');
            parts
                .find_map(|part| part.strip_prefix(name))
                .unwrap()
                .to_owned()
        };
        let (nonce, salt, rounds) = (part("r="), part("s="), part("i="));
        let mut salted = [0; 32];
        let rounds = std::num::NonZeroU32::new(rounds.parse().unwrap()).unwrap();
        let salt = STANDARD.decode(salt).unwrap();
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let mac = |key: &[u8], text: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
                .as_ref()
                .to_vec()
        };
        let client_key = mac(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let without = format!("c=biws,r={nonce}");
        let said = format!("{bare},{challenge},{without}");
        let signature = mac(stored.as_ref(), said.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let message = format!("{without},p={}", STANDARD.encode(proof));
        let (kind, last) = self.auth("RESPONSE", &STANDARD.encode(message)).await;
        let last = String::from_utf8(STANDARD.decode(last).unwrap()).unwrap();
        if kind != "AUTH/SUCCESS" {
            return Err(last);
        }
        let server = mac(&mac(&salted, b"Server Key"), said.as_bytes());
        Ok(last == format!("v={}", STANDARD.encode(server)))
    }
}

pub(crate) fn plain(user: &str, password: &str) -> String {
    format!("\0{user}\0{password}")
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_what_it_refuses() {
    let running = start(|_| {}).await;
    let mut agent = Desktop::connect(&running).await;
    for wrong in [
        plain("agent1", "wrong"),
        plain("nobody", crate::desk::PASSWORD),
        format!("agent2\0agent1\0{}", crate::desk::PASSWORD),
        format!("agent1 {} 1", crate::desk::PASSWORD),
    ] {
        assert_eq!(agent.plain(&wrong).await.0, "AUTH/FAIL");
    }
    // The right one, on the same connection.
    let (kind, words) = agent.plain(&plain("agent1", crate::desk::PASSWORD)).await;
    assert_eq!((&*kind, &*words), ("AUTH/SUCCESS", "验证成功"));
    // Whoever fails too often is cut off.
    let mut guesser = Desktop::connect(&running).await;
    for _ in 0..tidings_server::core::limits::SASL_FAILURES_MAX {
        let (kind, _) = guesser.auth("LOGIN", "nonsense").await;
        assert_eq!(kind, "AUTH/FAIL");
    }
    assert_eq!(guesser.next().await, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_both_ways() {
    let running = start(|_| {}).await;
    let mut agent = Desktop::connect(&running).await;
    let wrong = agent.scram("agent1", "wrong").await;
    assert_eq!(wrong, Err("e=invalid-proof".to_owned()));
    // Somebody who is not there gets a challenge as well, the same words afterwards.
    let nobody = agent.scram("nobody", crate::desk::PASSWORD).await;
    assert_eq!(nobody, Err("e=invalid-proof".to_owned()));
    assert_eq!(agent.scram("agent1", crate::desk::PASSWORD).await, Ok(true));
    agent.send(&json!({"type": "BIND"})).await;
    let bound = agent.until("BIND/SUCCESS").await;
    assert_eq!(bound["to"]["uid"], "agent1");
    // A user's account is no agent's.
    let access = running.access();
    let add = tidings_server::auth::Command::AccountAdd {
        user: "alice".to_owned(),
        role: tidings_server::auth::Role::User,
        password: "her-password".to_owned(),
    };
    tokio::task::spawn_blocking(move || access.execute(add).unwrap())
        .await
        .unwrap();
    let mut user = Desktop::connect(&running).await;
    assert_eq!(
        user.plain(&plain("alice", "her-password")).await.0,
        "AUTH/FAIL"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_oversized_frames_and_silence_end_the_connection() {
    let running = start(|settings| settings.ocim.first_data_ms = 100).await;
    let mut agent = Desktop::connect(&running).await;
    assert_eq!(agent.auth("ABORT", "").await.0, "AUTH/FAIL");
    assert_eq!(agent.next().await, None);
    for length in [65_537u32, 0, u32::MAX] {
        let mut agent = Desktop::connect(&running).await;
        agent.0.write_all(&length.to_be_bytes()).await.unwrap();
        let told = agent.next().await.unwrap();
        assert_eq!(kind(&told), "AUTH/FAIL");
        assert!(
            told["body"]["content"]
                .as_str()
                .unwrap()
                .contains("length prefix")
        );
        assert_eq!(agent.next().await, None);
    }
    // Nothing at all is said: the first-data limit.
    let mut silent = Desktop::connect(&running).await;
    assert_eq!(silent.next().await, None);
    // Before the login nothing is done but PING.
    let mut early = Desktop::connect(&running).await;
    early.send(&json!({"type": "PING"})).await;
    early.until("PONG/TEXT").await;
    early.send(&json!({"type": "BIND"})).await;
    early.until("AUTH/FAIL").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_agent_serves_a_customer_of_a_page() {
    let running = start(|_| {}).await;
    let mut alice = Ws::customer(http(&running), "alice").await;
    alice.say("p1", "hello").await;
    let mut agent = Desktop::connect(&running).await;
    assert_eq!(
        agent.plain(&plain("agent1", crate::desk::PASSWORD)).await.0,
        "AUTH/SUCCESS"
    );
    agent
        .send(&json!({"type": "BIND", "body": {"type": "TEXT", "content": "1"}}))
        .await;
    let given = agent.until("BUILD_CHAT/SUCCESS").await;
    assert_eq!(
        agent.until("MESSAGE/TEXT").await["body"]["content"],
        "hello"
    );
    let say = json!({"type": "MESSAGE", "pid": "r1", "cid": given["cid"], "body": {"type": "TEXT", "content": "good day"}});
    agent.send(&say).await;
    assert_eq!(alice.text().await, "good day");
    // A second login, on another transport, takes over.
    let mut page = Ws::agent(http(&running), "agent1").await;
    agent.until("RE_LOGIN/WAITER_CLOSE").await;
    assert_eq!(agent.next().await, None);
    page.until("BUILD_CHAT/SUCCESS").await;
    running.stop().await;
}
