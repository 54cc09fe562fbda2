//! Over WebSocket: handshake, both directions, pings, fragments, the end.

use std::time::Duration;

use crate::support::{Peer, TcpServer, WsPeer, alice, message, next_text};
use tidings_client::{Client, Event};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk;
use tidings_core::wire::websocket::Opcode;

fn ws(url: &str) -> String {
    url.replace("tcp://", "ws://") + "/websocket"
}

#[tokio::test]
async fn both_directions_pings_and_fragments() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&ws(&url)).await;
    let mut peer = WsPeer::upgrade(server.accept().await).await;
    peer.log_in(0, 1, true).await;
    let long = "x".repeat(3000);
    client.send("bob", long.clone()).await.unwrap();
    assert_eq!(peer.take_message().await, long);
    let mut body = Vec::new();
    mobileimsdk::encode(&message("bob", "alice", "m1", "in pieces"), &mut body);
    let (head, tail) = body.split_at(20);
    peer.send_frame(Opcode::Text, false, head).await;
    peer.send_frame(Opcode::Ping, true, b"are you there").await;
    peer.send_frame(Opcode::Continuation, true, tail).await;
    assert_eq!(next_text(&mut events).await, "in pieces");
    let pong = peer.receive_any().await;
    assert_eq!(pong, Some((Opcode::Pong, b"are you there".to_vec())));
}

#[tokio::test]
async fn signs_of_life_are_frames_and_pings() {
    let (server, url) = TcpServer::bind().await;
    let builder = Client::builder(ws(&url)).user("alice");
    let builder = builder.heartbeat(Duration::from_millis(5));
    let (_client, _events) = builder.connect().await.unwrap();
    let mut peer = WsPeer::upgrade(server.accept().await).await;
    peer.log_in(0, 1, true).await;
    peer.expect(code::KEEPALIVE).await;
    peer.expect(code::KEEPALIVE).await;
    assert!(peer.pings >= 1);
}

#[tokio::test]
async fn closing_is_polite() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&ws(&url)).await;
    let mut peer = WsPeer::upgrade(server.accept().await).await;
    peer.log_in(0, 1, true).await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: true })
    );
    client.close().await;
    peer.expect(code::LOGOUT).await;
    assert_eq!(peer.receive_any().await, Some((Opcode::Close, Vec::new())));
}

#[tokio::test]
async fn a_server_that_closes_is_called_again() {
    let (server, url) = TcpServer::bind().await;
    let (_client, mut events) = alice(&ws(&url)).await;
    let mut peer = WsPeer::upgrade(server.accept().await).await;
    peer.log_in(0, 1, true).await;
    peer.send_frame(Opcode::Close, true, b"\x03\xe8Bye").await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: true })
    );
    let reason = "the server closed the WebSocket: 1000 Bye".to_owned();
    assert_eq!(events.next().await, Some(Event::LinkLost { reason }));
    let mut peer = WsPeer::upgrade(server.accept().await).await;
    assert_eq!(peer.log_in(0, 1, true).await.first_login_time, 1);
}
