//! Random operations on the store on disk, with tiny indexes, reopened and crashed at random,
//! against the memory store as the model: the same verdicts, the same reads.

use proptest::prelude::*;
use tempfile::TempDir;
use tidings_core::custody::{Cursor, LoginRecord, Record, Unanswered, Verdict, Want};
use tidings_core::ids::{ConversationId, DeviceId, Name};

use super::contract::{draft_at, login_at};
use super::{Durability, MemoryOptions, MemoryStore, Page, SqliteOptions, SqliteStore, Store};

const USERS: [&str; 5] = ["a", "b", "c", "0", "d"];
const ADDRESSES: [&str; 7] = ["a", "b", "c", "0", "#g", "#h", "@t"];

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Step>),
    Acknowledge {
        device: usize,
        conversation: usize,
        acked: u64,
        sparse: bool,
    },
    Group {
        which: usize,
        members: Vec<usize>,
    },
    Retain {
        before_ms: i64,
        devices_since_ms: i64,
    },
    Flush,
    Index,
    Reopen,
    Crash,
}

#[derive(Debug, Clone)]
enum Step {
    Message {
        from: usize,
        to: usize,
        id: u8,
        body: bool,
        time_ms: i64,
    },
    Login {
        user: usize,
        device: u8,
        known: bool,
        now_ms: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..USERS.len(), 0..ADDRESSES.len(), any::<u8>(), prop::bool::weighted(0.95), 0..1000i64)
            .prop_map(|(from, to, id, body, time_ms)| Step::Message { from, to, id, body, time_ms }),
        1 => (0..USERS.len(), 0..3u8, any::<bool>(), 0..1000i64)
            .prop_map(|(user, device, known, now_ms)| Step::Login { user, device, known, now_ms }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec(step(), 1..12).prop_map(Op::Commit),
        4 => (0..8usize, 0..12usize, 0..20u64, any::<bool>()).prop_map(
            |(device, conversation, acked, sparse)| Op::Acknowledge { device, conversation, acked, sparse }),
        1 => (0..2usize, prop::collection::vec(0..USERS.len(), 0..4))
            .prop_map(|(which, members)| Op::Group { which, members }),
        1 => (0..1000i64, 0..1000i64)
            .prop_map(|(before_ms, devices_since_ms)| Op::Retain { before_ms, devices_since_ms }),
        1 => Just(Op::Flush),
        3 => Just(Op::Index),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

struct Pair {
    dir: TempDir,
    options: SqliteOptions,
    disk: Option<SqliteStore>,
    model: MemoryStore,
    devices: Vec<(Name, DeviceId)>,
    issued: Vec<(Name, i64)>,
    conversations: Vec<ConversationId>,
}

impl Pair {
    fn new(tail_bytes_max: usize, index_batch: usize) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            durability: Durability::Os,
            tail_bytes_max,
            index_batch,
            background: false,
            ..SqliteOptions::default()
        };
        let disk = Some(SqliteStore::open(dir.path(), options).unwrap());
        Pair {
            dir,
            options,
            disk,
            model: MemoryStore::new(MemoryOptions::default()),
            devices: vec![],
            issued: vec![],
            conversations: vec![],
        }
    }

    fn disk(&self) -> &SqliteStore {
        self.disk.as_ref().unwrap()
    }

    fn reopen(&mut self, crash: bool) {
        if crash {
            self.disk().flush().unwrap();
            let copied = tempfile::tempdir().unwrap();
            super::sqlite::copy_files(self.dir.path(), copied.path());
            self.disk = None;
            self.dir = copied;
        }
        self.disk = None;
        self.disk = Some(SqliteStore::open(self.dir.path(), self.options).unwrap());
    }

    fn record(&self, step: &Step) -> Record {
        match step {
            Step::Message {
                from,
                to,
                id,
                body,
                time_ms,
            } => {
                let body = if *body { "text" } else { "other text" };
                draft_at(
                    USERS[*from],
                    ADDRESSES[*to],
                    &format!("{id}"),
                    body,
                    *time_ms,
                )
            }
            Step::Login {
                user,
                device,
                known,
                now_ms,
            } => {
                let name = USERS[*user];
                let known = self
                    .issued
                    .iter()
                    .rev()
                    .find(|(user, _)| *known && **user == *name);
                let class = if *device == 2 { "web" } else { "phone" };
                let presented = known.map_or(0, |(_, value)| *value);
                login_at(name, &format!("device{device}"), class, presented, *now_ms)
            }
        }
    }

