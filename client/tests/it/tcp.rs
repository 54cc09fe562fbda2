//! Over TCP: login, both directions, re-login, the end of a login, back-pressure.

use crate::support::{Peer, TcpServer, ack, alice, answer, message, next_text};
use tidings_client::{Client, ConnectError, Event, SendError};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login;

#[tokio::test]
async fn a_message_goes_out_and_is_acknowledged() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&url).await;
    let id = client.send("bob", "hello").await.unwrap();
    let mut peer = server.accept().await;
    let login = peer.log_in(0, 7, false).await;
    assert_eq!(login.user.as_deref(), Some("alice"));
    assert_eq!(login.token.as_deref(), Some("t"));
    assert_eq!(login.first_login_time, 0);
    let frame = peer.expect(code::COMMON_DATA).await;
    assert_eq!(frame.from.as_deref(), Some("alice"));
    assert_eq!(frame.to.as_deref(), Some("bob"));
    assert_eq!(frame.fp.as_deref(), Some(&*id));
    assert!(frame.qos);
    peer.send(&ack(&frame)).await;
    let extended = false;
    assert_eq!(events.next().await, Some(Event::LoggedIn { extended }));
    let seq = None;
    assert_eq!(events.next().await, Some(Event::Acknowledged { id, seq }));
}

#[tokio::test]
async fn a_message_comes_in_once_and_is_acknowledged_once_taken() {
    let (server, url) = TcpServer::bind().await;
    let (_client, mut events) = alice(&url).await;
    let mut peer = server.accept().await;
    peer.log_in(0, 7, true).await;
    let hello = message("bob", "alice", "m1", "hello");
    peer.send_extended(&hello, 3, 1_700_000_000_001).await;
    peer.send_extended(&hello, 3, 1_700_000_000_001).await;
    peer.send_extended(&message("bob", "alice", "m2", "again"), 4, 2)
        .await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: true })
    );
    let Some(Event::Message(first)) = events.next().await else {
        panic!("no message");
    };
    assert_eq!(
        (&*first.from, &*first.to, &*first.id),
        ("bob", "alice", "m1")
    );
    assert_eq!(
        (first.seq, first.time_ms),
        (Some(3), Some(1_700_000_000_001))
    );
    assert_eq!(next_text(&mut events).await, "again");
    let frame = peer.expect(code::RECEIVED).await;
    assert_eq!(frame.data.as_deref(), Some("m1"));
    assert_eq!(
        (frame.from.as_deref(), frame.to.as_deref()),
        (Some("alice"), Some("bob"))
    );
    events.confirm();
    let frame = peer.expect(code::RECEIVED).await;
    assert_eq!(frame.data.as_deref(), Some("m2"));
}

#[tokio::test]
async fn a_lost_link_is_made_again_and_what_was_in_flight_sent_again_in_order() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&url).await;
    for text in ["one", "two", "three"] {
        client.send("bob", text).await.unwrap();
    }
    let mut peer = server.accept().await;
    peer.log_in(0, 4711, false).await;
    assert_eq!(peer.take_message().await, "one");
    peer.expect(code::COMMON_DATA).await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: false })
    );
    assert!(matches!(
        events.next().await,
        Some(Event::Acknowledged { .. })
    ));
    drop(peer);
    let mut peer = server.accept().await;
    let login = peer.log_in(0, 9999, false).await;
    assert_eq!(
        login.first_login_time, 4711,
        "the first answer's, every time"
    );
    assert_eq!(peer.take_message().await, "two");
    assert_eq!(peer.take_message().await, "three");
    assert!(matches!(events.next().await, Some(Event::LinkLost { .. })));
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_until_the_application_says_so() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&url).await;
    let mut peer = server.accept().await;
    peer.log_in(1025, -1, false).await;
    assert_eq!(events.next().await, Some(Event::Refused { code: 1025 }));
    let refused = client.send("bob", "x").await;
    assert_eq!(refused, Err(SendError::Ended("the login was refused")));
    client.log_in(Some("better".to_owned())).await.unwrap();
    let mut peer = server.accept().await;
    let login = peer.log_in(0, 1, false).await;
    assert_eq!(login.token.as_deref(), Some("better"));
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: false })
    );
}

#[tokio::test]
async fn a_kick_ends_the_login() {
    let (server, url) = TcpServer::bind().await;
    let (_client, mut events) = alice(&url).await;
    let mut peer = server.accept().await;
    peer.log_in(0, 1, false).await;
    let payload = login::encode_kickout(1, Some("elsewhere"));
    let kick = answer(code::KICKOUT, &message("alice", "0", "", ""), &payload);
    peer.send(&kick).await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: false })
    );
    let reason = Some("elsewhere".to_owned());
    assert_eq!(events.next().await, Some(Event::Kicked { code: 1, reason }));
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn closing_logs_out() {
    let (server, url) = TcpServer::bind().await;
    let (client, mut events) = alice(&url).await;
    let mut peer = server.accept().await;
    peer.log_in(0, 1, false).await;
    assert_eq!(
        events.next().await,
        Some(Event::LoggedIn { extended: false })
    );
    client.close().await;
    peer.expect(code::LOGOUT).await;
    assert_eq!(peer.receive().await, None);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn an_application_that_does_not_read_loses_nothing() {
    let (server, url) = TcpServer::bind().await;
    let builder = Client::builder(&url).user("alice").events_max(4);
    let (_client, mut events) = builder.connect().await.unwrap();
    let mut peer = server.accept().await;
    peer.log_in(0, 1, false).await;
    for number in 0..500 {
        let text = number.to_string();
        peer.send(&message("bob", "alice", &text, &text)).await;
    }
    for number in 0..500 {
        assert_eq!(next_text(&mut events).await, number.to_string());
    }
    events.confirm();
    for number in 0..500 {
        let frame = peer.expect(code::RECEIVED).await;
        assert_eq!(frame.data.as_deref(), Some(&*number.to_string()));
    }
}

#[tokio::test]
async fn limits_are_named() {
    let (_server, url) = TcpServer::bind().await;
    let builder = Client::builder(&url).user("alice").outbox_messages_max(1);
    let (client, _events) = builder.connect().await.unwrap();
    let long = client.send("bob", "x".repeat(7000)).await.unwrap_err();
    assert!(
        matches!(long, SendError::TooLong { limit: 6144, .. }),
        "{long}"
    );
    assert!(matches!(
        client.send("-1", "x").await,
        Err(SendError::Address(_))
    ));
    client.send("bob", "x").await.unwrap();
    let full = client.send("bob", "x").await.unwrap_err();
    assert_eq!(
        full.to_string(),
        "the outbox is full: 1 messages (outbox_messages_max)"
    );
    let reserved = Client::builder(&url).user("0").connect().await;
    assert!(matches!(reserved, Err(ConnectError::Name { .. })));
}
