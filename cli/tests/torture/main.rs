//! Torture: the real server under load from the public client on every transport, while it is killed
//! and stopped, while its disk forgets what was not synced, fills up, becomes read-only or fails syncs,
//! and while bits flip in what it left. After each round: nothing acknowledged is lost, doubled,
//! renumbered, out of order or undelivered, and every flipped bit is harmless or announced.
//!
//! ```sh
//! cargo test -p tidings --test torture                      # a round of each kind
//! cargo test -p tidings --test torture -- --seconds 60
//! cargo test -p tidings --test torture -- --rounds 200 --seed 7
//! cargo test -p tidings --test torture -- --rounds 20 --only PowerCut
//! cargo test -p tidings --test torture -- --rounds 50 --durability os  # finds what power cuts lose
//! ```
//!
//! The disk is a file system of our own (`disk`, shown to the system by `fuse`); where that is not
//! permitted, its rounds are left out, and that is said. A round that fails keeps what the server left
//! and prints how to run it again.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod desk;
mod disk;
mod flips;
mod fuse;
mod people;
#[allow(dead_code)] // what the end-to-end tests need beside
#[path = "../end_to_end/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use disk::Trouble;
use fuse::Shared;
use people::People;
use support::PATIENCE;
use support::admin::admin;
use support::dice::Dice;
use support::server::{Addresses, Server, serve};
use tempfile::TempDir;

/// What a round does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, a while, SIGCONT.
    Stop,
    /// SIGKILL while customers and agents talk.
    Desk,
    /// SIGKILL, then bits flip in a copy of what was left.
    Flips,
    /// SIGKILL, and the disk forgets what was not synced.
    PowerCut,
    /// Nothing more fits for a while; maybe it is killed meanwhile.
    Full,
    /// Nothing can be written for a while; maybe it is killed meanwhile.
    ReadOnly,
    /// Nothing can be read at the start after a SIGKILL.
    Unreadable,
    /// Syncs fail; then the power fails, or not.
    FailingSyncs,
}

const ANYWHERE: [Kind; 4] = [Kind::Kill, Kind::Stop, Kind::Desk, Kind::Flips];
const ON_OUR_DISK: [Kind; 5] = [
    Kind::PowerCut,
    Kind::Full,
    Kind::ReadOnly,
    Kind::Unreadable,
    Kind::FailingSyncs,
];

/// Where the server is, and what it stands on.
struct Stage {
    /// Outboxes, logs, the place where the disk is shown.
    dir: TempDir,
    disk: Option<(Shared, Option<fuser::BackgroundSession>)>,
    server: Option<Server>,
    at: Addresses,
    agents: String,
    durability: String,
    /// Users that `tidings admin` said are blocked.
    blocked: Vec<String>,
    people: People,
    dice: Dice,
}

