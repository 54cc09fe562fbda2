//! The application is asked before a message is taken.

use std::sync::Arc;

use crate::embed::{Heard, settings, start};
use tidings_server::hooks::Before;
use tidings_server::store::Page;
use tidings_server::{LocalEvent, LocalSendError};
use tokio::sync::Semaphore;

fn code(outcome: &Result<tidings_server::Sent, LocalSendError>) -> Option<i32> {
    match outcome {
        Err(LocalSendError::Refused { code, .. }) => Some(*code),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_refused_changed_or_dropped() {
    let (running, recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    *recorder.before.lock() = Arc::new(|message| {
        Some(match &*message.text {
            "bad" => Before::Refuse {
                code: 1044,
                text: "no".into(),
            },
            "low" => Before::Refuse {
                code: 5,
                text: "no".into(),
            },
            "rude" => Before::Change {
                typeu: 9,
                text: "kind".into(),
            },
            "long" => Before::Change {
                typeu: 9,
                text: "x".repeat(66_000),
            },
            "void" => Before::Drop,
            _ => Before::Take,
        })
    });
    let mut alice = handle.connect("alice").await.unwrap();
    let mut bob = handle.connect("bob").await.unwrap();
    assert_eq!(code(&alice.send("bob", "bad").await), Some(1044));
    assert_eq!(code(&alice.send("bob", "low").await), Some(1025));
    assert_eq!(code(&alice.send("bob", "long").await), Some(312));
    assert_eq!(code(&alice.send("0", "bad").await), Some(1044));
    alice.send("bob", "rude").await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!((&*message.body, message.typeu, message.seq), ("kind", 9, 1));
    bob.acknowledge(&message);
    alice.send("bob", "void").without_qos().await.unwrap();
    alice.send("bob", "rude").without_qos().await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!((&*message.body, message.seq), ("kind", 0));
    alice.send("bob", "bad").without_qos().await.unwrap();
    let refused = alice.recv().await.unwrap();
    assert!(matches!(refused, LocalEvent::Refused { code: 1044, .. }));
    let history = handle.history("alice", "bob", Page::After(0, 10)).await;
    assert_eq!(history.unwrap().len(), 1);
    running.stop().await;
    let heard = ear.drain();
    let of_server = heard.iter().filter(|h| matches!(h, Heard::BeforeServer(_)));
    assert_eq!(of_server.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_holds_up_only_its_session_and_keeps_its_order() {
    let (running, recorder, mut ear) = start(settings()).await;
    let handle = running.handle();
    let gate = Arc::new(Semaphore::new(0));
    // Hangs for alice until the gate opens: the answer comes from a thread of its own.
    *recorder.before.lock() = Arc::new(|_| Some(Before::Take));
    let alice = Arc::new(handle.connect("alice").await.unwrap());
    let mut bob = handle.connect("bob").await.unwrap();
    let hold = gate.clone();
    *recorder.before.lock() = Arc::new(move |message| {
        if &*message.text == "first" {
            // Blocks one worker of the runtime, as a listener should not.
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let _ = hold.acquire().await;
                });
            });
        }
        Some(Before::Take)
    });
    let sending: Vec<_> = ["first", "second", "third"]
        .into_iter()
        .map(|text| {
            let alice = alice.clone();
            async move { alice.send("bob", text).await }
        })
        .collect();
    let mut sending = sending.into_iter();
    let first = tokio::spawn(sending.next().unwrap());
    ear.find(|h| (*h == Heard::BeforeClient("first".into())).then_some(()))
        .await;
    let rest: Vec<_> = sending.map(tokio::spawn).collect();
    bob.send("bob", "others go on").await.unwrap();
    let message = bob.message().await.unwrap();
    assert_eq!(&*message.body, "others go on");
    bob.acknowledge(&message);
    assert!(!first.is_finished());
    gate.add_permits(1);
    first.await.unwrap().unwrap();
    for sent in rest {
        sent.await.unwrap().unwrap();
    }
    let message = bob.message().await.unwrap();
    assert_eq!((&*message.body, message.seq), ("first", 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_a_refusal_and_the_sender_may_try_again() {
    let mut settings = settings();
    settings.hooks.timeout_ms = 50;
    let (running, recorder, _ear) = start(settings).await;
    let handle = running.handle();
    *recorder.before.lock() = Arc::new(|_| None);
    let alice = handle.connect("alice").await.unwrap();
    let outcome = alice.send("bob", "hello").id("one").await;
    assert_eq!(code(&outcome), Some(320));
    *recorder.before.lock() = Arc::new(|_| panic!("as a broken listener does"));
    let outcome = alice.send("bob", "hello").id("one").await;
    assert_eq!(code(&outcome), Some(320));
    *recorder.before.lock() = Arc::new(|_| Some(Before::Take));
    assert_eq!(alice.send("bob", "hello").id("one").await.unwrap().seq, 1);
    running.stop().await;
}
