//! Rounds of load, SIGKILL at a random moment, restart, reconnect: nothing acknowledged is lost,
//! nothing is stored twice, nothing is out of order.
//!
//! Senders send with random ids and repeat what was not acknowledged, as MobileIMSDK clients do.
//! Receivers declare the extension, so that each message shows its number in its conversation: one
//! id under two numbers was stored twice, a number that is missing or taken twice is a hole. The
//! numbers of one sender's messages must rise in the order in which he first handed them over
//! (TCP and WebSocket; datagrams may overtake one another before they are numbered).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::dice::Dice;
use crate::support::raw::{
    Got, Raw, TRANSPORTS, Transport, acknowledgement, json, login, login_extended, message,
};
use crate::support::server::{Addresses, Server};
use crate::support::{PATIENCE, knob};

const RECEIVERS: usize = 3;
/// Messages that a sender keeps unacknowledged.
const WINDOW: usize = 16;
/// After so long a sender repeats what was not acknowledged.
const REPEAT: Duration = Duration::from_millis(700);

/// Where the server is just now; nothing while it is dead.
type Place = Arc<Mutex<Option<Addresses>>>;
/// Ids that were acknowledged, by receiver, once all senders have finished.
type Owed = Arc<Mutex<Option<HashMap<String, HashSet<String>>>>>;

