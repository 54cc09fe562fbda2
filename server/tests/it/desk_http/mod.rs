//! What the tests of the desk's API share: a tenant with a supervisor, and calls by account.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use base64::Engine as _;
use serde_json::{Value, json};
use tidings_server::Running;

use crate::api::{self, Answer, Client};
use crate::desk::{Customer, PASSWORD, PATIENCE, customer, furnish};

pub(crate) const DEMO: &str = "/api/v1/desk/tenants/demo";

/// With the tenant of the tests and a supervisor, `boss`.
pub(crate) async fn start() -> (Running, Client) {
    let (running, client) = api::start(api::settings()).await;
    furnish(&running).await;
    let boss = json!({
        "title": "The boss", "supervisor": true, "password": PASSWORD, "capacity": 9,
        "teams": [{"team": "sales"}],
    });
    let path = format!("{DEMO}/agents/boss");
    client.call("PUT", &path, Some(boss)).await.ok(201);
    (running, client)
}

/// A call by account.
pub(crate) async fn by(
    client: &Client,
    who: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let told = format!("{who}:{PASSWORD}");
    let told = base64::engine::general_purpose::STANDARD.encode(told);
    let mut headers = vec![("Authorization", format!("Basic {told}"))];
    if body.is_some() {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    let body = body.map_or(String::new(), |body| body.to_string());
    client
        .raw(method, &format!("{DEMO}{path}"), headers, body)
        .await
}

pub(crate) async fn get(client: &Client, path: &str) -> Value {
    client.get(&format!("{DEMO}{path}")).await.ok(200)
}

pub(crate) async fn post(client: &Client, path: &str, body: Value) -> Answer {
    client.post(&format!("{DEMO}{path}"), body).await
}

/// What the tables say once it is so: they follow the log by a moment.
pub(crate) async fn eventually(client: &Client, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let found = get(client, path).await;
            if so(&found) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the tables did not follow")
}

/// A refusal of the desk.
#[track_caller]
pub(crate) fn refused(answer: Answer, code: &str) {
    let problem = answer.problem(409);
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["type"], format!("urn:tidings:desk:{code}"));
}

pub(crate) async fn two_wait(running: &Running) -> (Customer, Customer) {
    let alice = customer(running, "alice").await;
    alice.says("m1", "my parcel is lost").await;
    let mut bob = customer(running, "bob").await;
    bob.says("m1", "=1+1").await;
    // The desk has heard of both.
    bob.next().await;
    (alice, bob)
}
