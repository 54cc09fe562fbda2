//! OCIM's "v2 chain Authorization → Polling → Websocket": its order, visible in a trace; alone in its
//! process, because the log is everybody's.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "it/desk/mod.rs"]
mod desk;
#[path = "it/ocim/mod.rs"]
mod ocim;

use std::io;
use std::sync::{Arc, Mutex};

use ocim::{Poller, Ws, agent_auth, http, poll_io, request, start, ws_io};
use serde_json::json;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The handlers that the log names since it was last looked at, with what they did.
fn steps(captured: &Captured) -> Vec<String> {
    let log = std::mem::take(&mut *captured.0.lock().unwrap());
    let text = String::from_utf8(log).unwrap();
    let of = |line: &str, name: &str| {
        let rest = line.split_once(&format!("{name}=\""))?.1;
        Some(rest.split('"').next()?.to_owned())
    };
    text.lines()
        .filter(|line| line.contains(" chain "))
        .filter_map(|line| Some(format!("{} {}", of(line, "handler")?, of(line, "result")?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_is_visible_in_a_trace_and_no_secret_is() {
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let running = start(|_| {}).await;
    let address = http(&running);
    steps(&captured);
    let poller = Poller::log_in(address, "alice").await;
    assert_eq!(steps(&captured), ["authorization answered"]);
    poller
        .ask("GET", &json!({"type": "PING", "ts": "POLLING"}))
        .await;
    assert_eq!(steps(&captured), ["authorization next", "polling answered"]);
    let ws = Ws::customer(address, "bob").await;
    let all = ["authorization next", "polling next", "websocket answered"];
    assert_eq!(steps(&captured), all);
    // Nothing reaches the transports before it is known who asks.
    let poll = json!({"type": "POLL", "ts": "POLLING"});
    let refused = request(address, "GET", &poll_io(&poll), &[], "").await;
    assert_eq!(refused.status, 401);
    assert_eq!(steps(&captured), ["authorization answered"]);

    let agent = Ws::open(address, &agent_auth("agent1", desk::PASSWORD, "1")).await;
    let query = format!("{}&token={}", poll_io(&poll), poller.token);
    drop((ws, agent));
    let wrong = ws_io(&agent_auth("agent1", "wr0ng-passw0rd", "1"));
    assert_eq!(request(address, "GET", &wrong, &[], "").await.status, 401);
    let _held = tokio::spawn(async move { request(address, "GET", &query, &[], "").await });
    poller.say("p1", "private words").await.is_ok();
    running.stop().await;
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for secret in [
        &*poller.token,
        desk::PASSWORD,
        "wr0ng-passw0rd",
        "private words",
    ] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}