#[test]
fn sigkill_loses_nothing_that_was_acknowledged() {
    let rounds = knob("TIDINGS_TEST_KILL_ROUNDS", 5);
    let mut dice = Dice::new(knob("TIDINGS_TEST_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let place: Place = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = TRANSPORTS
        .iter()
        .flat_map(|transport| [(*transport, 0), (*transport, 1)])
        .map(|(transport, number)| {
            let (place, stop, seed) = (place.clone(), stop.clone(), dice.next());
            std::thread::spawn(move || Sender::new(transport, number, seed).run(&place, &stop))
        })
        .collect();
    let owed: Owed = Arc::default();
    let receivers: Vec<_> = (0..RECEIVERS)
        .map(|number| {
            let (place, owed) = (place.clone(), owed.clone());
            std::thread::spawn(move || Receiver::new(number).run(&place, &owed))
        })
        .collect();

    for round in 0..rounds {
        let server = Server::start(dir.path(), &["--log-level", "warn"]);
        *place.lock().unwrap() = Some(server.at);
        // The load itself decides when; the moment within it is random.
        std::thread::sleep(Duration::from_millis(200 + dice.below(1500) as u64));
        *place.lock().unwrap() = None;
        server.kill();
        println!("round {} of {rounds}: killed", round + 1);
    }
    let server = Server::start(dir.path(), &["--log-level", "warn"]);
    *place.lock().unwrap() = Some(server.at);
    stop.store(true, Ordering::Release); // what is under way is still finished
    let sent: Vec<Sent> = senders.into_iter().map(|s| s.join().unwrap()).collect();
    *owed.lock().unwrap() = Some(what_is_owed(&sent));
    let received: Vec<Received> = receivers.into_iter().map(|r| r.join().unwrap()).collect();
    let again = read_again(&server);
    check(&sent, &received, &again);
}

/// What a sender knows at the end: every message was acknowledged.
struct Sent {
    user: String,
    transport: Transport,
    /// Receiver and ids in the order of first handing over.
    acknowledged: HashMap<String, Vec<String>>,
}

fn what_is_owed(sent: &[Sent]) -> HashMap<String, HashSet<String>> {
    let mut owed: HashMap<String, HashSet<String>> = HashMap::new();
    for (to, ids) in sent.iter().flat_map(|sender| &sender.acknowledged) {
        owed.entry(to.clone())
            .or_default()
            .extend(ids.iter().cloned());
    }
    owed
}

struct Sender {
    transport: Transport,
    user: String,
    dice: Dice,
    /// Receiver and id, oldest first.
    unacknowledged: VecDeque<(String, String)>,
    order: HashMap<String, Vec<String>>,
    acknowledged: HashSet<String>,
}

impl Sender {
    fn new(transport: Transport, number: usize, seed: u64) -> Sender {
        Sender {
            transport,
            user: format!("sender-{transport:?}-{number}"),
            dice: Dice::new(seed),
            unacknowledged: VecDeque::new(),
            order: HashMap::new(),
            acknowledged: HashSet::new(),
        }
    }

    fn run(mut self, place: &Place, stop: &AtomicBool) -> Sent {
        let stopping = || stop.load(Ordering::Acquire);
        while !(stopping() && self.unacknowledged.is_empty()) {
            if let Some(mut raw) = connect(place, self.transport, &login(&self.user, 0)) {
                self.talk(&mut raw, &stopping);
            }
        }
        for ids in self.order.values() {
            assert!(ids.iter().all(|id| self.acknowledged.contains(id)));
        }
        let (user, transport) = (self.user, self.transport);
        Sent {
            user,
            transport,
            acknowledged: self.order,
        }
    }

    /// Until the connection ends, or all is acknowledged and no more is wanted.
    fn talk(&mut self, raw: &mut Raw, stopping: &dyn Fn() -> bool) {
        let mut repeat_at = Instant::now();
        loop {
            if Instant::now() >= repeat_at {
                repeat_at = Instant::now() + REPEAT;
                for (to, id) in &self.unacknowledged {
                    if raw.try_send(&message(&self.user, to, id, id)).is_err() {
                        return;
                    }
                }
            }
            while self.unacknowledged.len() < WINDOW && !stopping() {
                let to = format!("receiver-{}", self.dice.below(RECEIVERS));
                let id = self.dice.uuid();
                self.order.entry(to.clone()).or_default().push(id.clone());
                self.unacknowledged.push_back((to.clone(), id.clone()));
                if raw.try_send(&message(&self.user, &to, &id, &id)).is_err() {
                    return;
                }
            }
            if self.unacknowledged.is_empty() {
                return;
            }
            match raw.next_within(Duration::from_millis(100)) {
                Got::Frame(frame) => {
                    let frame = json(&frame);
                    assert_eq!(frame["type"], 4, "{frame}");
                    let id = frame["dataContent"].as_str().unwrap();
                    self.unacknowledged.retain(|(_, other)| other != id);
                    self.acknowledged.insert(id.to_owned());
                }
                Got::Nothing if self.transport == Transport::Udp => return, // maybe a new server
                Got::Nothing => {}
                Got::Control(..) | Got::End => return,
            }
        }
    }
}

/// Connects and logs in, if there is a server and it answers.
fn connect(place: &Place, transport: Transport, login: &str) -> Option<Raw> {
    let at = *place.lock().unwrap();
    let Some(at) = at else {
        std::thread::sleep(Duration::from_millis(5)); // it is dead: ask again
        return None;
    };
    let mut raw = Raw::try_connect(transport, &at).ok()?;
    raw.try_send(login).ok()?;
    match raw.next_within(Duration::from_secs(2)) {
        Got::Frame(answer) => {
            assert!(answer.contains(r#"\"code\":0"#), "{answer}");
            Some(raw)
        }
        _ => None,
    }
}

/// Number and id, by sender, as one receiver saw them; a number's first sight counts.
type Received = HashMap<String, BTreeMap<u64, String>>;

struct Receiver {
    user: String,
    transport: Transport,
    seen: Received,
}

impl Receiver {
    fn new(number: usize) -> Receiver {
        Receiver {
            user: format!("receiver-{number}"),
            transport: TRANSPORTS[number % TRANSPORTS.len()],
            seen: HashMap::new(),
        }
    }

    fn run(mut self, place: &Place, owed: &Owed) -> Received {
        let mut heard = Instant::now();
        loop {
            let login = login_extended(&self.user, "one");
            let udp = place.lock().unwrap().and_then(|at| at.udp);
            let Some(mut raw) = connect(place, self.transport, &login) else {
                continue;
            };
            let mut highest: HashMap<String, u64> = HashMap::new();
            loop {
                match raw.next_within(Duration::from_millis(300)) {
                    Got::Frame(frame) => {
                        heard = Instant::now();
                        self.take(&mut raw, &frame, &mut highest);
                        continue;
                    }
                    Got::Nothing => {}
                    Got::Control(..) | Got::End => break,
                }
                let owed = owed.lock().unwrap();
                match owed.as_ref().and_then(|owed| owed.get(&self.user)) {
                    Some(owed) if self.has_all(owed) || heard.elapsed() > PATIENCE => {
                        return self.seen;
                    }
                    // On UDP a dead server is only silent.
                    _ if place.lock().unwrap().is_none_or(|at| at.udp != udp) => break,
                    _ => {}
                }
            }
        }
    }

    fn has_all(&self, owed: &HashSet<String>) -> bool {
        let seen: HashSet<&String> = self.seen.values().flat_map(BTreeMap::values).collect();
        owed.iter().all(|id| seen.contains(id))
    }

    fn take(&mut self, raw: &mut Raw, frame: &str, highest: &mut HashMap<String, u64>) {
        let frame = json(frame);
        assert_eq!(frame["type"], 2, "{frame}");
        let from = frame["from"].as_str().unwrap().to_owned();
        let (id, seq) = (
            frame["id"].as_str().unwrap(),
            frame["seq"].as_u64().unwrap(),
        );
        let known = self.seen.entry(from.clone()).or_default();
        let first = known.entry(seq).or_insert_with(|| id.to_owned());
        assert_eq!(first, id, "number {seq} of {from} means two messages");
        // Within a login new messages come in order; a repetition is an old one.
        let highest = highest.entry(from.clone()).or_default();
        assert!(
            seq <= *highest + 1 || *highest == 0,
            "{from}: {seq} after {highest}"
        );
        *highest = (*highest).max(seq);
        let _ = raw.try_send(&acknowledgement(&self.user, &from, id));
    }
}

/// What a new device of another name is shown is nothing, so the store is read by the history of
/// each conversation as a first device sees it: by a fresh receiver, who gets what was never his.
/// Here: whether anything is left that the receivers did not get.
fn read_again(server: &Server) -> Vec<(String, String)> {
    let mut left = Vec::new();
    for number in 0..RECEIVERS {
        let user = format!("receiver-{number}");
        let mut raw = Raw::connect(Transport::Tcp, &server.at);
        raw.send(&login_extended(&user, "one"));
        raw.frame();
        // A message to himself comes after everything that is behind.
        raw.send(&message(&user, &user, "the end", ""));
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let frame = json(&raw.frame());
            match (&frame["type"], frame["fp"].as_str()) {
                (_, Some("the end")) => break,
                (_, Some(id)) => {
                    left.push((user.clone(), id.to_owned()));
                    let from = frame["from"].as_str().unwrap();
                    raw.send(&acknowledgement(&user, from, id));
                }
                _ => {}
            }
        }
    }
    left
}

fn check(sent: &[Sent], received: &[Received], again: &[(String, String)]) {
    let (mut acknowledged, mut lost, mut twice, mut unordered) = (0, Vec::new(), Vec::new(), 0);
    for sender in sent {
        for (to, ids) in &sender.acknowledged {
            acknowledged += ids.len();
            let number: usize = to.strip_prefix("receiver-").unwrap().parse().unwrap();
            let Some(got) = received[number].get(&sender.user) else {
                lost.extend(ids.iter().cloned());
                continue;
            };
            // Without gaps, from 1.
            let numbers: Vec<u64> = got.keys().copied().collect();
            let expected: Vec<u64> = (1..=got.len() as u64).collect();
            assert_eq!(numbers, expected, "numbers of {} to {to}", sender.user);
            let mut place = HashMap::new();
            for (seq, id) in got {
                if let Some(before) = place.insert(id, *seq) {
                    twice.push((id.clone(), before, *seq));
                }
            }
            let missing: Vec<_> = ids.iter().filter(|id| !place.contains_key(id)).collect();
            if !missing.is_empty() {
                let (user, have) = (&sender.user, got.len());
                let late = again.iter().filter(|(_, id)| missing.contains(&id)).count();
                println!(
                    "{user} to {to}: {have} came, {} missing, {late} came at the end",
                    missing.len()
                );
            }
            lost.extend(missing.into_iter().cloned());
            if sender.transport != Transport::Udp {
                let places: Vec<_> = ids.iter().filter_map(|id| place.get(id)).collect();
                unordered += places.windows(2).filter(|pair| pair[0] > pair[1]).count();
            }
        }
    }
    println!(
        "acknowledged {acknowledged}, lost {}, stored twice {}, out of order {unordered}; \
         {} came once more to a new session",
        lost.len(),
        twice.len(),
        again.len()
    );
    assert!(acknowledged > 100, "hardly any load: {acknowledged}");
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    assert_eq!(unordered, 0, "out of order");
    // Repetitions of what was acknowledged in the last moment are possible, new messages not.
    let known: HashSet<&String> = received
        .iter()
        .flat_map(|r| r.values().flat_map(BTreeMap::values))
        .collect();
    assert!(again.iter().all(|(_, id)| known.contains(id)), "{again:?}");
}
