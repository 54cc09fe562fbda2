//! Storage listeners: OCIM's "PacketStoreListener local + kafka" and "PacketStoreManager".

#![allow(clippy::too_many_lines)] // a story in one go

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::desk::{bind, customer, furnish, settings};
use parking_lot::Mutex;
use tidings_server::core::desk::EpisodeId;
use tidings_server::core::ids::Name;
use tidings_server::desk::sink::{CloseType, DeskEvent, Owner};
use tidings_server::desk::{Act, Chat, CustomerAct, TransferTo};
use tidings_server::hooks::NotNow;
use tidings_server::{Listener, Running, Server};

/// The second listener: writes down what it takes, and can refuse.
#[derive(Clone, Default)]
struct Recorder {
    taken: Arc<Mutex<Vec<DeskEvent>>>,
    refuses: Arc<AtomicBool>,
}

impl Listener for Recorder {
    async fn desk_event(&self, tenant: &Name, event: &DeskEvent) -> Result<(), NotNow> {
        assert_eq!(&**tenant, "demo");
        if self.refuses.load(Ordering::Relaxed) {
            return Err(NotNow);
        }
        self.taken.lock().push(event.clone());
        Ok(())
    }
}

impl Recorder {
    /// Until an event is there.
    async fn until(&self, what: &str, pick: impl Fn(&DeskEvent) -> bool) {
        let patience = std::time::Instant::now() + crate::desk::PATIENCE;
        while !self.taken.lock().iter().any(&pick) {
            assert!(std::time::Instant::now() < patience, "no {what}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

async fn server(dir: &Path, recorder: &Recorder) -> Running {
    let builder = Server::builder(settings(Some(dir)));
    builder.listener(recorder.clone()).start().await.unwrap()
}

fn say(customer: &str, id: &str, text: &str) -> Act {
    Act::Say {
        chat: Chat::Customer(customer.into()),
        id: id.to_owned(),
        typeu: -1,
        text: text.to_owned(),
        internal: false,
    }
}

/// One conversation with everything in it; returns when both are told to have ended.
async fn converse(running: &Running) {
    let desks = running.desks();
    let alice = customer(running, "alice").await;
    alice.says("m1", "one").await;
    let mut one = bind(running, "agent1").await;
    let mut two = bind(running, "agent2").await;
    let (_, episode) = one.given().await;
    let chat = Chat::Episode(EpisodeId(episode));
    desks
        .act(&one.agent, say("alice", "r1", "first"))
        .await
        .unwrap();
    desks
        .act(&one.agent, say("alice", "r2", "a slip"))
        .await
        .unwrap();
    let recall = Act::Recall {
        chat: chat.clone(),
        id: "r2".to_owned(),
    };
    desks.act(&one.agent, recall).await.unwrap();
    let transfer = Act::Transfer {
        chat: chat.clone(),
        to: TransferTo::Agent("agent2".to_owned()),
        note: String::new(),
    };
    desks.act(&one.agent, transfer).await.unwrap();
    two.given().await;
    alice.says("m2", "two").await;
    desks
        .act(&two.agent, say("alice", "r1", "second"))
        .await
        .unwrap();
    desks.act(&two.agent, Act::Close(chat)).await.unwrap();
    let rate = CustomerAct::Rate {
        episode: EpisodeId(episode),
        stars: 4,
        text: "quick".to_owned(),
    };
    let alice: Name = "alice".into();
    desks
        .customer(&alice, &"@support".into(), rate)
        .await
        .unwrap();
}

/// What the database listener has: parts of the episode, and its lines.
type Part = (u32, Option<String>, u8, u32, u32, Option<u8>);
type Line = (String, u8, String, bool);

fn stored(dir: &Path) -> (Vec<Part>, Vec<Line>) {
    let db = rusqlite::Connection::open(dir.join("desk.db")).unwrap();
    let sql = "SELECT part, agent, close_type, customer_messages, agent_messages, stars
               FROM chat ORDER BY episode, part";
    let mut parts = db.prepare(sql).unwrap();
    let parts = parts
        .query_map([], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let sql = "SELECT message_id, owner, text, recalled FROM chat_record
               WHERE owner <> 3 ORDER BY episode, seq";
    let mut lines = db.prepare(sql).unwrap();
    let lines = lines
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    (parts, lines)
}

async fn until_stored(dir: &Path, stars: usize) {
    let patience = std::time::Instant::now() + crate::desk::PATIENCE;
    while stored(dir).0.iter().filter(|part| part.5.is_some()).count() < stars {
        assert!(
            std::time::Instant::now() < patience,
            "the database was not told"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_store_listener_each_event_reaches_both_listeners_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let running = server(dir.path(), &recorder).await;
    furnish(&running).await;
    converse(&running).await;
    recorder
        .until("rating", |event| {
            matches!(event, DeskEvent::Rated { stars: 4, .. })
        })
        .await;
    until_stored(dir.path(), 1).await;
    running.stop().await;

    let (parts, lines) = stored(dir.path());
    let agent = |name: &str| Some(name.to_owned());
    assert_eq!(
        parts,
        [
            (0, agent("agent1"), 4, 1, 2, None),
            (1, agent("agent2"), 2, 1, 1, Some(4)),
        ]
    );
    let line =
        |id: &str, owner, text: &str, recalled| (id.to_owned(), owner, text.to_owned(), recalled);
    assert_eq!(
        lines,
        [
            line("m1", 1, "one", false),
            line("r1", 2, "first", false),
            line("r2", 2, "", true),
            line("m2", 1, "two", false),
            line("r1", 2, "second", false),
        ]
    );
    let taken = recorder.taken.lock().clone();
    let written: Vec<_> = taken
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Message(record) if record.owner != Owner::Automatic => {
                Some((record.id.clone(), record.owner.to_ocim()))
            }
            _ => None,
        })
        .collect();
    let in_database: Vec<_> = lines.iter().map(|line| (line.0.clone(), line.1)).collect();
    assert_eq!(
        written, in_database,
        "both have the same, in the same order"
    );
    let ends: Vec<_> = taken
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Ended { part, close, .. } => Some((*part, *close)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(0, CloseType::Transfer), (1, CloseType::Agent)]);

    // A restart tells nobody anything again.
    let running = server(dir.path(), &recorder).await;
    let mut agent = bind(&running, "agent1").await;
    let bob = customer(&running, "bob").await;
    bob.says("m1", "later").await;
    agent.given().await;
    recorder
        .until("message of bob", |event| match event {
            DeskEvent::Message(record) => record.text == "later",
            _ => false,
        })
        .await;
    running.stop().await;
    let taken = recorder.taken.lock();
    let of_alice = taken.iter().filter(|event| match event {
        DeskEvent::Message(record) => record.owner != Owner::Automatic && record.text != "later",
        _ => false,
    });
    assert_eq!(of_alice.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_store_listener_one_that_fails_stops_neither_the_other_nor_the_chat() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    recorder.refuses.store(true, Ordering::Relaxed);
    let running = server(dir.path(), &recorder).await;
    furnish(&running).await;
    converse(&running).await;
    until_stored(dir.path(), 1).await;
    assert!(recorder.taken.lock().is_empty());
    // It catches up, with everything, in order, once.
    recorder.refuses.store(false, Ordering::Relaxed);
    recorder
        .until("rating", |event| matches!(event, DeskEvent::Rated { .. }))
        .await;
    let texts: Vec<_> = recorder
        .taken
        .lock()
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Message(record) if record.owner != Owner::Automatic => {
                Some(record.id.clone())
            }
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["m1", "r1", "r2", "m2", "r1"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_store_manager_offline_row_has_chat_author_and_type() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let running = server(dir.path(), &recorder).await;
    furnish(&running).await;
    let alice = customer(&running, "alice").await;
    alice.says("m1", "one").await;
    let mut one = bind(&running, "agent1").await;
    let (_, episode) = one.given().await;
    drop(alice);
    let handle = running.handle();
    while handle.online().iter().any(|known| &*known.user == "alice") {
        tokio::task::yield_now().await;
    }
    // The desk has heard that she is gone once a later question of the agent is answered.
    let status = Act::SetStatus {
        status: tidings_server::core::desk::AgentStatus::Busy,
        hand_over: false,
    };
    running.desks().act(&one.agent, status).await.unwrap();
    running
        .desks()
        .act(&one.agent, say("alice", "r1", "are you there"))
        .await
        .unwrap();
    recorder
        .until("offline text", |event| match event {
            DeskEvent::Message(record) => {
                record.offline
                    && record.episode == episode
                    && record.owner == Owner::Agent
                    && &*record.author == "agent1"
                    && record.typeu == -1
            }
            _ => false,
        })
        .await;
    // It is not lost: her next session gets it.
    let mut alice = customer(&running, "alice").await;
    assert_eq!(alice.text().await, "are you there");
    running.stop().await;
}
