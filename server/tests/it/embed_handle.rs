//! What the handle can do, and links inside the process.

use std::sync::Arc;

use crate::embed::settings;
use tidings_server::core::limits;
use tidings_server::core::session::Transport;
use tidings_server::store::{Durability, Page};
use tidings_server::{SendError, Server};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_stored_once() {
    let running = Server::start(settings()).await.unwrap();
    let handle = running.handle();
    let one = handle
        .send("alice", "hello")
        .id("order-17")
        .typeu(4)
        .await
        .unwrap();
    let two = handle
        .send("alice", "hello")
        .id("order-17")
        .typeu(4)
        .await
        .unwrap();
    assert_eq!((one.seq, one.duplicate), (1, false));
    assert_eq!(
        (two.seq, two.duplicate, two.time_ms),
        (1, true, one.time_ms)
    );
    let other = handle.send("alice", "other").id("order-17").await;
    assert!(matches!(other, Err(SendError::Conflict)));
    let page = handle
        .history("alice", "0", Page::After(0, 10))
        .await
        .unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!((&*page[0].body, page[0].typeu), ("hello", 4));
    for to in ["", "-1", "0", "@team"] {
        assert!(handle.send(to, "x").await.is_err(), "{to:?}");
    }
    let large = handle.send("alice", "x".repeat(7000)).await;
    assert!(matches!(large, Err(SendError::TooLarge { max: 6144, .. })));
    running.stop().await;
    let stopped = handle.send("alice", "late").await;
    assert!(matches!(stopped, Err(SendError::Stopped)));
    assert!(handle.connect("alice").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn to_many_and_in_somebodys_name() {
    let running = Server::start(settings()).await.unwrap();
    let handle = running.handle();
    let users: Vec<String> = (0..600).map(|n| format!("u{n}")).collect();
    let sent = handle
        .send_many(users.iter().map(String::as_str), "all")
        .await;
    assert_eq!(sent.len(), 600);
    assert!(sent.iter().all(|s| s.as_ref().is_ok_and(|s| s.seq == 1)));
    handle
        .send("bob", "from alice")
        .from("alice")
        .await
        .unwrap();
    let mut bob = handle.connect("bob").await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!(&*message.from, "alice");
    bob.acknowledge(&message);
    let conversations = handle.conversations("bob", u64::MAX, 10).await.unwrap();
    assert_eq!(&*conversations[0].peer, "alice");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_change_for_those_who_are_online() {
    let running = Server::start(settings()).await.unwrap();
    let handle = running.handle();
    let alice = handle.connect("alice").await.unwrap();
    let mut bob = handle.connect("bob").await.unwrap();
    assert!(alice.send("#crew", "too early").await.is_err());
    handle.set_group("#crew", &["alice", "bob"]).await.unwrap();
    alice.send("#crew", "one").await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!((&*message.body, message.seq), ("one", 1));
    bob.acknowledge(&message);
    handle.send("#crew", "from the server").await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!(&*message.from, "0");
    bob.acknowledge(&message);
    handle.set_group("#crew", &["alice"]).await.unwrap();
    alice.send("#crew", "without him").await.unwrap();
    alice.send("bob", "to him").await.unwrap();
    assert_eq!(&*bob.message().await.unwrap().body, "to him");
    let members = handle.group("#crew").await.unwrap().unwrap();
    assert_eq!(members.len(), 1);
    handle.remove_group("#crew").await.unwrap();
    assert!(alice.send("#crew", "nobody").await.is_err());
    assert!(handle.group("#crew").await.unwrap().is_none());
    assert!(handle.set_group("crew", &["alice"]).await.is_err());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_online() {
    let running = Server::start(settings()).await.unwrap();
    let handle = running.handle();
    let phone = handle
        .connect("alice")
        .device("p")
        .class("phone")
        .await
        .unwrap();
    let _web = handle
        .connect("alice")
        .device("w")
        .class("web")
        .await
        .unwrap();
    let online = handle.online();
    assert_eq!(online.len(), 1);
    assert_eq!(online[0].sessions.len(), 2);
    let first = &handle.sessions("alice")[0];
    assert_eq!((&*first.device, &*first.class), ("p", "phone"));
    assert_eq!((first.transport, first.address), (Transport::Local, None));
    assert!(first.since_ms > 0);
    drop(phone);
    assert_eq!(handle.sessions("alice").len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_no_memory_and_loses_nothing() {
    let running = Server::start(settings()).await.unwrap();
    let handle = running.handle();
    let mut bob = handle.connect("bob").await.unwrap();
    for n in 1..=500 {
        handle.send("bob", format!("m{n}")).await.unwrap();
        handle.send("bob", "noise").without_qos().await.unwrap();
    }
    let (mut kept, mut noise) = (0, 0);
    while kept < 500 {
        let message = bob.message().await.unwrap();
        if message.seq == 0 {
            noise += 1;
            continue;
        }
        kept += 1;
        assert_eq!((message.seq, &*message.body), (kept, &*format!("m{kept}")));
        bob.acknowledge(&message);
    }
    assert!(noise <= limits::LOCAL_EVENTS_MAX);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_the_server_survive_a_restart_on_disk() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.delivery.durability = Durability::Disk;
    settings.data = data.path().join("data");
    let running = Server::start(settings.clone()).await.unwrap();
    let alice = running.handle().connect("alice").await.unwrap();
    for n in 1..=20 {
        alice.send("0", &format!("m{n}")).await.unwrap();
    }
    drop(alice);
    running.stop().await;
    let (recorder, mut ear) = crate::embed::recorder();
    *recorder.take.lock() = Arc::new(|message| Some(message.seq <= 5));
    for from in [1, 6] {
        let running = Server::builder(settings.clone())
            .listener(crate::embed::Shared(recorder.clone()))
            .start()
            .await
            .unwrap();
        for n in from..=20 {
            let heard = ear.next().await;
            assert_eq!(heard, crate::embed::Heard::ToServer(format!("m{n}"), n));
            if from == 1 && n == 6 {
                break;
            }
        }
        running.stop().await;
        ear.drain();
        *recorder.take.lock() = Arc::new(|_| Some(true));
    }
}
