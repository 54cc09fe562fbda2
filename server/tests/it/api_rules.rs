//! Keys, limits and refusals: each at the limit and one past it.

use crate::api::{Client, settings, start};
use serde_json::{Value, json};
use tidings_server::auth::{Command, Scope};
use tidings_server::core::limits;

const MESSAGES: &str = "/api/v1/messages";

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_they_are_for() {
    let (running, client) = start(settings()).await;
    let problem = client.raw("GET", "/api/v1/users", vec![], "").await;
    assert_eq!(problem.header("www-authenticate"), Some("Bearer"));
    problem.problem(401);
    let wrong = vec![client.bearer("tidings_wrong")];
    client
        .raw("GET", "/api/v1/users", wrong, "")
        .await
        .problem(401);
    let with = |key: &str| vec![client.bearer(key)];
    let json_with = |key: &str| {
        vec![
            client.bearer(key),
            ("Content-Type", "application/json".to_owned()),
        ]
    };
    let body = json!({"to": "bob", "text": "x"}).to_string();
    for (key, statuses) in [
        (&client.read, [200, 403, 403]),
        (&client.send, [200, 201, 403]),
        (&client.admin, [200, 201, 404]),
    ] {
        let looked = client
            .raw("GET", "/api/v1/users", with(key), "")
            .await
            .status;
        let sent = client
            .raw("POST", MESSAGES, json_with(key), body.clone())
            .await
            .status;
        let removed = client
            .raw("DELETE", "/api/v1/groups/none", with(key), "")
            .await
            .status;
        assert_eq!([looked, sent, removed], statuses);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_is_left_of_the_rate() {
    let (running, client) = start(settings()).await;
    let answer = client.get("/api/v1/users").await;
    let limit = (2 * limits::API_CALLS_PER_S).to_string();
    assert_eq!(answer.header("ratelimit-limit"), Some(&*limit));
    assert!(answer.header("ratelimit-remaining").is_some());
    assert!(answer.header("ratelimit-reset").is_some());
    assert!(
        answer.header("access-control-allow-origin").is_none(),
        "no CORS"
    );
    running.stop().await;
}

async fn refused(client: &Client, body: Value, status: u16) -> Value {
    client.post(MESSAGES, body).await.problem(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_field_the_limit_and_the_value() {
    let (running, client) = start(settings()).await;
    let max = limits::NAME_BYTES_MAX;
    let longest = "x".repeat(max);
    client
        .post(MESSAGES, json!({"to": longest, "text": ""}))
        .await
        .ok(201);
    let problem = refused(
        &client,
        json!({"to": format!("{longest}x"), "text": ""}),
        422,
    )
    .await;
    assert_eq!(
        (&problem["field"], &problem["limit"], &problem["value"]),
        (&json!("to"), &json!(max), &json!(max + 1))
    );
    let field = |problem: Value| problem["field"].as_str().unwrap().to_owned();
    let unknown = json!({"to": "bob", "text": "x", "colour": 1});
    assert_eq!(field(refused(&client, unknown, 422).await), "colour");
    assert_eq!(
        field(refused(&client, json!({"to": "bob"}), 422).await),
        "text"
    );
    let wrong = json!({"to": "bob", "text": 7});
    assert_eq!(field(refused(&client, wrong, 422).await), "text");
    let wrong = json!({"to": 7, "text": "x"});
    assert_eq!(field(refused(&client, wrong, 422).await), "to");
    let team = json!({"to": "@support", "text": "x"});
    assert_eq!(field(refused(&client, team, 422).await), "to");
    assert_eq!(
        field(refused(&client, json!({"to": "0", "text": "x"}), 422).await),
        "to"
    );
    assert_eq!(
        field(refused(&client, json!({"to": "#none", "text": "x"}), 404).await),
        "to"
    );
    for path in ["/api/v1/users?limit=0", "/api/v1/users?limit=201"] {
        assert_eq!(field(client.get(path).await.problem(422)), "limit");
    }
    assert_eq!(
        field(client.get("/api/v1/users?limit=x").await.problem(400)),
        "limit"
    );
    assert_eq!(
        field(client.get("/api/v1/users?colour=1").await.problem(400)),
        "colour"
    );
    let history = "/api/v1/users/bob/conversations/alice/messages";
    let past = format!("{history}?before={}", u64::try_from(i64::MAX).unwrap() + 1);
    assert_eq!(field(client.get(&past).await.problem(422)), "before");
    let last = format!("{history}?before={}", i64::MAX);
    client.get(&last).await.ok(200);
    client.get("/api/v1/users?limit=200").await.ok(200);
    client.get("/api/v1/nowhere").await.problem(404);
    let answer = client.call("PUT", MESSAGES, None).await;
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.problem(405);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_are_bounded_and_named_once() {
    let (running, client) = start(settings()).await;
    let max = limits::API_RECIPIENTS_MAX;
    let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("u{n}")).collect() };
    let sent = client
        .post(MESSAGES, json!({"to": names(max), "text": "x"}))
        .await
        .ok(201);
    assert_eq!(sent["messages"].as_array().unwrap().len(), max);
    let problem = refused(&client, json!({"to": names(max + 1), "text": "x"}), 422).await;
    assert_eq!(
        (&problem["limit"], &problem["value"]),
        (&json!(max), &json!(max + 1))
    );
    refused(&client, json!({"to": [], "text": "x"}), 422).await;
    refused(&client, json!({"to": ["a", "b", "a"], "text": "x"}), 422).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_is_refused_and_the_answer_arrives() {
    let (running, client) = start(settings()).await;
    let body = |bytes: usize| {
        let mut body = json!({"to": "bob", "text": "x"}).to_string().into_bytes();
        body.resize(bytes, b' ');
        body
    };
    let headers = || {
        vec![
            client.bearer(&client.admin),
            ("Content-Type", "application/json".to_owned()),
        ]
    };
    let max = limits::API_BODY_BYTES_MAX;
    client
        .raw("POST", MESSAGES, headers(), body(max))
        .await
        .ok(201);
    for bytes in [max + 1, limits::HTTP_LINGER_BYTES_MAX] {
        let problem = client
            .raw("POST", MESSAGES, headers(), body(bytes))
            .await
            .problem(413);
        assert_eq!(
            (&problem["limit"], &problem["value"]),
            (&json!(max), &json!(bytes))
        );
    }
    // The text's own limit is the frame's.
    let long = json!({"to": "bob", "text": "x".repeat(limits::FRAME_BYTES_MAX)});
    assert_eq!(
        client.post(MESSAGES, long).await.problem(413)["field"],
        "text"
    );
    let plain = vec![client.bearer(&client.admin)];
    client.raw("POST", MESSAGES, plain, "{}").await.problem(415);
    client
        .raw("POST", MESSAGES, headers(), "{")
        .await
        .problem(400);
    client
        .raw(
            "POST",
            MESSAGES,
            headers(),
            "{\"to\":\"bob\",\"text\":\"\"} 1",
        )
        .await
        .problem(400);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_again_gets_the_same_answer() {
    let (running, client) = start(settings()).await;
    let key = [("Idempotency-Key", "order-17")];
    let body = json!({"to": "bob", "text": "x"});
    let first = client.send_with(&key, &body).await;
    let again = client.send_with(&key, &body).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert!(first.header("idempotency-replayed").is_none());
    let other = json!({"to": "bob", "text": "y"});
    let problem = client.send_with(&key, &other).await.problem(409);
    assert_eq!(problem["field"], "Idempotency-Key");
    let fresh = client
        .send_with(&[("Idempotency-Key", "order-18")], &body)
        .await
        .ok(201);
    assert_eq!(fresh["seq"], 2);
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    client
        .send_with(&[("Idempotency-Key", &"k".repeat(max))], &body)
        .await
        .ok(201);
    let long = client
        .send_with(&[("Idempotency-Key", &"k".repeat(max + 1))], &body)
        .await;
    assert_eq!(long.problem(400)["limit"], max);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_remembers_what_the_answers_forgot() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.data = data.path().to_owned();
    settings.delivery.durability = tidings_server::store::Durability::Os;
    let (running, client) = start(settings.clone()).await;
    let key = [("Idempotency-Key", "order-17")];
    let body = json!({"to": ["bob", "carl"], "text": "x"});
    let first = client.send_with(&key, &body).await.ok(201);
    let id = first["messages"][0]["id"].as_str().unwrap().to_owned();
    running.stop().await;
    let (running, fresh) = start(settings).await;
    let client = Client {
        send: client.send,
        ..fresh
    };
    assert_eq!(client.send_with(&key, &body).await.ok(201), first);
    let other = json!({"to": "bob", "text": "y"});
    client
        .send_with(&[("Idempotency-Key", "order-17")], &other)
        .await
        .problem(409);
    let found = client
        .get(&format!("/api/v1/messages/{id}?from=0&to=bob"))
        .await
        .ok(200);
    assert_eq!(found["text"], "x");
    let page = client
        .get("/api/v1/users/bob/conversations/0/messages")
        .await
        .ok(200);
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_a_key_has_its_own_rate() {
    let (running, client) = start(settings()).await;
    let access = running.access();
    let make = |rate| {
        let (scope, name) = (Scope::Send, "shop".to_owned());
        access.execute(Command::KeyCreate { scope, name, rate })
    };
    let of = |made: Value| made["key"].as_str().unwrap().to_owned();
    let (slow, fast) = (of(make(Some(1)).unwrap()), of(make(Some(50_000)).unwrap()));
    let call = |key: &str| {
        let headers = vec![client.bearer(key)];
        let client = client.clone();
        async move { client.raw("GET", "/api/v1/users", headers, "").await }
    };
    let first = call(&slow).await;
    assert_eq!(
        (first.status, first.header("ratelimit-limit")),
        (200, Some("2"))
    );
    // Two in a row at the most, however long the calls take: at one a second the third is refused.
    let mut refused = None;
    for _ in 0..20 {
        let answer = call(&slow).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a key of one call a second makes twenty");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem = refused.problem(429);
    assert!(
        problem["detail"].as_str().unwrap().contains("1 a second"),
        "{problem}"
    );
    let answer = call(&fast).await;
    assert_eq!(answer.header("ratelimit-limit"), Some("100000"));
    for rate in [0, limits::API_CALLS_PER_S_MAX + 1] {
        let error = make(Some(rate)).unwrap_err().to_string();
        assert!(error.contains("API_CALLS_PER_S_MAX"), "{error}");
    }
    let list = access.execute(Command::KeyList).unwrap();
    let rates: Vec<&Value> = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["rate"])
        .collect();
    assert_eq!(rates[rates.len() - 2..], [1, 50_000]);
    assert_eq!(rates[0], limits::API_CALLS_PER_S);
    running.stop().await;
}
