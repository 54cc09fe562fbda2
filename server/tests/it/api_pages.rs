//! Lists and readers: every page that is cut says where the next begins, and who reads inside the
//! server reads on until he is done.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidings_server::core::limits;

use crate::api::{Client, settings, start};
use crate::desk::{bind, customer, furnish};

/// Every entry of a list, page by page, by the `next` of each.
async fn all(client: &Client, path: &str, list: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}{next}")).await.ok(200);
        let entries = page[list].as_array().unwrap();
        found.extend(entries.iter().cloned());
        next = match &page["next"] {
            Value::Null => return found,
            Value::String(name) => format!("&after={}", name.replace('@', "%40")),
            number => format!("&after={number}"),
        };
        assert!(!entries.is_empty(), "{path}: a page without an entry");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_filtered_list_fills_its_page() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let mut online = Vec::new();
    let mut offline = Vec::new();
    for n in 0..40 {
        let user = format!("u{n:02}");
        let link = handle.connect(&*user).await.unwrap();
        // The first twelve stay, and of the rest every other one.
        if n < 12 || n % 2 == 0 {
            online.push(link);
        } else {
            offline.push(user);
        }
    }
    let path = "/api/v1/users?online=false&limit=2";
    let settled = || async { all(&client, "/api/v1/users?online=false&limit=200", "users").await };
    while settled().await.len() < offline.len() {
        tokio::task::yield_now().await; // links end behind their owners
    }
    let page = client.get(path).await.ok(200);
    assert_eq!(page["users"][0]["id"], "u13");
    assert_eq!(page["users"][1]["id"], "u15");
    assert_eq!(page["next"], "u15");
    let found = all(&client, path, "users").await;
    let found: Vec<&str> = found.iter().map(|u| u["id"].as_str().unwrap()).collect();
    assert_eq!(found, offline);
    let both = all(&client, "/api/v1/users?limit=7", "users").await;
    assert_eq!(both.len(), 40);
    let there = all(&client, "/api/v1/users?online=true&limit=5", "users").await;
    assert_eq!(there.len(), online.len());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_the_201st_conversation_is_reached() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let count = limits::API_PAGE_MAX + 50;
    for n in 0..count {
        let send = handle.send("alice", "x").from(format!("u{n:03}"));
        send.await.unwrap();
    }
    let path = format!(
        "/api/v1/users/alice/conversations?limit={}",
        limits::API_PAGE_MAX
    );
    let found = all(&client, &path, "conversations").await;
    let peers = found.iter().map(|c| c["peer"].as_str().unwrap().to_owned());
    let newest_first = (0..count).rev().map(|n| format!("u{n:03}"));
    assert!(peers.eq(newest_first));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_every_receiver_of_a_group_is_reached() {
    let (running, client) = start(settings()).await;
    let handle = running.handle();
    let members: Vec<String> = (0..450).map(|n| format!("m{n:03}")).collect();
    handle.set_group("#crowd", &members).await.unwrap();
    let sent = handle.send("#crowd", "x").from("m000").await.unwrap();
    let path = format!("/api/v1/messages/{}?limit=200", sent.id);
    let found = all(&client, &path, "receivers").await;
    let found: Vec<&str> = found.iter().map(|r| r["user"].as_str().unwrap()).collect();
    assert_eq!(found, members[1..]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_an_export_of_10_000_messages_is_whole() {
    let (running, client) = start(settings()).await;
    furnish(&running).await;
    let alice = customer(&running, "alice").await;
    for n in 0..10_000 {
        alice.says(&format!("m{n}"), "text").await;
    }
    for limit in ["", "limit=3000"] {
        let path = format!("/api/v1/desk/customers/alice/export?{limit}");
        let found = all(&client, &path, "messages").await;
        let texts = found.iter().filter(|m| m["kind"] == "message");
        let ids: Vec<&str> = texts.map(|m| m["id"].as_str().unwrap()).collect();
        let sent: Vec<String> = (0..10_000).map(|n| format!("m{n}")).collect();
        assert_eq!(ids, sent);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h1_an_agent_is_handed_all_that_was_written_before_he_came() {
    let (running, client) = start(settings()).await;
    furnish(&running).await;
    let alice = customer(&running, "alice").await;
    for n in 0..1_500 {
        alice.says(&format!("m{n}"), &format!("text {n}")).await;
    }
    let mut agent = bind(&running, "agent1").await;
    for n in 0..1_500 {
        assert_eq!(agent.text().await, format!("text {n}"));
    }
    // The tables have them too: the follower reads on until it is done.
    let path = "/api/v1/desk/tenants/demo/conversations/1?limit=1000";
    let mut seen = BTreeSet::new();
    while seen.len() < 1_500 {
        let mut before = String::new();
        seen.clear();
        loop {
            let page = client.get(&format!("{path}{before}")).await.ok(200);
            let lines = page["messages"].as_array().unwrap().iter();
            let texts = lines.filter(|line| line["by"] == "customer");
            seen.extend(texts.map(|line| line["text"].to_string()));
            match page["before"].as_u64() {
                Some(seq) => before = format!("&before={seq}"),
                None => break,
            }
        }
        tokio::task::yield_now().await;
    }
    assert!(seen.contains(&json!("text 0").to_string()));
    running.stop().await;
}
