//! Over UDP: login and messages through a network that loses.

use std::time::Duration;

use crate::support::{Peer, UdpPeer, ack, alice, message, next_text};
use tidings_client::{Client, Event};
use tidings_core::wire::code;

#[tokio::test]
async fn both_directions() {
    let (mut peer, url) = UdpPeer::bind().await;
    let (client, mut events) = alice(&url).await;
    peer.log_in(0, 1, true).await;
    client.send("bob", "there").await.unwrap();
    assert_eq!(peer.take_message().await, "there");
    peer.send(&message("bob", "alice", "m1", "back")).await;
    assert_eq!(next_text(&mut events).await, "back");
}

#[tokio::test]
async fn lost_datagrams_change_neither_order_nor_number() {
    let (mut peer, url) = UdpPeer::bind().await;
    let builder = Client::builder(&url).user("alice").retries(10);
    let builder = builder.resend_after(Duration::from_millis(20));
    let (client, mut events) = builder.connect().await.unwrap();
    // The first login is lost.
    peer.expect(code::LOGIN).await;
    peer.log_in(0, 1, true).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(client.send("bob", number.to_string()).await.unwrap());
    }
    let mut stored: Vec<String> = Vec::new();
    let mut heard = 0;
    while stored.len() < 10 {
        let frame = peer.expect(code::COMMON_DATA).await;
        heard += 1;
        // Every other copy is lost.
        if heard % 2 == 0 {
            let text = frame.data.as_deref().unwrap().to_owned();
            if stored.last() != Some(&text) {
                stored.push(text);
            }
            peer.send(&ack(&frame)).await;
        }
    }
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(stored, expected);
    for id in ids {
        loop {
            match events.next().await.unwrap() {
                Event::Acknowledged {
                    id: acknowledged, ..
                } => {
                    assert_eq!(acknowledged, id);
                    break;
                }
                Event::Lost { id } => panic!("lost {id}"),
                _ => {}
            }
        }
    }
}
