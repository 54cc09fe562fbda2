//! With an outbox file: what was handed over or taken survives the client.

use std::path::Path;

use crate::support::{Peer, TcpServer, message, next_text};
use tidings_client::{Client, ConnectError, Event, Events, OutboxError};
use tidings_core::wire::code;

async fn alice_with(url: &str, outbox: &Path) -> (Client, Events) {
    let builder = Client::builder(url).user("alice").outbox(outbox);
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn messages_survive_a_restart_in_order_and_are_sent_until_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("alice.outbox");
    let (server, url) = TcpServer::bind().await;
    let (client, _events) = alice_with(&url, &outbox).await;
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(client.send("bob", number.to_string()).await.unwrap());
    }
    let mut peer = server.accept().await;
    peer.log_in(0, 1, true).await;
    for number in 0..10 {
        assert_eq!(peer.take_message().await, number.to_string());
    }
    client.close().await;
    drop(peer);
    let (client, mut events) = alice_with(&url, &outbox).await;
    client.send("bob", "100").await.unwrap();
    let mut peer = server.accept().await;
    peer.log_in(0, 1, true).await;
    // What was acknowledged just before the end may come once more, with its old id; the server
    // drops it.
    let mut next = None;
    while next != Some(101) {
        let frame = peer.expect(code::COMMON_DATA).await;
        let number: usize = frame.data.as_deref().unwrap().parse().unwrap();
        assert!(
            number <= 10 || next == Some(number),
            "{number} after {next:?}"
        );
        if let Some(id) = ids.get(number) {
            assert_eq!(frame.fp.as_deref(), Some(&**id));
        }
        peer.send(&crate::support::ack(&frame)).await;
        next = Some(number + 1);
    }
    let mut acknowledged = Vec::new();
    while acknowledged.last() != ids.last() {
        if let Some(Event::Acknowledged { id, .. }) = events.next().await {
            acknowledged.push(id);
        }
    }
    assert!(ids.ends_with(&acknowledged));
}

#[tokio::test]
async fn what_was_taken_is_not_shown_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("alice.outbox");
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice_with(&url, &outbox).await;
    let mut peer = server.accept().await;
    peer.log_in(0, 1, true).await;
    peer.send(&message("bob", "alice", "m1", "one")).await;
    peer.send(&message("bob", "alice", "m2", "two")).await;
    assert_eq!(next_text(&mut events).await, "one");
    assert_eq!(next_text(&mut events).await, "two");
    // "two" is not confirmed: the application may have died over it.
    client.close().await;
    let acknowledged = peer.expect(code::RECEIVED).await;
    assert_eq!(acknowledged.data.as_deref(), Some("m1"));
    peer.expect(code::LOGOUT).await;
    let (_client, mut events) = alice_with(&url, &outbox).await;
    let mut peer = server.accept().await;
    peer.log_in(0, 1, true).await;
    peer.send(&message("bob", "alice", "m1", "one")).await;
    peer.send(&message("bob", "alice", "m2", "two")).await;
    assert_eq!(next_text(&mut events).await, "two");
    events.confirm();
    for id in ["m1", "m2"] {
        let acknowledged = peer.expect(code::RECEIVED).await;
        assert_eq!(acknowledged.data.as_deref(), Some(id));
    }
}

#[tokio::test]
async fn two_clients_cannot_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("alice.outbox");
    let (_server, url) = TcpServer::bind().await;
    let (client, _events) = alice_with(&url, &outbox).await;
    let second = Client::builder(&url).user("alice").outbox(&outbox);
    let refused = second.connect().await;
    assert!(matches!(
        refused,
        Err(ConnectError::Outbox(OutboxError::Locked(_)))
    ));
    client.close().await;
    alice_with(&url, &outbox).await;
}
