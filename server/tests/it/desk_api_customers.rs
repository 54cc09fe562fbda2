//! A customer's data: to have it, and to have it gone.

#![allow(clippy::too_many_lines)] // a story in one go

use std::path::Path;

use crate::api::Client;
use crate::desk::{PATIENCE, bind, customer, furnish};
use crate::desk_http::{DEMO, eventually, get, post, refused, start, two_wait};
use serde_json::{Value, json};
use tidings_server::Server;
use tidings_server::desk::CustomerAct;
use tidings_server::store::Page;

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_exported_and_erased_and_figures_stay() {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = || {
        let mut settings = crate::api::settings();
        settings.data = dir.path().to_owned();
        settings.delivery.durability = tidings_server::store::Durability::Os;
        settings
    };
    let (running, client) = crate::api::start(on_disk()).await;
    furnish(&running).await;
    let (alice, _bob) = two_wait(&running).await;
    let mut one = bind(&running, "agent1").await;
    let episode = one.given().await.1;
    let chat = format!("/conversations/{episode}");
    let note = json!({"as": "agent1", "text": "a difficult one"});
    post(&client, &format!("{chat}/notes"), note).await.ok(201);
    post(&client, &format!("{chat}/close"), json!({"as": "agent1"}))
        .await
        .ok(200);
    let rate = CustomerAct::Rate {
        episode: tidings_server::core::desk::EpisodeId(episode),
        stars: 2,
        text: "=cheap".to_owned(),
    };
    running
        .desks()
        .customer(&"alice".into(), &"@support".into(), rate)
        .await
        .unwrap();
    eventually(&client, &chat, |c| c["stars"] == 2).await;
    let csv = client
        .get(&format!("{DEMO}/reports/ratings?format=csv"))
        .await;
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert!(csv.text.contains(",2,\"'=cheap\"\r\n"), "{}", csv.text);
    let user = "/api/v1/desk/customers/alice";
    let export = client.get(&format!("{user}/export")).await.ok(200);
    let told = export.to_string();
    for text in ["my parcel is lost", "a difficult one", "=cheap"] {
        assert!(told.contains(text), "{told}");
    }
    assert!(!told.contains("=1+1"), "that is bob's");
    let page = client.get(&format!("{user}/export?limit=1")).await.ok(200);
    let next = page["next"].as_str().unwrap();
    let page = client
        .get(&format!("{user}/export?after={next}"))
        .await
        .ok(200);
    let all = export["messages"].as_array().unwrap().len();
    assert_eq!(page["messages"].as_array().unwrap().len(), all - 1);
    client
        .get(&format!("{user}/export?after=x"))
        .await
        .problem(422);
    // Open again: not without force.
    alice.says("m2", "and another thing").await;
    one.given().await;
    one.given().await;
    let erase = |query: &str| {
        let (client, path) = (client.clone(), format!("{user}{query}"));
        async move { client.call("DELETE", &path, None).await }
    };
    refused(erase("").await, "open");
    let gone = erase("?force=true").await.ok(200);
    assert_eq!(
        (&gone["messages"], &gone["ratings"]),
        (&json!(3), &json!(1))
    );
    let nothing = json!({"messages": 0, "records": 0, "ratings": 0});
    assert_eq!(erase("").await.ok(200), nothing);
    let nobody = client
        .call("DELETE", "/api/v1/desk/customers/nobody", None)
        .await;
    assert_eq!(nobody.ok(200), nothing);
    let told = client
        .get(&format!("{user}/export"))
        .await
        .ok(200)
        .to_string();
    let record = get(&client, &chat).await;
    for text in [
        "my parcel is lost",
        "a difficult one",
        "=cheap",
        "another thing",
    ] {
        assert!(
            !told.contains(text) && !record.to_string().contains(text),
            "{told}\n{record}"
        );
    }
    assert_eq!(
        (&record["stars"], &record["rating_text"]),
        (&json!(2), &Value::Null)
    );
    let trail = get(&client, "/audit").await.to_string();
    assert!(trail.contains("erase customer") && trail.contains("export customer"));
    drop(alice);
    drop(one);
    running.stop().await;

    let running = Server::start(on_disk()).await.unwrap();
    let client = Client {
        address: running.addresses().http.unwrap(),
        ..client
    };
    assert_eq!(get(&client, &chat).await, record);
    let told = client
        .get(&format!("{user}/export"))
        .await
        .ok(200)
        .to_string();
    assert!(!told.contains("another thing"));
    assert_eq!(
        get(&client, "/reports/ratings").await["rows"][0]["stars"],
        2
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_agents_on_ordinary_sessions_go_too() {
    let (running, client) = start().await;
    let mut agent = running.handle().connect("agent1").await.unwrap();
    agent.send("@support", "/online").await.unwrap();
    let alice = customer(&running, "alice").await;
    alice.says("m1", "my parcel is lost").await;
    let copy = loop {
        let message = agent.message().await.unwrap();
        agent.acknowledge(&message);
        if message.body.contains("my parcel is lost") {
            break message;
        }
    };
    assert_eq!(&*copy.from, "@support/alice");
    let user = "/api/v1/desk/customers/alice";
    client
        .call("DELETE", &format!("{user}?force=true"), None)
        .await
        .ok(200);
    let page = Page::Before(u64::MAX, 100);
    let left = running
        .handle()
        .history("agent1", "@support/alice", page)
        .await
        .unwrap();
    assert!(
        left.iter().all(|message| !message.body.contains("parcel")),
        "{left:?}"
    );
    running.stop().await;
}

/// Files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
            continue;
        }
        // A file may be gone again.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn leaves(folder: &Path, text: &str) {
    let wait = async {
        while !holding(folder, text).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{text:?} is still in {:?}", holding(folder, text)));
}

#[tokio::test(flavor = "multi_thread")]
async fn b31_what_was_recalled_or_erased_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = crate::api::settings();
    settings.data = dir.path().to_owned();
    settings.delivery.durability = tidings_server::store::Durability::Disk;
    let (running, client) = crate::api::start(settings).await;
    furnish(&running).await;
    let (alice, _bob) = two_wait(&running).await;
    let mut one = bind(&running, "agent1").await;
    let episode = one.given().await.1;
    let chat = format!("/conversations/{episode}");
    let long = "and so on ".repeat(400);
    let said = json!({"as": "agent1", "id": "r1", "text": format!("zebra-recalled {long}")});
    post(&client, &format!("{chat}/messages"), said).await;
    alice.says("m2", &format!("zebra-customer {long}")).await;
    let note = json!({"as": "agent1", "text": "zebra-note"});
    post(&client, &format!("{chat}/notes"), note).await.ok(201);
    eventually(&client, &chat, |c| c.to_string().contains("zebra-note")).await;
    for text in ["zebra-recalled", "zebra-customer", "zebra-note"] {
        assert!(!holding(dir.path(), text).is_empty(), "{text}");
    }
    let recall = json!({"as": "agent1", "id": "r1"});
    let recalled = post(&client, &format!("{chat}/recall"), recall).await;
    assert!(recalled.status < 300, "{recalled:?}");
    leaves(dir.path(), "zebra-recalled").await;

    post(&client, &format!("{chat}/close"), json!({"as": "agent1"}))
        .await
        .ok(200);
    let rate = CustomerAct::Rate {
        episode: tidings_server::core::desk::EpisodeId(episode),
        stars: 2,
        text: "zebra-rating".to_owned(),
    };
    let team = "@support".into();
    let rated = running.desks().customer(&"alice".into(), &team, rate).await;
    rated.unwrap();
    eventually(&client, &chat, |c| c["stars"] == 2).await;
    assert!(!holding(dir.path(), "zebra-rating").is_empty());
    let path = "/api/v1/desk/customers/alice?force=true";
    client.call("DELETE", path, None).await.ok(200);
    leaves(dir.path(), "zebra").await;
    running.stop().await;
    assert_eq!(holding(dir.path(), "zebra"), Vec::<String>::new());
}
