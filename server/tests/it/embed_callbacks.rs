//! Every callback: when, how often, with what.

use std::sync::Arc;

use crate::embed::{Heard, settings, start};
use tidings_server::ConnectError;
use tidings_server::core::ids::NameError;
use tidings_server::core::limits;
use tidings_server::core::shard::CloseReason;
use tokio::sync::Notify;

fn login(heard: &Heard) -> bool {
    matches!(heard, Heard::In(..) | Heard::Out(..))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_conversation_is_told_in_order_and_once() {
    let (running, _recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    let alice = handle.connect("alice").device("phone").await.unwrap();
    alice.send("bob", "early").await.unwrap();
    let mut bob = handle.connect("bob").await.unwrap();
    let early = bob.message().await.unwrap();
    bob.acknowledge(&early);
    let sent = alice.send("bob", "live").id("live-1").await.unwrap();
    assert_eq!(sent.seq, 2);
    // The same again: acknowledged, neither stored nor relayed again.
    assert_eq!(alice.send("bob", "live").id("live-1").await.unwrap().seq, 2);
    alice.send("bob", "quick").without_qos().await.unwrap();
    alice.send("carl", "gone").without_qos().await.unwrap();
    // A session that ends while it is asked about takes the message along.
    let mut heard = ear.until(&Heard::NotNow("gone".into(), 0)).await;
    heard.push(Heard::NotNow("gone".into(), 0));
    drop(alice);
    drop(bob);
    let last = Heard::Out("bob".into(), -1, None);
    heard.extend(ear.until(&last).await);
    let notices: Vec<&Heard> = heard
        .iter()
        .filter(|h| !matches!(h, Heard::BeforeClient(_)))
        .collect();
    let wanted = [
        Heard::In("alice".into(), "phone".into()),
        Heard::NotNow("early".into(), 1),
        Heard::In("bob".into(), "default".into()),
        Heard::Relayed("live".into(), 2),
        Heard::Relayed("quick".into(), 0),
        Heard::NotNow("gone".into(), 0),
        Heard::Out("alice".into(), -1, None),
    ];
    assert_eq!(notices, wanted.iter().collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_decides_who_comes_in() {
    let (running, recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    *recorder.verify.lock() = Arc::new(|login| {
        let right = login.token == "right" && login.address.is_none();
        Some(if right { 0 } else { 1030 })
    });
    let refused = handle.connect("alice").token("wrong").extra("e").await;
    assert!(matches!(refused, Err(ConnectError::Refused(1030))));
    let asked = Heard::Verify("alice".into(), "wrong".into(), Some("e".into()));
    assert_eq!(ear.next().await, asked);
    let alice = handle.connect("alice").token("right").await.unwrap();
    let asked = Heard::Verify("alice".into(), "right".into(), None);
    assert_eq!(ear.next().await, asked);
    // The application vouches: nobody is asked.
    let bob = handle.connect("bob").await.unwrap();
    let heard = ear.until(&Heard::In("bob".into(), "default".into())).await;
    assert_eq!(heard, [Heard::In("alice".into(), "default".into())]);
    let refused = handle.connect("#crew").await;
    let Err(ConnectError::Name { problem, .. }) = refused else {
        panic!("a group logged in");
    };
    assert_eq!(problem, NameError::Reserved);
    drop((alice, bob));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_never_verified_is_refused_and_holds_up_nobody() {
    let mut settings = settings();
    settings.hooks.timeout_ms = 50;
    let (running, recorder, _ear) = start(settings).await;
    let handle = running.handle();
    *recorder.verify.lock() = Arc::new(|login| (login.token == "right").then_some(0));
    let hanging = tokio::spawn({
        let handle = handle.clone();
        async move { handle.connect("alice").token("hang").await.map(drop) }
    });
    handle.connect("bob").token("right").await.unwrap();
    let outcome = hanging.await.unwrap();
    assert!(matches!(outcome, Err(ConnectError::Refused(320))));
    *recorder.verify.lock() = Arc::new(|_| panic!("as a broken listener does"));
    let outcome = handle.connect("alice").token("x").await.map(drop);
    assert!(matches!(outcome, Err(ConnectError::Refused(320))));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_once_and_says_why() {
    let (running, _recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    let mut first = handle.connect("alice").await.unwrap();
    let second = handle.connect("alice").await.unwrap();
    assert!(first.message().await.is_none());
    assert_eq!(first.close_reason(), Some(CloseReason::Replaced));
    assert!(handle.kick("alice", 1, None).is_err());
    assert!(handle.kick("0", 2, None).is_err());
    assert_eq!(handle.kick("alice", 101, Some("out")).unwrap(), 1);
    assert_eq!(handle.kick("alice", 2, None).unwrap(), 0);
    drop((first, second));
    running.stop().await;
    let told: Vec<Heard> = ear.drain().into_iter().filter(login).collect();
    let entered = Heard::In("alice".into(), "default".into());
    let wanted = [
        Heard::Out("alice".into(), 1, Some(CloseReason::Replaced)),
        entered.clone(),
        Heard::Out("alice".into(), 101, Some(CloseReason::Kicked)),
    ];
    assert_eq!(told[0], entered);
    assert_eq!(told[1..], wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_hears_what_became_of_its_messages() {
    let (running, _recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    handle.send("alice", "later").await.unwrap();
    assert_eq!(ear.next().await, Heard::NotNow("later".into(), 1));
    let mut alice = handle.connect("alice").await.unwrap();
    let message = alice.message().await.unwrap();
    assert_eq!((&*message.from, &*message.body), ("0", "later"));
    alice.acknowledge(&message);
    alice.acknowledge(&message);
    handle.kick("alice", 2, None).unwrap();
    let told = ear
        .until(&Heard::Out("alice".into(), 2, Some(CloseReason::Kicked)))
        .await;
    let wanted = [
        Heard::In("alice".into(), "default".into()),
        Heard::Acknowledged("later".into(), "alice".into()),
    ];
    assert_eq!(told, wanted);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_listener_misses_notices_and_nobody_waits_for_it() {
    let mut settings = settings();
    settings.hooks.timeout_ms = 20_000;
    let (running, recorder, mut ear) = start(settings).await;
    let handle = running.handle();
    let gate = Arc::new(Notify::new());
    *recorder.gate.lock() = Some(gate.clone());
    let alice = handle.connect("alice").await.unwrap();
    assert_eq!(
        ear.next().await,
        Heard::In("alice".into(), "default".into())
    );
    // It hangs in that notice now.
    let more = limits::NOTICES_MAX + 10;
    for n in 0..more {
        handle.send("bob", format!("m{n}")).await.unwrap();
    }
    alice.send("0", "still heard").await.unwrap();
    let taken = |h: &Heard| matches!(h, Heard::ToServer(..)).then_some(());
    ear.find(taken).await;
    assert_eq!(handle.notices_missed(), 10);
    gate.notify_one();
    assert_eq!(ear.next().await, Heard::Missed(10));
    assert_eq!(ear.next().await, Heard::NotNow("m10".into(), 11));
    drop(alice);
    running.stop().await;
}