    fn commit(&mut self, steps: &[Step]) {
        let batch: Vec<Record> = steps.iter().map(|step| self.record(step)).collect();
        let (mut of_disk, mut of_model) = (vec![], vec![]);
        self.disk().commit(&batch, &mut of_disk).unwrap();
        self.model.commit(&batch, &mut of_model).unwrap();
        assert_eq!(of_disk, of_model);
        for (record, verdict) in batch.iter().zip(of_model) {
            match (record, verdict) {
                (_, Verdict::New(message)) => self.conversations.push(message.conversation),
                (Record::Login(LoginRecord { user, .. }), Verdict::Login(grant)) => {
                    self.devices.push((user.clone(), grant.device));
                    self.issued.push((user.clone(), grant.first_login_time));
                }
                _ => {}
            }
        }
        self.conversations.sort_unstable();
        self.conversations.dedup();
        self.devices.sort_unstable();
        self.devices.dedup();
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Commit(steps) => self.commit(steps),
            Op::Acknowledge {
                device,
                conversation,
                acked,
                sparse,
            } => {
                if self.devices.is_empty() || self.conversations.is_empty() {
                    return;
                }
                let cursor = Cursor {
                    device: self.devices[device % self.devices.len()].1,
                    conversation: self.conversations[conversation % self.conversations.len()],
                    acked: *acked,
                    sparse: if *sparse {
                        vec![acked + 2, acked + 5]
                    } else {
                        vec![]
                    },
                    unanswered: if *sparse {
                        vec![Unanswered {
                            seq: acked + 1,
                            logins: 2,
                            ends: 3,
                            again_ms: 7,
                        }]
                    } else {
                        vec![]
                    },
                };
                self.disk().acknowledge(&mut vec![cursor.clone()]);
                self.model.acknowledge(&mut vec![cursor]);
            }
            Op::Group { which, members } => {
                let group = ["#g", "#h"][*which];
                let members: Vec<Name> = members.iter().map(|at| USERS[*at].into()).collect();
                self.disk().set_group(group, &members).unwrap();
                self.model.set_group(group, &members).unwrap();
                assert_eq!(
                    self.disk().group(group).unwrap(),
                    self.model.group(group).unwrap()
                );
            }
            Op::Retain {
                before_ms,
                devices_since_ms,
            } => {
                let all = |store: &dyn Store| {
                    while store.retain(*before_ms, *devices_since_ms).unwrap().more {}
                };
                all(self.disk());
                all(&self.model);
            }
            Op::Flush => self.disk().flush().unwrap(),
            Op::Index => self.disk().settle().unwrap(),
            Op::Reopen => self.reopen(false),
            Op::Crash => self.reopen(true),
        }
    }

    fn compare(&self) {
        let (disk, model) = (self.disk(), &self.model);
        for (user, device) in &self.devices {
            let backlog = model.backlog(user, *device).unwrap();
            assert_eq!(disk.backlog(user, *device).unwrap(), backlog);
            let wants: Vec<Want> = backlog
                .behind
                .iter()
                .map(|b| Want {
                    conversation: b.cursor.conversation,
                    after: b.cursor.acked,
                    upto: b.head,
                })
                .collect();
            for (messages, bytes) in [(5, usize::MAX), (100, 30), (100, usize::MAX)] {
                let loaded = model.load(&wants, messages, bytes).unwrap();
                assert_eq!(disk.load(&wants, messages, bytes).unwrap(), loaded);
                if let Some(recent) = disk.load_recent(&wants, messages, bytes) {
                    assert_eq!(recent, loaded);
                }
            }
        }
        for user in USERS {
            assert_eq!(
                disk.conversations(user, u64::MAX, 4).unwrap(),
                model.conversations(user, u64::MAX, 4).unwrap()
            );
        }
        for key in [
            "a\nb", "0\na", "#g", "#h", "a\na", "b\nc", "@t\na", "0\n0", "a\n@t",
        ] {
            for page in [
                Page::Before(u64::MAX, 3),
                Page::After(0, 3),
                Page::Before(5, 2),
                Page::After(3, 100),
            ] {
                let of_disk = disk.history(key, page).unwrap();
                assert_eq!(
                    of_disk,
                    model.history(key, page).unwrap(),
                    "{key:?} {page:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn disk_and_memory_agree(
        ops in prop::collection::vec(op(), 1..60),
        tail_bytes_max in prop_oneof![Just(0usize), Just(3_000), Just(1 << 20)],
        index_batch in prop_oneof![Just(1usize), Just(7), Just(1000)],
    ) {
        let mut pair = Pair::new(tail_bytes_max, index_batch);
        for op in &ops {
            pair.run(op);
            pair.compare();
        }
    }
}
