//! Who talks: senders and receivers with the public client, and what they know of each message.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_client::{Client, Event, Events};

use crate::support::dice::Dice;
use crate::support::server::Addresses;

/// Messages that a sender keeps unacknowledged.
const WINDOW: usize = 16;
const RECEIVERS: usize = 3;
/// Who has one message under way at a time.
const PATIENT: &str = "sender-tcp";

/// What is known of one sender's messages to one receiver.
#[derive(Debug, Default, Clone)]
pub(crate) struct Talk {
    /// Ids in the order in which they were handed over.
    sent: Vec<String>,
    /// Their numbers, as the server told the sender.
    acknowledged: HashMap<String, u64>,
    /// Number and id in the order in which they came to the receiver.
    came: Vec<(u64, String)>,
}

/// Sender and receiver.
type Pair = (String, String);

/// What everybody knows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    talks: HashMap<Pair, Talk>,
    /// To whom those go that are not acknowledged.
    waiting: HashMap<String, Pair>,
    /// Ids that were under way when one of their sender's was refused: it is sent again behind those
    /// that were not, which keeps the order only for who waits for each acknowledgement.
    unordered: HashSet<String>,
    /// What nobody should ever see.
    wrong: Vec<String>,
}

impl Ledger {
    /// Messages that were sent and not acknowledged, and acknowledged and not received.
    pub(crate) fn open(&self) -> (usize, usize) {
        let talks = self.talks.values();
        talks.fold((0, 0), |(sent, acknowledged), talk| {
            let came: HashSet<&String> = talk.came.iter().map(|(_, id)| id).collect();
            let missing = talk.acknowledged.keys().filter(|id| !came.contains(id));
            (
                sent + talk.sent.len() - talk.acknowledged.len(),
                acknowledged + missing.count(),
            )
        })
    }

    fn hand_over(&mut self, talk: Pair, id: String) {
        self.waiting.insert(id.clone(), talk.clone());
        self.talks.entry(talk).or_default().sent.push(id);
    }

    fn refused(&mut self, user: &str) {
        let his = self.waiting.iter().filter(|(_, talk)| talk.0 == user);
        self.unordered.extend(his.map(|(id, _)| id.clone()));
    }

    fn acknowledge(&mut self, user: &str, id: &str, seq: Option<u64>) {
        match (self.waiting.remove(id), seq) {
            (Some(talk), Some(seq)) if talk.0 == user => {
                let talk = self.talks.entry(talk).or_default();
                talk.acknowledged.insert(id.to_owned(), seq);
            }
            _ => {
                let words = format!("{user}: {id} was acknowledged twice, or as {seq:?}");
                self.wrong.push(words);
            }
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        let talks = self.talks.values();
        talks.map(|talk| talk.acknowledged.len()).sum()
    }

    /// For each conversation its key and what was acknowledged of it, by number.
    pub(crate) fn kept(&self) -> Vec<(String, Vec<(u64, String)>)> {
        let kept = |((from, to), talk): (&Pair, &Talk)| {
            let (low, high) = (from.min(to), from.max(to));
            let numbers = talk.acknowledged.iter();
            let mut numbers: Vec<_> = numbers.map(|(id, seq)| (*seq, id.clone())).collect();
            numbers.sort_unstable();
            (format!("{low}\n{high}"), numbers)
        };
        self.talks.iter().map(kept).collect()
    }

    /// Every promise that was broken, once everything is said and heard.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        for ((from, to), talk) in &self.talks {
            let name = format!("{from} to {to}");
            let numbers: Vec<u64> = talk.came.iter().map(|(seq, _)| *seq).collect();
            let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
            if numbers != expected {
                let mut odd = numbers.iter().zip(&expected).filter(|(a, b)| a != b);
                wrong.push(format!(
                    "{name}: {} came, numbered otherwise than 1, 2, 3…: {:?}",
                    numbers.len(),
                    odd.next()
                ));
            }
            let came: HashMap<&String, u64> =
                talk.came.iter().map(|(seq, id)| (id, *seq)).collect();
            if came.len() < talk.came.len() {
                wrong.push(format!("{name}: a message came under two numbers"));
            }
            for (id, seq) in &talk.acknowledged {
                match came.get(id) {
                    None => wrong.push(format!("{name}: {seq} {id} was acknowledged and is lost")),
                    Some(other) if other != seq => wrong.push(format!(
                        "{name}: {id} was acknowledged as {seq} and came as {other}"
                    )),
                    Some(_) => {}
                }
            }
            let ordered = talk.sent.iter().filter(|id| !self.unordered.contains(*id));
            let order: Vec<u64> = ordered.filter_map(|id| came.get(id).copied()).collect();
            if !order.is_sorted() {
                wrong.push(format!("{name}: out of order"));
            }
        }
        wrong
    }
}