impl Stage {
    fn new(seed: u64, durability: String) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("disk")).unwrap();
        let mut stage = Stage {
            disk: Some((Shared::new(), None)),
            dir,
            server: None,
            at: Addresses::default(),
            agents: "127.0.0.1:0".to_owned(),
            durability,
            blocked: Vec::new(),
            people: People::default(),
            dice: Dice::new(seed),
        };
        if let Err(error) = stage.mount() {
            println!(
                "SKIPPED: power cuts, full, read-only and failing disks: no FUSE here: {error}"
            );
            stage.disk = None;
        }
        stage
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn data(&self) -> PathBuf {
        self.place().join("data")
    }

    fn mount(&mut self) -> std::io::Result<()> {
        let place = self.place();
        if let Some((disk, session)) = &mut self.disk {
            drop(session.take());
            *session = Some(disk.mount(&place)?);
        }
        Ok(())
    }

    fn trouble(&self, trouble: Trouble) {
        if let Some((disk, _)) = &self.disk {
            disk.lock().trouble = trouble;
        }
    }

    fn start(&mut self) -> Result<(), String> {
        let at = |address: Option<std::net::SocketAddr>| {
            address.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string())
        };
        let addresses = [
            ("--tcp", at(self.at.tcp)),
            ("--udp", at(self.at.udp)),
            ("--ws", at(self.at.ws)),
            ("--http", at(self.at.http)),
            ("--agents", self.agents.clone()),
            ("--durability", self.durability.clone()),
        ];
        let mut arguments = vec!["--log-level", "info"];
        arguments.extend(addresses.iter().flat_map(|(name, at)| [*name, at.as_str()]));
        match Server::run(self.dir.path(), serve(&self.place(), &arguments)) {
            Ok(server) => {
                self.at = server.at;
                self.agents = desk::agents_port(&server);
                self.server = Some(server);
                Ok(())
            }
            Err(failed) => Err(format!("the server does not start: {}", failed.stderr)),
        }
    }

    fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn wait(&mut self, from_ms: usize, upto_ms: usize) {
        let ms = from_ms + self.dice.below(upto_ms - from_ms);
        std::thread::sleep(Duration::from_millis(ms as u64));
    }

    /// One round; then everything is said and heard.
    fn round(&mut self, kind: Kind) -> Result<(), String> {
        self.people.be_silent(false);
        self.wait(200, 1200);
        match kind {
            Kind::Kill => {
                self.kill();
                self.start()?;
            }
            Kind::Stop => {
                if let Some(server) = &self.server {
                    server.signal("STOP");
                }
                self.wait(200, 3000);
                if let Some(server) = &self.server {
                    server.signal("CONT");
                }
            }
            Kind::Desk => self.desk()?,
            Kind::Flips => self.flips()?,
            Kind::PowerCut => self.power_cut()?,
            Kind::Full | Kind::ReadOnly => {
                self.trouble(Trouble {
                    full: kind == Kind::Full,
                    read_only: kind == Kind::ReadOnly,
                    ..Trouble::default()
                });
                self.wait(200, 2000);
                let starts = kind == Kind::Full && self.dice.below(3) == 0;
                if starts {
                    self.kill();
                    self.start()?;
                    self.wait(100, 1000);
                }
                self.trouble(Trouble::default());
            }
            Kind::Unreadable => self.unreadable()?,
            Kind::FailingSyncs => {
                let failing_syncs = 1 + self.dice.below(20) as u32;
                self.trouble(Trouble {
                    failing_syncs,
                    ..Trouble::default()
                });
                self.wait(200, 2000);
                if self.dice.below(2) == 0 {
                    self.power_cut()?;
                }
                self.trouble(Trouble::default());
            }
        }
        self.wait(100, 600);
        self.settle()
    }

    /// The data is whole: nobody may say that it is damaged.
    fn unreadable(&mut self) -> Result<(), String> {
        self.kill();
        self.mount().map_err(|error| error.to_string())?; // nothing is left in the system's memory
        self.trouble(Trouble {
            unreadable: true,
            ..Trouble::default()
        });
        let words = match self.start() {
            Ok(()) => return Err("it starts although nothing can be read".to_owned()),
            Err(words) => words,
        };
        if !words.contains(" fails: ") || words.contains(" is damaged") {
            return Err(words);
        }
        self.trouble(Trouble::default());
        self.start()
    }

    fn desk(&mut self) -> Result<(), String> {
        let Some(server) = &self.server else {
            return Err("there is no server".to_owned());
        };
        let load = desk::begin(server, self.dice.next() >> 40);
        let mut restarted = Ok(());
        for _ in 0..2 {
            self.wait(700, 2500);
            self.kill();
            restarted = restarted.and_then(|()| self.start());
        }
        let ended = desk::end(load);
        restarted.and(ended)
    }

    /// D7: what `tidings admin` answered is as durable as a message, or its answer is a refusal.
    fn power_cut(&mut self) -> Result<(), String> {
        let user = format!("blocked-{}", self.dice.next());
        let answered = admin(&self.data(), &["block", "user", &user]);
        if answered.status.success() {
            self.blocked.push(user);
        }
        self.kill();
        if let Some((disk, session)) = &mut self.disk {
            drop(session.take());
            disk.lock().cut(&mut self.dice);
        }
        self.mount().map_err(|error| error.to_string())?;
        self.start()?;
        let list = admin(&self.data(), &["block", "list"]);
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let mut lost = self.blocked.iter().filter(|user| !list.contains(*user));
        match lost.next() {
            Some(user) => Err(format!(
                "the block of {user} was answered and is lost: {list}"
            )),
            None => Ok(()),
        }
    }

    fn flips(&mut self) -> Result<(), String> {
        // What was reached is noted half a second late at most.
        self.settle()?;
        std::thread::sleep(Duration::from_millis(700));
        self.kill();
        let copy = tempfile::tempdir().unwrap();
        flips::copy(&self.data(), copy.path());
        self.start()?;
        self.people.be_silent(false);
        let kept = self.people.ledger().kept();
        flips::flip(copy.path(), &kept, &mut self.dice)
    }

    /// Nobody says anything new until everything is acknowledged and received; then the ledger is
    /// looked through.
    fn settle(&self) -> Result<(), String> {
        self.people.be_silent(true);
        let begun = Instant::now();
        loop {
            let open = self.people.ledger().open();
            if open == (0, 0) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                let (sent, acknowledged) = open;
                return Err(format!(
                    "{sent} messages are never acknowledged, {acknowledged} never received"
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        match self.people.ledger().violations() {
            wrong if wrong.is_empty() => Ok(()),
            wrong => Err(wrong.join("\n")),
        }
    }
}

/// What the command line wants.
struct Wanted {
    rounds: Option<u64>,
    seconds: Option<u64>,
    seed: u64,
    /// Only rounds of this kind.
    only: Option<String>,
    /// `disk`; with `os` power cuts lose what was acknowledged, and that must be found.
    durability: String,
}

fn wanted() -> Wanted {
    let arguments: Vec<String> = std::env::args().collect();
    let text = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| {
        let value = text(name)?.parse();
        Some(value.unwrap_or_else(|_| panic!("{name} needs a number")))
    };
    Wanted {
        rounds: number("--rounds"),
        seconds: number("--seconds"),
        seed: number("--seed").unwrap_or(1),
        only: text("--only"),
        durability: text("--durability").unwrap_or_else(|| "disk".to_owned()),
    }
}

/// Keeps what a failed round left.
fn keep(stage: Stage, wanted: &Wanted, round: u64, kind: Kind, words: &str) -> ExitCode {
    let Stage { dir, disk, .. } = stage;
    let kept = std::env::temp_dir().join(format!("torture-{}-{round}", wanted.seed));
    let _ = std::fs::remove_dir_all(&kept);
    flips::copy(dir.path(), &kept);
    drop(disk);
    println!("FAILED in round {round}, {kind:?}:\n{words}");
    println!(
        "kept in {}: disk/data, server.log, outboxes",
        kept.display()
    );
    println!(
        "again: cargo test -p tidings --test torture -- --rounds {round} --seed {}",
        wanted.seed
    );
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let wanted = wanted();
    let mut stage = Stage::new(wanted.seed, wanted.durability.clone());
    desk::prepare(&stage.data());
    stage.start().unwrap();
    let threads = tokio::runtime::Runtime::new().unwrap();
    let outboxes: &Path = &stage.dir.path().join("outboxes");
    std::fs::create_dir(outboxes).unwrap();
    let people = stage.people.clone();
    threads.block_on(people.come(&stage.at.clone(), outboxes, &mut stage.dice));
    let mut kinds = ANYWHERE.to_vec();
    if stage.disk.is_some() {
        kinds.extend(ON_OUR_DISK);
    }
    if let Some(only) = &wanted.only {
        kinds.retain(|kind| format!("{kind:?}") == *only);
        assert!(
            !kinds.is_empty(),
            "--only {only}: there is no such kind here"
        );
    }
    let rounds = match (wanted.rounds, wanted.seconds) {
        (Some(rounds), _) => rounds,
        (None, Some(_)) => u64::MAX,
        (None, None) => kinds.len() as u64,
    };
    let begun = Instant::now();
    let mut round = 0;
    while round < rounds && wanted.seconds.is_none_or(|s| begun.elapsed().as_secs() < s) {
        // One of each, then as chance has it.
        let kind = match kinds.get(round as usize) {
            Some(kind) => *kind,
            None => *stage.dice.pick(&kinds),
        };
        round += 1;
        if let Err(words) = stage.round(kind) {
            return keep(stage, &wanted, round, kind, &words);
        }
        let acknowledged = stage.people.ledger().acknowledged();
        println!("round {round}, {kind:?}: {acknowledged} acknowledged, nothing lost");
    }
    stage.kill();
    threads.shutdown_background();
    println!("{round} rounds, seed {}: every promise held", wanted.seed);
    ExitCode::SUCCESS
}
