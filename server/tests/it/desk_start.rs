//! How long a start takes with much behind it. By hand:
//! `cargo test --release -p tidings-server --test it -- --ignored --nocapture h4_`

use std::time::Instant;

use serde_json::json;
use tidings_server::Server;
use tidings_server::core::desk::{Ending, Entry, EpisodeId, Record, Skills, TeamId, Wanted};
use tidings_server::core::ids::ConversationId;
use tidings_server::core::time::Time;
use tidings_server::core::wire::code;
use tidings_server::store::{Durability, SqliteOptions, SqliteStore, Store};

use crate::desk::{settings, start};

const ENDED: u64 = 1_000_000;
const OPEN: u64 = 1_000;
/// Of one row.
const EPISODES: u64 = 500;

/// Episodes of customers of their own, as rows of the tenant's log.
fn rows(now_ms: u64, from: u64, upto: u64) -> Vec<String> {
    let mut rows = Vec::new();
    for first in (from..upto).step_by(usize::try_from(EPISODES).unwrap()) {
        let (mut who, mut entries) = (Vec::new(), Vec::new());
        for number in first..(first + EPISODES).min(upto) {
            let conversation = ConversationId(1_000_000_000 + number);
            who.push(json!({"conversation": conversation, "customer": format!("c{number}"), "team": "@support"}));
            let mut entry = |record| {
                let time = Time(now_ms);
                entries.push(Entry { time, record });
            };
            let wanted = Wanted {
                team: TeamId(0),
                skills: Skills::NONE,
                priority: 0,
                former: None,
                excluded: Vec::new(),
            };
            let episode = EpisodeId(number + 1);
            entry(Record::Opened {
                episode,
                conversation,
                wanted,
                seq: 1,
                left: false,
            });
            if number < ENDED {
                let why = Ending::Abandoned;
                entry(Record::Closed { episode, why });
            }
        }
        rows.push(json!({"upto": 0, "who": who, "entries": entries}).to_string());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "by hand: makes a million episodes and says how long a start takes"]
async fn h4_a_start_with_a_million_ended_and_a_thousand_open_episodes() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(Some(dir.path())).await;
    running.stop().await;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let now_ms = u64::try_from(now.as_millis()).unwrap();
    let path = dir.path().to_owned();
    let made = tokio::task::spawn_blocking(move || {
        let options = SqliteOptions {
            durability: Durability::Os,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(&path, options).unwrap();
        for (number, body) in rows(now_ms, 0, ENDED + OPEN).into_iter().enumerate() {
            let address = tidings_server::core::ids::Name::from("@/demo");
            let draft = tidings_server::core::custody::Draft {
                from: address.clone(),
                to: address,
                id: format!("made-{number}").into(),
                typeu: code::DESK_RECORD,
                body: body.into(),
                time_ms: i64::try_from(now_ms).unwrap(),
            };
            let record = tidings_server::core::custody::Record::Message(draft);
            store.commit(&[record], &mut Vec::new()).unwrap();
        }
    });
    made.await.unwrap();
    for what in ["without a snapshot", "with one", "with one"] {
        let begin = Instant::now();
        let running = Server::start(settings(Some(dir.path()))).await.unwrap();
        eprintln!("start {what}: {:?}", begin.elapsed());
        let open = running.desks().open_chats("demo").await.unwrap();
        assert_eq!(open.len() as u64, OPEN);
        running.stop().await;
    }
}
