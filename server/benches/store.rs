//! What the store on disk costs: `cargo bench -p tidings-server --bench store -- [STORED] [DIR]`.
//!
//! Prints, for batches of 1, 100, 500 and 1,000 messages with random ids in 10,000
//! conversations of 1,000 users: messages per second, CPU per message of the whole process (indexes and checkpoints
//! included), bytes written per message and the time of a commit; first with an empty store, then
//! with STORED messages in it. Linux only where it reads `/proc`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use tidings_core::custody::{Cursor, Draft, Record, Verdict};
use tidings_server::store::{Durability, SqliteOptions, SqliteStore, Store};

const USERS: u64 = 1_000;
/// Each user writes to so many others: 10,000 conversations.
const FRIENDS: u64 = 10;
const BODY_BYTES: usize = 64;
const MEASURED: Duration = Duration::from_secs(4);

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn batch(random: &mut Random, size: usize) -> Vec<Record> {
    let body = "x".repeat(BODY_BYTES);
    let one = |_| {
        let from = random.next() % USERS;
        let to = (from + 1 + random.next() % FRIENDS) % USERS;
        Record::Message(Draft {
            from: format!("user{from}").into(),
            to: format!("user{to}").into(),
            id: format!("{:016x}-{:016x}-00", random.next(), random.next()).into(),
            typeu: 0,
            body: body.as_str().into(),
            time_ms: 1_700_000_000_000,
        })
    };
    (0..size).map(one).collect()
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn fill(store: &dyn Store, random: &mut Random, count: usize) {
    let begun = Instant::now();
    let mut verdicts = Vec::new();
    let mut left = count;
    while left > 0 {
        let size = left.min(1000);
        store.commit(&batch(random, size), &mut verdicts).unwrap();
        assert!(
            verdicts
                .iter()
                .all(|verdict| matches!(verdict, Verdict::New(_)))
        );
        verdicts.clear();
        left -= size;
    }
    println!(
        "filled with {count} in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

fn measure(store: &dyn Store, random: &mut Random, size: usize) {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let mut times = Vec::new();
    let mut spent = (Duration::ZERO, 0u64, Duration::ZERO);
    let mut messages = 0usize;
    let mut verdicts = Vec::new();
    while spent.2 < MEASURED {
        batches.clear();
        batches.extend((0..(20_000 / size).max(1)).map(|_| batch(random, size)));
        let before = (cpu(), written(), Instant::now());
        for batch in &batches {
            let begun = Instant::now();
            store.commit(batch, &mut verdicts).unwrap();
            times.push(begun.elapsed());
            messages += batch.len();
            verdicts.clear();
        }
        spent.0 += cpu() - before.0;
        spent.1 += written() - before.1;
        spent.2 += before.2.elapsed();
    }
    times.sort_unstable();
    let ms = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1e3;
    println!(
        "{size:>6} {:>10.0} {:>8.2} {:>8.0} {:>8.2} {:>8.2} {:>8.1}",
        messages as f64 / spent.2.as_secs_f64(),
        spent.0.as_secs_f64() * 1e6 / messages as f64,
        spent.1 as f64 / messages as f64,
        ms(times.len() / 2),
        ms(times.len() * 99 / 100),
        ms(times.len()),
    );
}

fn logins(store: &dyn Store, random: &mut Random) {
    let count = 20_000u64;
    let begun = Instant::now();
    let mut verdicts = Vec::new();
    for at in 0..count / 20 {
        let one = |n: u64| {
            Record::Login(tidings_core::custody::LoginRecord {
                user: format!("user{}", (at * 20 + n) % USERS).into(),
                device: "default".into(),
                class: "default".into(),
                presented: 0,
                now_ms: 1_700_000_000_000,
            })
        };
        store
            .commit(&(0..20).map(one).collect::<Vec<_>>(), &mut verdicts)
            .unwrap();
    }
    let per = |begun: Instant| begun.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("login, batches of 20: {:.1} us", per(begun));
    let few: Vec<_> = (0..1000u64).map(|at| format!("loner{at}")).collect();
    let mut devices = Vec::new();
    verdicts.clear();
    for user in &few {
        let records = [
            Record::Login(tidings_core::custody::LoginRecord {
                user: user.as_str().into(),
                device: "default".into(),
                class: "default".into(),
                presented: 0,
                now_ms: 1,
            }),
            Record::Message(Draft {
                from: user.as_str().into(),
                to: "friend".into(),
                id: format!("{:x}", random.next()).into(),
                typeu: 0,
                body: "x".into(),
                time_ms: 1,
            }),
        ];
        store.commit(&records, &mut verdicts).unwrap();
        let Verdict::New(message) = verdicts.remove(1) else {
            panic!()
        };
        let Verdict::Login(grant) = verdicts.remove(0) else {
            panic!()
        };
        store.acknowledge(&mut vec![Cursor {
            device: grant.device,
            conversation: message.conversation,
            acked: 1,
            sparse: vec![],
            unanswered: vec![],
        }]);
        devices.push(grant.device);
    }
    store.flush().unwrap();
    let begun = Instant::now();
    for at in 0..count as usize {
        let backlog = store.backlog(&few[at % 1000], devices[at % 1000]).unwrap();
        assert!(backlog.behind.is_empty());
    }
    println!(
        "backlog of one conversation, nothing behind: {:.1} us",
        per(begun)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let stored: usize = arguments
        .first()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10_000);
    let base = arguments
        .get(1)
        .map_or_else(std::env::temp_dir, |dir| Path::new(dir).to_owned());
    let dir = tempfile::tempdir_in(base).unwrap();
    let durability = match arguments.get(2).map(String::as_str) {
        Some("os") => Durability::Os,
        _ => Durability::Disk,
    };
    let options = SqliteOptions {
        durability,
        ..SqliteOptions::default()
    };
    let mut random = Random(1);
    let store = SqliteStore::open(dir.path(), options).unwrap();
    let head = " batch messages/s   us CPU  bytes/m   p50 ms   p99 ms   max ms";
    for count in [0, stored] {
        fill(&store, &mut random, count);
        println!("{head}");
        for size in [1, 100, 500, 1000] {
            measure(&store, &mut random, size);
        }
    }
    logins(&store, &mut random);
    drop(store);
    let begun = Instant::now();
    let store = SqliteStore::open(dir.path(), options).unwrap();
    println!("reopened in {:.2} s", begun.elapsed().as_secs_f64());
    drop(store);
}
