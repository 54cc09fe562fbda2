//! The original's pages as a browser runs them: one jar of cookies for all pages of a browser, ids of
//! their own in `from.uid`, everything by GET, no `ack`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use tokio::net::TcpStream;

use super::{Answer, answer, auth, message, poll_io, request, send_request};

/// What a browser keeps for every page that it shows.
#[derive(Clone, Default)]
pub(crate) struct Jar(Arc<Mutex<BTreeMap<String, String>>>);

impl Jar {
    pub(crate) fn header(&self) -> String {
        let jar = self.0.lock().unwrap();
        let pairs: Vec<String> = jar.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("; ")
    }

    pub(crate) fn keep(&self, answer: &Answer) {
        let mut jar = self.0.lock().unwrap();
        for (name, set) in &answer.headers {
            let Some((pair, attributes)) = set.split_once(';') else {
                continue;
            };
            if let ("set-cookie", Some((name, value))) = (name.as_str(), pair.split_once('=')) {
                match attributes.contains("Max-Age=0") {
                    true => jar.remove(name),
                    false => jar.insert(name.to_owned(), value.to_owned()),
                };
            }
        }
    }

    pub(crate) fn put(&self, name: &str, value: &str) {
        let mut jar = self.0.lock().unwrap();
        jar.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

/// A page that polls, a new connection for each request.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) address: SocketAddr,
    pub(crate) jar: Jar,
    /// Its own `customer.cc`.
    pub(crate) uid: &'static str,
}

impl Page {
    /// The page is opened, or reloaded.
    pub(crate) async fn open(address: SocketAddr, jar: &Jar) -> Page {
        let page = Page {
            address,
            jar: jar.clone(),
            uid: "cc-of-the-page",
        };
        let answer = page.get(&auth("POLLING", "")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        page
    }

    pub(crate) fn packet(&self, mut packet: Value) -> Value {
        packet["from"] = json!({"uid": self.uid, "name": "Li Lei", "idy": "CUSTOMER"});
        packet
    }

    /// One poll over a connection that may be used again; `None` if it breaks.
    pub(crate) async fn poll_over(&self, stream: &mut TcpStream) -> Option<Answer> {
        self.ask_over(stream).await;
        let answer = answer(stream).await?;
        self.jar.keep(&answer);
        Some(answer)
    }

    /// Sends a poll and leaves the answer to others.
    pub(crate) async fn ask_over(&self, stream: &mut TcpStream) {
        let packet = self.packet(json!({"type": "POLL", "ts": "POLLING"}));
        let cookie = self.jar.header();
        send_request(stream, "GET", &poll_io(&packet), &[("Cookie", &cookie)], "").await;
    }

    pub(crate) async fn get(&self, packet: &Value) -> Answer {
        let cookie = self.jar.header();
        let headers = [("Cookie", &*cookie), ("Connection", "close")];
        let answer = request(self.address, "GET", &poll_io(packet), &headers, "").await;
        self.jar.keep(&answer);
        answer
    }

    pub(crate) async fn poll(&self) -> Answer {
        self.get(&self.packet(json!({"type": "POLL", "ts": "POLLING"})))
            .await
    }

    pub(crate) async fn say(&self, pid: &str, text: &str) -> Answer {
        self.get(&self.packet(message(pid, text))).await
    }

    /// Polls until a packet is of this kind; also all that came before, and with it.
    pub(crate) async fn until(&self, wanted: &str) -> (Value, Vec<Value>) {
        let mut seen = Vec::new();
        loop {
            let answer = self.poll().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            seen.extend(answer.json().as_array().cloned().unwrap_or_default());
            if let Some(found) = seen.iter().find(|packet| super::kind(packet) == wanted) {
                return (found.clone(), seen);
            }
        }
    }
}
