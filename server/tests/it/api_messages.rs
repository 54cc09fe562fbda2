//! Messages over HTTP.

use crate::api::{settings, start};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_one_and_to_several() {
    let (running, client) = start(settings()).await;
    let sent = client
        .post("/api/v1/messages", json!({"to": "bob", "text": "one"}))
        .await
        .ok(201);
    assert_eq!(sent["seq"], 1);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(sent.as_object().unwrap().len(), 2);
    let many = json!({"to": ["bob", "carl"], "text": "two", "from": "alice", "type": 5});
    let many = client.post("/api/v1/messages", many).await.ok(201);
    assert_eq!(many["messages"][1]["to"], "carl");
    assert_eq!(many["messages"][1]["seq"], 1);
    let found = client.get(&format!("/api/v1/messages/{id}")).await.ok(200);
    assert_eq!(
        (&found["from"], &found["to"], &found["text"]),
        (&json!("0"), &json!("bob"), &json!("one"))
    );
    assert_eq!(
        found["receivers"][0],
        json!({"user": "bob", "online": false, "acknowledged": false, "devices": []})
    );
    let page = client
        .get("/api/v1/users/bob/conversations/alice/messages")
        .await
        .ok(200);
    assert_eq!(page["messages"][0]["type"], 5);
    client.get("/api/v1/messages/none").await.problem(404);
    running.stop().await;
}
