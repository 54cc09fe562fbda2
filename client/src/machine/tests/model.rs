//! Random networks, disks and applications against a model server: what was accepted arrives once
//! and in order, what is shown is shown once, nothing acknowledged is lost.

use std::collections::{BTreeMap, HashSet, VecDeque};

use tidings_core::time::Time;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{Frame, login};

use super::super::*;
use super::{config, frame, incoming, outgoing};

const MESSAGES: u64 = 40;

/// A source of chance for the model, apart from the machine's.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct World {
    dice: Dice,
    now: Time,
    machine: Machine,
    linked: bool,
    lossy: bool,
    faults: bool,
    crashing: bool,
    /// Frames on their way.
    to_server: VecDeque<Frame<'static>>,
    to_client: VecDeque<Frame<'static>>,
    /// What the server stored for each receiver.
    stored: BTreeMap<String, Vec<String>>,
    stored_ids: HashSet<String>,
    logged_in: bool,
    /// What the server has for alice and she has not acknowledged.
    inbox: VecDeque<String>,
    /// Records on their way to the disk, and those on it.
    writing: VecDeque<(u64, Record)>,
    disk: Vec<Record>,
    /// Events that the application has not taken.
    events: VecDeque<(u64, Event)>,
    shown: Vec<String>,
    accepted: HashSet<u64>,
    done: HashSet<String>,
    next: u64,
}

