//! Messages over HTTP.

use crate::api::{settings, start};
use serde_json::{Value, json};
use tidings_server::core::limits;

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

#[tokio::test(flavor = "multi_thread")]
async fn b34_several_messages_in_one_call_have_an_answer_each() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    handle.set_group("#g", &["alice"]).await.unwrap();
    let mut messages: Vec<Value> = (0..600)
        .map(|n| json!({"to": "bob", "from": "alice", "text": n.to_string()}))
        .collect();
    messages.push(json!({"to": "#g", "from": "alice", "text": "to the group"}));
    messages.push(json!({"to": "#g", "from": "carl", "text": "no member"}));
    messages.push(json!({"to": "", "text": "nobody"}));
    messages.push(json!({"to": "bob", "text": "x".repeat(limits::FRAME_BYTES_MAX)}));
    messages.push(json!({"to": "bob", "text": "typing", "qos": false}));
    messages.push(json!({"to": "bob", "from": "alice", "text": "last"}));
    let body = json!({ "messages": messages });
    let path = "/api/v1/messages/batch";
    let headers = || {
        vec![
            client.bearer(&client.send),
            ("Content-Type", "application/json".to_owned()),
            ("Idempotency-Key", "batch-1".to_owned()),
        ]
    };
    let sent = client.raw("POST", path, headers(), body.to_string()).await;
    let answers = sent.ok(200);
    let of = |at: usize| &answers["messages"][at];
    assert_eq!(
        answers["messages"].as_array().unwrap().len(),
        messages.len()
    );
    for at in 0..600 {
        assert_eq!(of(at)["seq"], at + 1, "in their order: {}", of(at));
    }
    assert_eq!((&of(600)["to"], &of(600)["seq"]), (&json!("#g"), &json!(1)));
    let status = |at: usize| of(at)["problem"]["status"].as_u64();
    assert_eq!(
        (status(601), status(602), status(603)),
        (Some(403), Some(422), Some(413))
    );
    assert_eq!(of(604)["seq"], 0);
    assert_eq!(of(605)["seq"], 601);
    let again = client.raw("POST", path, headers(), body.to_string()).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json(), answers);
    let path_of = "/api/v1/users/bob/conversations/alice/messages?limit=1";
    let newest = client.get(path_of).await.ok(200);
    assert_eq!(newest["messages"][0]["seq"], 601);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_a_call_has_so_many_messages() {
    let (running, client) = start(settings()).await;
    let body = |count: usize| {
        let one = json!({"to": "bob", "text": "x"});
        json!({ "messages": vec![one; count] })
    };
    let path = "/api/v1/messages/batch";
    let max = limits::API_BATCH_MESSAGES_MAX;
    let full = client.post(path, body(max)).await.ok(200);
    assert_eq!(full["messages"][max - 1]["seq"], max);
    for count in [0, max + 1] {
        let problem = client.post(path, body(count)).await.problem(422);
        assert_eq!(
            (&problem["field"], &problem["limit"]),
            (&json!("messages"), &json!(max))
        );
    }
    client
        .post(path, json!({"messages": [{"to": "bob"}]}))
        .await
        .problem(422);
    running.stop().await;
}