/// Everybody, and what they know.
#[derive(Clone, Default)]
pub(crate) struct People {
    ledger: Arc<Mutex<Ledger>>,
    /// Nobody sends anything new.
    silent: Arc<AtomicBool>,
}

impl People {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Release);
    }

    /// Starts senders and receivers on every transport, with outboxes in a directory.
    pub(crate) async fn come(&self, at: &Addresses, dir: &Path, dice: &mut Dice) {
        let urls = [
            ("tcp", format!("tcp://{}", at.tcp.unwrap())),
            ("udp", format!("udp://{}", at.udp.unwrap())),
            ("ws", format!("ws://{}/websocket", at.ws.unwrap())),
        ];
        for (number, (_, url)) in urls.iter().enumerate().take(RECEIVERS) {
            let user = format!("receiver-{number}");
            let (client, events) = connect(url, &user, &dir.join(&user)).await;
            tokio::spawn(self.clone().receive(user, client, events));
        }
        for (name, url) in &urls {
            let user = format!("sender-{name}");
            let (client, events) = connect(url, &user, &dir.join(&user)).await;
            let waiting = Arc::new(AtomicUsize::new(0));
            let told = self
                .clone()
                .hear(user.clone(), client.clone(), events, waiting.clone());
            tokio::spawn(told);
            tokio::spawn(self.clone().send(user, client, waiting, dice.next()));
        }
    }

    async fn send(self, user: String, client: Client, waiting: Arc<AtomicUsize>, seed: u64) {
        let mut dice = Dice::new(seed);
        loop {
            let wait =
                self.silent.load(Ordering::Acquire) || waiting.load(Ordering::Acquire) >= WINDOW;
            if wait {
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            let to = format!("receiver-{}", dice.below(RECEIVERS));
            let text = "x".repeat(1 + dice.below(600));
            waiting.fetch_add(1, Ordering::AcqRel);
            // Held while it is handed over: its acknowledgement must not come first.
            let id = dice.uuid();
            let message = tidings_client::Message::new(&to, text).id(&id);
            let talk = (user.clone(), to);
            self.ledger().hand_over(talk, id);
            if let Err(error) = client.send_message(message).await {
                self.ledger()
                    .wrong
                    .push(format!("{user} cannot send: {error}"));
                return;
            }
        }
    }

    async fn hear(
        self,
        user: String,
        client: Client,
        mut events: Events,
        waiting: Arc<AtomicUsize>,
    ) {
        while let Some(event) = events.next().await {
            match event {
                Event::Acknowledged { id, seq } => {
                    waiting.fetch_sub(1, Ordering::AcqRel);
                    self.ledger().acknowledge(&user, &id, seq);
                }
                Event::Error { .. } if user != PATIENT => self.ledger().refused(&user),
                Event::Lost { id } => {
                    let words = format!("{user}: {id} was refused for good");
                    self.ledger().wrong.push(words);
                }
                Event::Refused { .. } | Event::Kicked { .. } => again(&client).await,
                _ => {}
            }
        }
    }

    async fn receive(self, user: String, client: Client, mut events: Events) {
        while let Some(event) = events.next().await {
            match event {
                Event::Message(message) => {
                    let pair = (message.from.to_string(), user.clone());
                    let mut ledger = self.ledger();
                    let talk = ledger.talks.entry(pair).or_default();
                    talk.came
                        .push((message.seq.unwrap_or(0), message.id.to_string()));
                }
                Event::Refused { .. } | Event::Kicked { .. } => again(&client).await,
                _ => {}
            }
        }
    }
}

async fn connect(url: &str, user: &str, outbox: &Path) -> (Client, Events) {
    let window = if user == PATIENT { 1 } else { WINDOW };
    let client = Client::builder(url).user(user).outbox(outbox);
    let client = client.window(window);
    let client = client.resend_after(Duration::from_millis(700));
    let client = client.backoff_max(Duration::from_millis(300));
    client
        .heartbeat(Duration::from_secs(1))
        .loss_timeout(Duration::from_secs(4))
        .connect()
        .await
        .unwrap()
}

/// A login was refused: a store in trouble refuses those that it would have to write.
async fn again(client: &Client) {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = client.log_in(None).await; // an error: it is over
}