fn durable(lossy: bool) -> Config {
    Config {
        durable: true,
        retries: None,
        window_per_receiver: if lossy { 1 } else { 4 },
        login_resend_ms: lossy.then_some(2_000),
        remembered_max: 1000,
        ..config()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let lossy = seed.is_multiple_of(2);
        let mut world = World {
            dice: Dice(seed),
            now: Time(0),
            machine: Machine::new(durable(lossy), seed, Restored::default()),
            linked: false,
            lossy,
            faults: true,
            crashing: seed % 4 < 2,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            stored: BTreeMap::new(),
            stored_ids: HashSet::new(),
            logged_in: false,
            inbox: (0..MESSAGES).map(|number| format!("in{number}")).collect(),
            writing: VecDeque::new(),
            disk: Vec::new(),
            events: VecDeque::new(),
            shown: Vec::new(),
            accepted: HashSet::new(),
            done: HashSet::new(),
            next: 0,
        };
        world.input(Input::LogIn { token: None });
        world
    }

    fn input(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.machine.on(self.now, input, &mut actions);
        for action in actions {
            match action {
                Action::Connect => {
                    self.cut();
                    self.linked = true;
                    self.input(Input::Connected);
                }
                Action::Close => self.cut(),
                Action::Transmit(frame) if self.linked => self.to_server.push_back(frame),
                Action::Transmit(_) => {}
                Action::Event(number, event) => self.events.push_back((number, event)),
                Action::Journal(number, record) => self.writing.push_back((number, record)),
                Action::Accepted(ticket) => drop(self.accepted.insert(ticket)),
                Action::Rejected(_, error) => panic!("{error}"),
            }
        }
    }

    fn cut(&mut self) {
        self.linked = false;
        self.logged_in = false;
        self.to_server.clear();
        self.to_client.clear();
    }

    fn deliver_inbox(&mut self) {
        for id in self.inbox.iter().take(8) {
            self.to_client.push_back(incoming(id));
        }
    }

    fn server(&mut self, asked: &Frame<'static>) {
        let text = asked.data.as_deref().unwrap_or_default().to_owned();
        match asked.kind {
            code::LOGIN => {
                self.logged_in = true;
                let answer = login::encode_login_answer(0, 1, false);
                self.to_client.push_back(frame(code::LOGIN_ANSWER, &answer));
                self.deliver_inbox();
            }
            code::KEEPALIVE => {
                self.to_client
                    .push_back(frame(code::KEEPALIVE_ANSWER, "{}"));
                self.deliver_inbox();
            }
            code::COMMON_DATA if self.logged_in => {
                if self.stored_ids.insert(text.clone()) {
                    let to = asked.to.as_deref().unwrap_or_default().to_owned();
                    self.stored.entry(to).or_default().push(text.clone());
                }
                self.to_client.push_back(frame(code::RECEIVED, &text));
            }
            code::RECEIVED if self.logged_in => {
                assert!(
                    self.shown.contains(&text),
                    "acknowledged before it was shown"
                );
                self.inbox.retain(|id| *id != text);
            }
            _ => {}
        }
    }

    /// The process dies: what was not on disk is gone, what the application held comes again.
    fn crash(&mut self) {
        self.cut();
        self.writing.clear();
        self.events.clear();
        let mut restored = Restored::default();
        for record in &self.disk {
            match record {
                Record::Queued { order, message } => {
                    restored.queued.push((*order, message.clone()));
                }
                Record::Done { order } => restored.queued.retain(|(queued, _)| queued != order),
                Record::Seen(seen) => restored.seen.push(seen.clone()),
            }
        }
        self.machine = Machine::new(durable(self.lossy), self.dice.roll(1 << 30), restored);
        self.input(Input::LogIn { token: None });
    }

    fn step(&mut self) {
        match self.dice.roll(if self.faults { 60 } else { 40 }) {
            0..10 => self.move_to_server(),
            10..20 => self.move_to_client(),
            20..25 => self.write(),
            25..31 => self.take(),
            31..35 if self.next < MESSAGES => {
                let to = ["bob", "carol"][self.dice.roll(2) as usize];
                let message = outgoing(&format!("out{}", self.next), to);
                let ticket = self.next;
                self.next += 1;
                self.input(Input::Send { ticket, message });
            }
            31..40 => self.tick(),
            40..58 => {}
            58 if self.crashing && self.dice.roll(4) == 0 => self.crash(),
            _ if self.linked && self.dice.roll(4) == 0 => {
                self.cut();
                self.input(Input::Closed("cut".to_owned()));
            }
            _ => {}
        }
    }

    fn lost(&mut self) -> bool {
        self.lossy && self.faults && self.dice.roll(5) == 0
    }

    fn move_to_server(&mut self) {
        if let Some(frame) = self.to_server.pop_front()
            && !self.lost()
        {
            self.server(&frame);
        }
    }

    fn move_to_client(&mut self) {
        if self.machine.reading()
            && let Some(frame) = self.to_client.pop_front()
            && !self.lost()
        {
            self.input(Input::Frame(frame, None));
        }
    }

    fn write(&mut self) {
        if let Some((number, record)) = self.writing.pop_front() {
            self.disk.push(record);
            self.input(Input::Journaled(number));
        }
    }

    fn take(&mut self) {
        let Some((number, event)) = self.events.pop_front() else {
            return;
        };
        match event {
            Event::Message(message) => self.shown.push(message.text),
            Event::Acknowledged { id, .. } => drop(self.done.insert(id.to_string())),
            Event::Lost { id } => panic!("{id} lost"),
            _ => {}
        }
        self.input(Input::Taken(number));
    }

    fn tick(&mut self) {
        if let Some(deadline) = self.machine.deadline() {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
        }
    }

    fn settled(&self) -> bool {
        self.next == MESSAGES && self.machine.unacknowledged() == 0 && self.inbox.is_empty()
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..3_000 {
        world.step();
    }
    world.faults = false;
    let mut steps = 0;
    while !world.settled() {
        world.step();
        steps += 1;
        assert!(
            steps < 200_000,
            "seed {seed}: no progress once faults stopped"
        );
    }
    world
}

#[test]
fn whatever_happens_accepted_messages_arrive_once_and_in_order() {
    for seed in 0..160 {
        let world = run(seed);
        for ticket in &world.accepted {
            let text = format!("out{ticket}");
            assert!(
                world.stored_ids.contains(&text),
                "seed {seed}: {text} is missing"
            );
        }
        for (to, texts) in &world.stored {
            let numbers: Vec<u64> = texts
                .iter()
                .map(|text| text[3..].parse().unwrap())
                .collect();
            assert!(numbers.is_sorted(), "seed {seed}: to {to} {numbers:?}");
        }
    }
}

#[test]
fn whatever_happens_messages_are_shown_and_only_a_crash_shows_one_again() {
    for seed in 0..160 {
        let world = run(seed);
        let distinct: HashSet<&String> = world.shown.iter().collect();
        assert_eq!(distinct.len() as u64, MESSAGES, "seed {seed}");
        // The application took it, and the process died before that was on disk.
        if !world.crashing {
            assert_eq!(world.shown.len() as u64, MESSAGES, "seed {seed}");
        }
    }
}
