//! What is sent to `0`: handed over at least once, in order, from a durable cursor.

use std::collections::HashMap;
use std::sync::Arc;

use crate::embed::{Heard, Shared, recorder, settings, start};
use parking_lot::Mutex;
use tidings_server::Server;
use tidings_server::store::{MemoryOptions, MemoryStore};

fn to_server(heard: &Heard) -> Option<(String, u64)> {
    match heard {
        Heard::ToServer(text, seq) => Some((text.clone(), *seq)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_server_reaches_the_listener() {
    let (running, _recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    let alice = handle.connect("alice").await.unwrap();
    let sent = alice.send("0", "hello").await.unwrap();
    assert_eq!(sent.seq, 1);
    assert_eq!(ear.find(to_server).await, ("hello".to_owned(), 1));
    alice.send("0", "not kept").without_qos().await.unwrap();
    assert_eq!(ear.find(to_server).await, ("not kept".to_owned(), 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_listener_cannot_take_comes_again_and_keeps_its_order() {
    let (running, recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    let tries: Mutex<HashMap<String, u32>> = Mutex::new(HashMap::new());
    *recorder.take.lock() = Arc::new(move |message| {
        let mut tries = tries.lock();
        let tries = tries.entry(message.body.to_string()).or_default();
        *tries += 1;
        Some(&*message.body != "one" || *tries > 2)
    });
    let alice = handle.connect("alice").await.unwrap();
    let bob = handle.connect("bob").await.unwrap();
    for text in ["one", "two", "three"] {
        alice.send("0", text).await.unwrap();
    }
    bob.send("0", "bob's").await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 6 {
        heard.push(ear.find(to_server).await.0);
    }
    let hers: Vec<&str> = heard
        .iter()
        .map(|h| &**h)
        .filter(|h| *h != "bob's")
        .collect();
    assert_eq!(hers, ["one", "one", "one", "two", "three"]);
    assert!(heard.contains(&"bob's".to_owned()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_messages_wait_for_the_next_start() {
    let store = Arc::new(MemoryStore::new(MemoryOptions::default()));
    let running = Server::builder(settings())
        .store(store.clone())
        .start()
        .await
        .unwrap();
    let alice = running.handle().connect("alice").await.unwrap();
    for n in 1..=200 {
        alice.send("0", &format!("m{n}")).await.unwrap();
    }
    drop(alice);
    running.stop().await;

    // The listener takes the first hundred and then no more, and goes down.
    let (recording, mut ear) = recorder();
    *recording.take.lock() = Arc::new(|message| Some(message.seq <= 100));
    let running = Server::builder(settings())
        .store(store.clone())
        .listener(Shared(recording))
        .start()
        .await
        .unwrap();
    for n in 1..=101 {
        assert_eq!(ear.find(to_server).await, (format!("m{n}"), n));
    }
    running.stop().await;
    assert!(
        ear.drain()
            .iter()
            .filter_map(to_server)
            .all(|(_, n)| n == 101)
    );

    let (recording, mut ear) = recorder();
    let running = Server::builder(settings())
        .store(store)
        .listener(Shared(recording))
        .start()
        .await
        .unwrap();
    for n in 101..=200 {
        assert_eq!(ear.find(to_server).await, (format!("m{n}"), n));
    }
    running.stop().await;
    assert!(ear.drain().iter().filter_map(to_server).next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hanging_conversation_does_not_hold_up_the_others() {
    let (running, recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    *recorder.take.lock() = Arc::new(|message| (&*message.from != "alice").then_some(true));
    let alice = handle.connect("alice").await.unwrap();
    let bob = handle.connect("bob").await.unwrap();
    for n in 0..100 {
        alice.send("0", &format!("a{n}")).await.unwrap();
    }
    for n in 0..100 {
        let text = format!("b{n}");
        bob.send("0", &text).await.unwrap();
        ear.find(|h| (to_server(h)?.0 == text).then_some(())).await;
    }
    drop((alice, bob));
    drop(running); // the call that hangs is cut off: its message was not taken
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_logs_in_as_the_server() {
    let (running, _recorder, _ear) = start(settings()).await;
    let refused = running.handle().connect("0").await;
    assert!(refused.is_err());
    let refused = running.handle().connect("0").token("x").await;
    assert!(refused.is_err());
    assert!(running.handle().online().is_empty());
    running.stop().await;
}
