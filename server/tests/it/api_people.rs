//! Users, conversations, groups and numbers over HTTP.

use crate::api::{settings, start};
use serde_json::{Value, json};
use tidings_server::LocalEvent;
use tidings_server::core::limits;
use tidings_server::metrics::TABLE;

fn numbers(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_page_by_page_in_both_directions() {
    let (running, client) = start(settings()).await;
    for n in 1..=7 {
        let text = n.to_string();
        running
            .handle()
            .send("bob", text)
            .from("alice")
            .await
            .unwrap();
    }
    let path = "/api/v1/users/alice/conversations/bob/messages";
    let newest = client.get(&format!("{path}?limit=3")).await.ok(200);
    assert_eq!(numbers(&newest), [5, 6, 7]);
    let older = client
        .get(&format!("{path}?limit=3&before={}", newest["before"]))
        .await
        .ok(200);
    assert_eq!(numbers(&older), [2, 3, 4]);
    let oldest = client
        .get(&format!("{path}?limit=3&before={}", older["before"]))
        .await
        .ok(200);
    assert_eq!(
        (numbers(&oldest), &oldest["before"]),
        (vec![1], &Value::Null)
    );
    let on = client
        .get(&format!("{path}?limit=2&after={}", older["after"]))
        .await
        .ok(200);
    assert_eq!(numbers(&on), [5, 6]);
    let end = client.get(&format!("{path}?after=7")).await.ok(200);
    assert_eq!((numbers(&end), &end["after"]), (vec![], &Value::Null));
    client
        .get(&format!("{path}?after=1&before=3"))
        .await
        .problem(422);
    client
        .get(&format!("{path}?limit={}", limits::HISTORY_PAGE_MAX))
        .await
        .ok(200);
    client
        .get(&format!("{path}?limit={}", limits::HISTORY_PAGE_MAX + 1))
        .await
        .problem(422);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_followed_to_its_acknowledgement() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let mut bob = handle
        .connect("bob")
        .device("phone")
        .class("phone")
        .await
        .unwrap();
    let sent = client
        .post("/api/v1/messages", json!({"to": "bob", "text": "x"}))
        .await
        .ok(201);
    let path = format!("/api/v1/messages/{}", sent["id"].as_str().unwrap());
    let Some(LocalEvent::Message(message)) = bob.recv().await else {
        panic!("no message");
    };
    let before = client.get(&path).await.ok(200);
    assert_eq!(before["receivers"][0]["acknowledged"], false);
    assert_eq!(before["receivers"][0]["online"], true);
    let list = client.get("/api/v1/users/bob/conversations").await.ok(200);
    assert_eq!(list["conversations"][0]["unread"], 1);
    bob.acknowledge(&message);
    let after = client.get(&path).await.ok(200);
    assert_eq!(after["receivers"][0]["devices"][0]["device"], "phone");
    assert_eq!(after["receivers"][0]["devices"][0]["acknowledged"], true);
    let list = client.get("/api/v1/users/bob/conversations").await.ok(200);
    assert_eq!(list["conversations"][0]["unread"], 0);
    assert_eq!(list["conversations"][0]["last"]["text"], "x");
    let bob = client.get("/api/v1/users/bob").await.ok(200);
    assert_eq!(bob["sessions"][0]["transport"], "local");
    assert_eq!(bob["devices"][0]["class"], "phone");
    assert_eq!(bob["cursors"][0]["acknowledged"], 1);
    client.get("/api/v1/users/nobody").await.problem(404);
    running.stop().await;
}

fn ids(page: &Value) -> Vec<String> {
    let users = page["users"].as_array().unwrap().iter();
    users
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_and_kicked() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let mut links = Vec::new();
    for user in ["alice", "bob", "carl"] {
        links.push(handle.connect(user).await.unwrap());
    }
    let page = client
        .get("/api/v1/users?online=true&limit=2")
        .await
        .ok(200);
    assert_eq!(
        (ids(&page), &page["next"]),
        (vec!["alice".into(), "bob".into()], &json!("bob"))
    );
    let page = client
        .get("/api/v1/users?online=true&limit=2&after=bob")
        .await
        .ok(200);
    assert_eq!(
        (ids(&page), &page["next"]),
        (vec!["carl".to_owned()], &Value::Null)
    );
    let path = "/api/v1/users/bob/sessions?reason=rest%20now";
    assert_eq!(
        client.call("DELETE", path, None).await.ok(200)["sessions"],
        1
    );
    match links[1].recv().await {
        Some(LocalEvent::Kicked { code: 2, reason }) => {
            assert_eq!(reason.as_deref(), Some("rest now"));
        }
        other => panic!("{other:?}"),
    }
    let long = "x".repeat(limits::REASON_BYTES_MAX);
    let path = format!("/api/v1/users/bob/sessions?reason={long}");
    client.call("DELETE", &path, None).await.ok(200);
    client
        .call("DELETE", &format!("{path}x"), None)
        .await
        .problem(422);
    client
        .call("DELETE", "/api/v1/users/bob/sessions?code=3", None)
        .await
        .problem(422);
    let page = client.get("/api/v1/users?online=false").await.ok(200);
    assert_eq!(ids(&page), ["bob"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_blocked_and_everybody_is_written_to() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let mut links = Vec::new();
    for user in ["alice", "bob", "carl"] {
        links.push(handle.connect(user).await.unwrap());
    }
    client
        .call("DELETE", "/api/v1/users/bob/sessions", None)
        .await
        .ok(200);
    assert_eq!(
        client
            .call("PUT", "/api/v1/users/carl/block?reason=spam", None)
            .await
            .status,
        204
    );
    assert_eq!(
        ids(&client.get("/api/v1/users?online=true").await.ok(200)),
        ["alice"]
    );
    assert_eq!(
        client
            .call("DELETE", "/api/v1/users/carl/block", None)
            .await
            .status,
        204
    );
    client
        .call("DELETE", "/api/v1/users/carl/block", None)
        .await
        .problem(404);
    client
        .call("PUT", "/api/v1/users/0/block", None)
        .await
        .problem(422);
    // Everybody: who has ever logged in, online or not.
    let all = client
        .post("/api/v1/messages", json!({"to": "*", "text": "x"}))
        .await
        .ok(201);
    assert_eq!(
        (all["messages"].as_array().unwrap().len(), &all["next"]),
        (3, &Value::Null)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_change_for_those_who_are_online() {
    let (running, client) = start(settings()).await;
    let mut bob = running.handle().connect("bob").await.unwrap();
    let group = "/api/v1/groups/friends";
    client.get(group).await.problem(404);
    client
        .call("PUT", &format!("{group}/members/bob"), None)
        .await
        .problem(404);
    let put = client
        .call("PUT", group, Some(json!({"members": ["alice", "carl"]})))
        .await
        .ok(200);
    assert_eq!(put["count"], 2);
    assert_eq!(
        client
            .call("PUT", &format!("{group}/members/bob"), None)
            .await
            .status,
        204
    );
    let to_all = |from: &str| json!({"to": "#friends", "text": "hello", "from": from});
    let sent = client
        .post("/api/v1/messages", to_all("alice"))
        .await
        .ok(201);
    assert_eq!(sent["seq"], 1);
    assert!(matches!(bob.recv().await, Some(LocalEvent::Message(m)) if &*m.body == "hello"));
    client
        .post("/api/v1/messages", to_all("dave"))
        .await
        .problem(403);
    let found = format!("/api/v1/messages/{}", sent["id"].as_str().unwrap());
    let found = client.get(&found).await.ok(200);
    assert_eq!(found["receivers_total"], 2);
    let page = client
        .get("/api/v1/users/bob/conversations/%23friends/messages")
        .await
        .ok(200);
    assert_eq!(numbers(&page), [1]);
    assert_eq!(
        client
            .call("DELETE", &format!("{group}/members/carl"), None)
            .await
            .status,
        204
    );
    client
        .call("DELETE", &format!("{group}/members/carl"), None)
        .await
        .problem(404);
    assert_eq!(
        client.get(group).await.ok(200)["members"],
        json!(["alice", "bob"])
    );
    assert_eq!(client.call("DELETE", group, None).await.status, 204);
    client.call("DELETE", group, None).await.problem(404);
    client
        .call("PUT", group, Some(json!({"members": []})))
        .await
        .problem(422);
    let wrong = client
        .call("PUT", group, Some(json!({"members": ["0"]})))
        .await
        .problem(422);
    assert_eq!(wrong["field"], "members");
    client.get("/api/v1/groups/%23friends").await.problem(422);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_full_at_its_limit() {
    let (running, client) = start(settings()).await;
    let max = limits::GROUP_MEMBERS_MAX;
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("u{n}")).collect() };
    let group = "/api/v1/groups/all";
    let many = json!({"members": names(max + 1)});
    let problem = client.call("PUT", group, Some(many)).await.problem(422);
    assert_eq!(
        (&problem["limit"], &problem["value"]),
        (&json!(max), &json!(max + 1))
    );
    client
        .call("PUT", group, Some(json!({"members": names(max)})))
        .await
        .ok(200);
    let problem = client
        .call("PUT", &format!("{group}/members/late"), None)
        .await
        .problem(422);
    assert_eq!(
        (&problem["limit"], &problem["value"]),
        (&json!(max), &json!(max + 1))
    );
    assert_eq!(
        client
            .call("PUT", &format!("{group}/members/u1"), None)
            .await
            .status,
        204
    );
    running.stop().await;
}

/// The value of a line of `/metrics`.
fn value(text: &str, line: &str) -> f64 {
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {line} in\n{text}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.data = data.path().to_owned();
    settings.delivery.durability = tidings_server::store::Durability::Os;
    settings.web.metrics_open = true;
    let (running, client) = start(settings).await;
    let handle = running.handle();
    let mut bob = handle.connect("bob").await.unwrap();
    handle.set_group("#g", &["alice", "bob"]).await.unwrap();
    handle.send("bob", "one").id("m1").await.unwrap();
    handle.send("bob", "one").id("m1").await.unwrap();
    handle.send("bob", "other").id("m1").await.unwrap_err();
    handle.send("#g", "all").from("alice").await.unwrap();
    handle.send("#none", "x").await.unwrap_err();
    for _ in 0..2 {
        bob.recv().await.unwrap();
    }
    let text = client.raw("GET", "/metrics", vec![], "").await;
    assert_eq!(text.status, 200);
    let text = text.text;
    for metric in TABLE {
        assert!(
            text.contains(&format!("# TYPE {} ", metric.name)),
            "{}",
            metric.name
        );
    }
    let messages = |kind, outcome| {
        let labels = format!("kind=\"{kind}\",outcome=\"{outcome}\"");
        value(&text, &format!("tidings_messages_total{{{labels}}}"))
    };
    assert_eq!(
        (messages("user", "new"), messages("user", "duplicate")),
        (1.0, 1.0)
    );
    assert_eq!(
        (messages("user", "conflict"), messages("group", "new")),
        (1.0, 1.0)
    );
    assert_eq!(messages("group", "refused"), 1.0);
    assert_eq!(
        value(&text, "tidings_logins_total{outcome=\"accepted\"}"),
        1.0
    );
    assert_eq!(
        value(&text, "tidings_connections{transport=\"local\"}"),
        1.0
    );
    assert_eq!(value(&text, "tidings_sessions"), 1.0);
    assert_eq!(value(&text, "tidings_deliveries_total"), 2.0);
    assert_eq!(value(&text, "tidings_store_messages"), 2.0);
    assert!(value(&text, "tidings_store_bytes") > 4096.0);
    let batches = value(&text, "tidings_commit_seconds_count");
    assert!(batches >= 5.0 && value(&text, "tidings_gather_seconds_count") >= batches);
    let stats = client.get("/api/v1/stats").await.ok(200);
    for metric in TABLE {
        assert_eq!(stats[metric.name]["unit"], metric.unit);
    }
    let proxied = vec![("X-Forwarded-For", "192.0.2.1".to_owned())];
    client
        .raw("GET", "/metrics", proxied.clone(), "")
        .await
        .problem(401);
    let mut keyed = proxied;
    keyed.push(client.bearer(&client.read));
    assert_eq!(client.raw("GET", "/metrics", keyed, "").await.status, 200);
    running.stop().await;
}
