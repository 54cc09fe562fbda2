//! What the tests of the API share: a server, and a plain HTTP client that shows everything.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tidings_server::auth::{Command, Scope};
use tidings_server::config::Settings;
use tidings_server::store::Durability;
use tidings_server::{Running, Server};

/// Only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// In memory, HTTP alone.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.listen.tcp = None;
    settings.listen.udp = None;
    settings.listen.ws = None;
    settings.listen.agents = None;
    settings.listen.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.delivery.durability = Durability::Memory;
    settings.shutdown_ms = 2_000;
    settings
}

pub(crate) async fn start(settings: Settings) -> (Running, Client) {
    let running = Server::start(settings).await.unwrap();
    let key = |scope| {
        let (name, rate) = (String::new(), None);
        let made = running
            .access()
            .execute(Command::KeyCreate { scope, name, rate });
        made.unwrap_or_else(|error| panic!("{error}"))["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let client = Client {
        address: running.addresses().http.unwrap(),
        admin: key(Scope::Admin),
        send: key(Scope::Send),
        read: key(Scope::Read),
    };
    (running, client)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a call that went well.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// A refusal, in the form that all of them have.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().len() > 5, "{problem}");
        problem
    }
}

/// One connection a call.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// Keys, by their scope.
    pub(crate) admin: String,
    pub(crate) send: String,
    pub(crate) read: String,
}

impl Client {
    pub(crate) fn bearer(&self, key: &str) -> (&'static str, String) {
        ("Authorization", format!("Bearer {key}"))
    }

    /// `POST /messages` with these headers besides.
    pub(crate) async fn send_with(&self, headers: &[(&'static str, &str)], body: &Value) -> Answer {
        let mut all = vec![
            self.bearer(&self.send),
            ("Content-Type", "application/json".to_owned()),
        ];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        self.raw("POST", "/api/v1/messages", all, body.to_string())
            .await
    }

    /// A call that may do everything.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut headers = vec![self.bearer(&self.admin)];
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        self.raw(method, path, headers, body.unwrap_or_default())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// A call with these headers and this body.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(&str, String)>,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let body = body.into();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let address = self.address;
        tokio::task::spawn_blocking(move || exchange(address, &head, &body))
            .await
            .unwrap()
    }
}

fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Answer {
        status,
        headers,
        text,
    }
}
