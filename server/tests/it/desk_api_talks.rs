//! Conversations over HTTP: waiting, served, handed over, ended, looked for.

#![allow(clippy::too_many_lines)] // a story in one go

use crate::desk::{bind, customer};
use crate::desk_http::{DEMO, by, eventually, get, post, refused, start, two_wait};
use serde_json::{Value, json};
use tidings_server::core::desk::AgentStatus;
use tidings_server::core::limits;
use tidings_server::core::secret::Secret;

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_and_the_figures_say_who_waits() {
    let (running, client) = start().await;
    let (_alice, _bob) = two_wait(&running).await;
    let queue = get(&client, "/queue").await;
    assert_eq!(queue["total"], 2);
    let first = &queue["waiting"][0];
    assert_eq!(
        (&first["customer"], &first["position"]),
        (&json!("alice"), &json!(1))
    );
    assert_eq!(
        (&first["state"], &first["team"]),
        (&json!("waiting"), &json!("support"))
    );
    assert_eq!(
        (&first["customer_online"], &first["wait_ms"]),
        (&json!(true), &Value::Null)
    );
    let page = get(&client, "/queue?limit=1").await;
    assert_eq!(
        (&page["next"], &page["waiting"][0]["customer"]),
        (&json!(1), &json!("alice"))
    );
    let page = get(&client, &format!("/queue?limit=1&after={}", page["next"])).await;
    assert_eq!(
        (&page["next"], &page["waiting"][0]["position"]),
        (&Value::Null, &json!(2))
    );
    assert_eq!(get(&client, "/queue?team=sales").await["total"], 0);
    assert_eq!(
        by(&client, "seller", "GET", "/queue", None).await.ok(200)["total"],
        0
    );
    assert_eq!(
        by(&client, "agent1", "GET", "/queue", None).await.ok(200)["total"],
        2
    );
    client
        .get(&format!("{DEMO}/queue?team=none"))
        .await
        .problem(422);
    let _seller = bind(&running, "seller").await;
    let figures = get(&client, "/figures").await;
    assert_eq!(
        (&figures["waiting"], &figures["serving"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(figures["agents"]["online"], 1);
    assert_eq!(
        (&figures["agents"]["offline"], &figures["slots"]),
        (&json!(4), &json!(2))
    );
    let support = &figures["teams"][1];
    assert_eq!(
        (&support["team"], &support["waiting"]),
        (&json!("support"), &json!(2))
    );
    let text = client.get("/metrics").await.text;
    for line in [
        "tidings_desk_waiting_customers{tenant=\"demo\",team=\"support\"} 2",
        "tidings_desk_waiting_customers{tenant=\"demo\",team=\"sales\"} 0",
        "tidings_desk_agents{tenant=\"demo\",status=\"online\"} 1",
        "tidings_desk_slots{tenant=\"demo\"} 2",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
    let most = limits::DESK_TIME_MS_MAX;
    get(&client, &format!("/figures?period_ms={most}")).await;
    client
        .get(&format!("{DEMO}/figures?period_ms={}", most + 1))
        .await
        .problem(422);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_and_recalls_over_http() {
    let (running, client) = start().await;
    let (mut alice, _bob) = two_wait(&running).await;
    let mut agent = bind(&running, "agent1").await;
    let chat = format!("/conversations/{}", agent.given().await.1);
    let live = get(&client, "/agents?live=true").await;
    let one = &live["agents"][0]["live"];
    assert_eq!(
        (&one["status"], &one["serving"]),
        (&json!("online"), &json!(2))
    );
    let messages = format!("{chat}/messages");
    let said = json!({"as": "agent1", "text": "hello", "id": "r1"});
    assert_eq!(
        post(&client, &messages, said.clone()).await.ok(201)["id"],
        "r1"
    );
    assert_eq!(alice.text().await, "hello");
    // The same again is the same message; other content with its id is none.
    post(&client, &messages, said).await.ok(201);
    let other = json!({"as": "agent1", "text": "other", "id": "r1"});
    post(&client, &messages, other).await.problem(409);
    let own = json!({"text": "by account"});
    by(&client, "agent1", "POST", &messages, Some(own.clone()))
        .await
        .ok(201);
    assert_eq!(alice.text().await, "by account");
    by(
        &client,
        "agent1",
        "POST",
        &format!("{chat}/notes"),
        Some(json!({"text": "a secret"})),
    )
    .await
    .ok(201);
    // With an Idempotency-Key the id is made from it.
    let headers = || {
        vec![
            client.bearer(&client.send),
            ("Content-Type", "application/json".to_owned()),
            ("Idempotency-Key", "k1".to_owned()),
        ]
    };
    let keyed = json!({"as": "agent1", "text": "once"}).to_string();
    let path = format!("{DEMO}{messages}");
    let first = client
        .raw("POST", &path, headers(), keyed.clone())
        .await
        .ok(201);
    assert_eq!(
        client.raw("POST", &path, headers(), keyed).await.ok(201),
        first
    );
    assert_eq!(alice.text().await, "once");
    let recall = |id: &str| json!({"as": "agent1", "id": id});
    let path = format!("{chat}/recall");
    assert_eq!(post(&client, &path, recall("r1")).await.status, 204);
    refused(post(&client, &path, recall("r1")).await, "already");
    refused(post(&client, &path, recall("r9")).await, "not_your_message");
    // Who may not, and what is no message.
    refused(
        by(&client, "agent2", "POST", &messages, Some(own)).await,
        "no_session",
    );
    let long = "x".repeat(limits::FRAME_BYTES_MAX);
    post(&client, &messages, json!({"as": "agent1", "text": long}))
        .await
        .problem(413);
    for (body, field) in [
        (json!({"text": "x"}), "as"),
        (json!({"as": "nobody", "text": "x"}), "as"),
        (json!({"as": "agent1"}), "text"),
        (json!({"as": "agent1", "text": "x", "type": 400}), "type"),
        (json!({"as": "agent1", "text": "x", "loud": true}), "loud"),
        (
            json!({"as": "agent1", "text": "x", "id": "x".repeat(200)}),
            "id",
        ),
    ] {
        assert_eq!(
            post(&client, &messages, body).await.problem(422)["field"],
            field
        );
    }
    let as_other = json!({"as": "agent2", "text": "x"});
    by(&client, "agent1", "POST", &messages, Some(as_other))
        .await
        .problem(403);
    let shown = eventually(&client, &chat, |c| {
        c["messages"].to_string().contains("once")
    })
    .await;
    let lines = shown["messages"].as_array().unwrap();
    let line = |text: &str| lines.iter().find(|line| line["text"] == text);
    assert_eq!(line("a secret").unwrap()["note"], true);
    assert_eq!(line("by account").unwrap()["author"], "agent1");
    assert_eq!(line("my parcel is lost").unwrap()["by"], "customer");
    let recalled = eventually(&client, &chat, |c| {
        let lines = c["messages"].as_array().unwrap();
        lines
            .iter()
            .any(|l| l["id"] == "r1" && l["recalled"] == true && l["text"].is_null())
    });
    assert!(!recalled.await.to_string().contains("\"hello\""));
    assert_eq!(
        (&shown["live"]["agent"], &shown["state"]),
        (&json!("agent1"), &json!("active"))
    );
    // A colleague does not see it, a supervisor does.
    by(&client, "agent2", "GET", &chat, None).await.problem(403);
    by(&client, "boss", "GET", &chat, None).await.ok(200);
    by(&client, "agent1", "GET", &chat, None).await.ok(200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_handed_over_taken_and_closed() {
    let (running, client) = start().await;
    let (_alice, _bob) = two_wait(&running).await;
    let mut one = bind(&running, "agent1").await;
    let episode = one.given().await.1;
    let chat = format!("/conversations/{episode}");
    let (transfer, take) = (format!("{chat}/transfer"), format!("{chat}/take-over"));
    let to = |agent: &str| json!({"to_agent": agent, "note": "in a hurry"});
    // A supervisor needs no session to hand over, but whoever gets it does.
    refused(
        by(&client, "boss", "POST", &transfer, Some(to("agent2"))).await,
        "target_busy",
    );
    refused(
        by(&client, "agent2", "POST", &transfer, Some(to("agent3"))).await,
        "no_session",
    );
    let mut two = bind(&running, "agent2").await;
    refused(
        by(&client, "agent2", "POST", &transfer, Some(to("agent3"))).await,
        "not_yours",
    );
    refused(
        by(&client, "boss", "POST", &transfer, Some(to("agent1"))).await,
        "transfer_pending",
    );
    let given = by(&client, "boss", "POST", &transfer, Some(to("agent2")))
        .await
        .ok(200);
    assert_eq!(given["live"]["agent"], "agent2");
    assert_eq!(two.given().await, ("alice".to_owned(), episode));
    let note = "x".repeat(limits::DESK_NOTE_BYTES_MAX);
    let long = |note: String| json!({"as": "agent2", "to_agent": "agent1", "note": note});
    post(&client, &transfer, long(note.clone())).await.ok(200);
    let problem = post(&client, &transfer, long(format!("{note}x")))
        .await
        .problem(422);
    assert_eq!(problem["limit"], limits::DESK_NOTE_BYTES_MAX);
    for body in [
        json!({"as": "agent1"}),
        json!({"as": "agent1", "to_agent": "agent2", "to_team": "sales"}),
        json!({"as": "agent1", "to_agent": "nobody"}),
        json!({"as": "agent1", "to_team": "nowhere"}),
        json!({"as": "agent1", "to_team": "sales", "skills": ["flying"]}),
    ] {
        post(&client, &transfer, body).await.problem(422);
    }
    // Taking over is for supervisors who are there.
    refused(
        by(&client, "agent1", "POST", &take, None).await,
        "not_supervisor",
    );
    refused(by(&client, "boss", "POST", &take, None).await, "no_session");
    let mut boss = bind(&running, "boss").await;
    let taken = by(&client, "boss", "POST", &take, None).await.ok(200);
    assert_eq!(taken["live"]["agent"], "boss");
    assert_eq!(boss.given().await.1, episode);
    refused(by(&client, "boss", "POST", &take, None).await, "already");
    // Of the other team nobody else is there; then somebody who takes nobody.
    let to_team = json!({"as": "boss", "to_team": "sales"});
    let absent = post(&client, &transfer, to_team.clone()).await;
    refused(absent, "target_absent");
    let seller = running.desks();
    let account = Secret::from(crate::desk::PASSWORD.to_owned());
    let account = seller.sign_in("seller", account, None).await.unwrap();
    let _seller = seller.bind(&account, AgentStatus::Busy).await.unwrap();
    let queued = post(&client, &transfer, to_team).await.ok(200);
    assert_eq!(queued["live"]["team"], "sales");
    let close = format!("{chat}/close");
    post(&client, &take, json!({"as": "boss"})).await;
    let closed = post(&client, &close, json!({"as": "boss"})).await.ok(200);
    assert_eq!(closed, json!({"episode": episode, "live": null}));
    eventually(&client, &chat, |c| c["state"] == "closed").await;
    refused(
        post(&client, &close, json!({"as": "boss"})).await,
        "not_open",
    );
    post(&client, "/conversations/999/close", json!({"as": "boss"}))
        .await
        .problem(404);
    client
        .get(&format!("{DEMO}/conversations/999"))
        .await
        .problem(404);
    let shown = get(&client, &chat).await;
    assert_eq!(shown["agents"], json!(["agent1", "agent2", "boss"]));
    assert_eq!(shown["events"].as_array().unwrap()[0]["event"], "waits");
    let trail = get(&client, "/audit").await;
    let entries = trail["entries"].as_array().unwrap();
    let find = |what: &str, who: &str| {
        let name = episode.to_string();
        entries
            .iter()
            .any(|e| e["what"] == what && e["who"] == who && e["name"] == name)
    };
    assert!(
        find("take over", "boss") && find("transfer", "boss"),
        "{trail}"
    );
    assert!(find("close", "key 1 as boss"), "{trail}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_looked_for() {
    let (running, client) = start().await;
    let (mut alice, _bob) = two_wait(&running).await;
    let mut one = bind(&running, "agent1").await;
    let first = one.given().await.1;
    let second = one.given().await.1;
    post(
        &client,
        &format!("/conversations/{first}/close"),
        json!({"as": "agent1"}),
    )
    .await
    .ok(200);
    alice.says("m2", "still 100% lost").await;
    assert_eq!(one.given().await.0, "alice");
    let carl = customer(&running, "carl").await;
    carl.says("m1", "hello").await;
    alice.next().await;
    let all = eventually(&client, "/conversations", |page| {
        let found = page["conversations"].as_array().unwrap();
        found.len() == 4 && found[1]["customer_messages"] == 1
    })
    .await;
    let numbers = |page: &Value| -> Vec<u64> {
        let found = page["conversations"].as_array().unwrap().iter();
        found.map(|c| c["episode"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&all), [4, 3, 2, 1]);
    let opened = all["conversations"][2]["opened_ms"].as_i64().unwrap();
    for (query, found) in [
        ("customer=alice".to_owned(), vec![3, 1]),
        ("agent=agent1".to_owned(), vec![3, 2, 1]),
        ("agent=agent2".to_owned(), vec![]),
        ("team=sales".to_owned(), vec![]),
        ("state=closed".to_owned(), vec![1]),
        ("state=waiting".to_owned(), vec![4]),
        ("state=active".to_owned(), vec![3, 2]),
        ("text=LOST".to_owned(), vec![3, 1]),
        ("text=100%25".to_owned(), vec![3]),
        ("text=_".to_owned(), vec![]),
        (format!("to={}", opened + 1), vec![second, first]),
        ("from=9000000000000".to_owned(), vec![]),
        ("before=3".to_owned(), vec![2, 1]),
    ] {
        assert_eq!(
            numbers(&get(&client, &format!("/conversations?{query}")).await),
            found,
            "{query}"
        );
    }
    let page = get(&client, "/conversations?limit=3").await;
    assert_eq!(
        (numbers(&page), &page["before"]),
        (vec![4, 3, 2], &json!(2))
    );
    let page = get(&client, "/conversations?limit=3&before=2").await;
    assert_eq!((numbers(&page), &page["before"]), (vec![1], &Value::Null));
    let own = by(&client, "agent1", "GET", "/conversations", None)
        .await
        .ok(200);
    assert_eq!(numbers(&own), [3, 2, 1]);
    by(
        &client,
        "agent1",
        "GET",
        "/conversations?agent=agent2",
        None,
    )
    .await
    .problem(403);
    assert_eq!(
        numbers(
            &by(&client, "agent2", "GET", "/conversations", None)
                .await
                .ok(200)
        ),
        [0; 0]
    );
    for query in ["state=open", "limit=201"] {
        client
            .get(&format!("{DEMO}/conversations?{query}"))
            .await
            .problem(422);
    }
    let long = "x".repeat(limits::DESK_SEARCH_BYTES_MAX);
    get(&client, &format!("/conversations?text={long}")).await;
    client
        .get(&format!("{DEMO}/conversations?text={long}x"))
        .await
        .problem(422);
    running.stop().await;
}
