//! The pages that poll one session: tabs of a browser, which share its cookie. Nothing that a page
//! says tells it from another, so each has a *reader* here, a place in the session's line.
//!
//! - A poll goes on as a reader that does not poll: one whose answer is known to have come, or that
//!   was answered last; if all poll it is one more, and stands where they stand. A login announces
//!   one, which begins with what has not arrived.
//! - Packets wait for readers that were just answered until these poll again, so that all stand at
//!   the same place and it does not matter which is taken for which.
//! - A reader's place moves when the answer that it was given has arrived. If of several that are
//!   expected back one stands further behind, all do: a packet twice is better than none.

use std::time::Duration;

use tidings_core::limits;
use tidings_core::wire::ocim::Packet;
use tokio::time::Instant;

use super::line::{Done, Item, Line};
use crate::transport::watched::Written;

const AWAITED: Duration = Duration::from_millis(limits::OCIM_TAB_AWAITED_MS_MAX);

/// The number of a reader, within its session.
pub(super) type ReaderId = u64;

/// Which answers the cookies say have come: the reader's slot, and a packet's number.
pub(super) type Seen = Vec<(usize, u64)>;

/// An answer to a poll.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) reader: ReaderId,
    /// Whose cookie says that the answer has come.
    pub(super) slot: usize,
    /// How things stand, for a page that has just been opened.
    pub(super) context: Vec<Packet>,
    /// What stands before the packets.
    pub(super) before: u64,
    pub(super) items: Vec<Item>,
}

impl Told {
    /// Number of the last packet.
    pub(super) fn upto(&self) -> u64 {
        self.items.last().map_or(self.before, |item| item.seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.context.is_empty()
    }
}

/// What becomes of a poll now.
#[derive(Debug)]
pub(super) enum Look {
    Answer(Told),
    /// Nothing before then, unless something changes.
    Wait(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It polls.
    Held,
    /// It was answered, or announced, and polls next.
    Next,
    /// Its poll was broken off.
    Away,
}

/// An answer of which is not known whether it arrived.
#[derive(Debug, Clone)]
struct Given {
    upto: u64,
    /// Over which connection, and after how many of its bytes. `None` until it is written.
    written: Option<(Written, u64)>,
}

#[derive(Debug)]
struct Reader {
    id: ReaderId,
    slot: usize,
    /// Up to here the page has everything.
    upto: u64,
    given: Option<Given>,
    /// Up to here the browser has what this reader was given, as its cookies say: those of any of its
    /// tabs, which share them.
    seen: u64,
    context: Vec<Packet>,
    place: Place,
    /// Since when it is there.
    since: Instant,
    /// It has polled.
    known: bool,
}

impl Reader {
    /// Where it stands if its last answer arrived.
    fn likely(&self) -> u64 {
        self.given.as_ref().map_or(self.upto, |given| given.upto)
    }

    /// Its last answer has come, as the cookies say.
    fn is_seen(&self) -> bool {
        self.seen >= self.likely()
    }

    fn is_awaited(&self, now: Instant) -> bool {
        self.place == Place::Next && now < self.since + AWAITED
    }
}

/// Whether the browser brings back the cookies that answers set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cookies {
    /// It has not yet brought one.
    Unknown,
    Kept,
    /// Too many answers in a row came by their connections and not by their cookies: whoever asks sends
    /// the same cookies whatever he is told.
    Fixed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Readers {
    all: Vec<Reader>,
    newest: ReaderId,
    cookies: Cookies,
    doubts: u32,
}

impl Readers {
    pub(super) fn new() -> Readers {
        Readers {
            all: Vec::new(),
            newest: 0,
            cookies: Cookies::Unknown,
            doubts: 0,
        }
    }

    /// Whether it is not known yet if the browser keeps cookies.
    pub(super) fn asks_for_cookie(&self) -> bool {
        self.cookies == Cookies::Unknown
    }

    /// A page has logged in and will poll: it is told `context` first.
    pub(super) fn announce(&mut self, line: &Line, context: Vec<Packet>) {
        if self.has_room() {
            let reader = self.add(line.arrived_upto());
            reader.context = context;
        }
    }

    fn has_room(&mut self) -> bool {
        if self.all.len() < limits::OCIM_TABS_MAX {
            return true;
        }
        let gone = self.all.iter().filter(|r| r.place != Place::Held);
        let gone = gone.min_by_key(|r| r.since).map(|r| r.id);
        self.all.retain(|r| Some(r.id) != gone);
        gone.is_some()
    }

    fn add(&mut self, upto: u64) -> &mut Reader {
        self.newest += 1;
        let taken = |slot: &usize| self.all.iter().any(|r| r.slot == *slot);
        let slot = (0..).find(|slot| !taken(slot)).unwrap_or_default();
        self.all.push(Reader {
            id: self.newest,
            slot,
            upto,
            given: None,
            seen: 0,
            context: Vec::new(),
            place: Place::Next,
            since: Instant::now(),
            known: false,
        });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    fn get(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.all.iter_mut().find(|reader| reader.id == id)
    }

    /// A poll comes: the reader that it goes on as. `None` if there are too many.
    pub(super) fn take(&mut self, line: &Line, life: Duration, seen: &Seen) -> Option<ReaderId> {
        let now = Instant::now();
        self.learn(seen);
        self.all
            .retain(|r| r.place == Place::Held || now < r.since + life);
        let back = self.all.iter().filter(|r| r.place != Place::Held);
        // Tabs share their cookies: one that has its answer is not taken for one that waits for its.
        let back = back.max_by_key(|r| (r.is_awaited(now), r.is_seen(), r.since, r.id));
        let id = match back.map(|reader| reader.id) {
            Some(id) => id,
            None if self.has_room() => {
                let held = self.all.iter().map(|reader| reader.upto).min();
                self.add(held.unwrap_or(line.arrived_upto())).id
            }
            None => return None,
        };
        if let Some(reader) = self.get(id) {
            reader.place = Place::Held;
            reader.known = true;
        }
        Some(id)
    }

    /// What the cookies of a poll say.
    fn learn(&mut self, seen: &Seen) {
        if self.cookies == Cookies::Unknown && !seen.is_empty() {
            self.cookies = Cookies::Kept;
        }
        for (slot, number) in seen {
            for reader in self.all.iter_mut().filter(|r| r.slot == *slot) {
                reader.seen = reader.seen.max(*number);
            }
        }
    }

    /// The answer that this reader was given last: over which connection, and after how many of its
    /// bytes; the inner `None` until it is written.
    pub(super) fn given(&mut self, id: ReaderId) -> Option<Option<(Written, u64)>> {
        let given = self.get(id)?.given.clone()?;
        Some(given.written)
    }

    /// It is known what the poll confirms: `ack` is what the page says, `written` whether the last
    /// answer was. What is to be done.
    pub(super) fn settle(
        &mut self,
        id: ReaderId,
        line: &Line,
        ack: Option<u64>,
        written: bool,
    ) -> Vec<Done> {
        let Some(reader) = self.all.iter_mut().find(|reader| reader.id == id) else {
            return Vec::new();
        };
        let given = reader.given.take();
        match (ack, given) {
            (Some(ack), given) => {
                reader.upto = ack.min(line.sent());
                if given.is_some() {
                    reader.context.clear();
                }
            }
            (None, Some(given)) => {
                let seen = given.upto == reader.upto || reader.seen >= given.upto;
                let arrived = match (self.cookies, written) {
                    (Cookies::Kept, true) => {
                        self.doubts = if seen { 0 } else { self.doubts + 1 };
                        if self.doubts > limits::OCIM_ANSWERS_AGAIN_MAX {
                            self.cookies = Cookies::Fixed;
                        }
                        seen || self.cookies == Cookies::Fixed
                    }
                    (_, written) => written,
                };
                if arrived {
                    reader.upto = given.upto;
                    reader.context.clear();
                }
            }
            (None, None) => {}
        }
        let mut upto = reader.upto;
        let done = line.arrived(upto);
        if ack.is_none() {
            upto = self.level(id, upto);
        }
        if let Some(reader) = self.get(id) {
            reader.upto = upto;
        }
        line.forget(self.all.iter().map(|r| r.upto).min().unwrap_or(0));
        done
    }

    /// Of those that are expected back nobody knows which this one is: all stand where the last of
    /// them does.
    fn level(&mut self, id: ReaderId, upto: u64) -> u64 {
        let now = Instant::now();
        let others = |r: &&mut Reader| r.id != id && r.known && r.is_awaited(now);
        let likely = self.all.iter_mut().filter(others).map(|r| r.likely());
        let lowest = likely.min().unwrap_or(upto).min(upto);
        for other in self.all.iter_mut().filter(others) {
            if other.likely() > lowest {
                other.upto = lowest;
                other.given = None;
            }
        }
        lowest
    }

    /// What this poll is told by now, if it ends at `until`.
    pub(super) fn look(&mut self, id: ReaderId, line: &Line, until: Instant) -> Look {
        let now = Instant::now();
        let (newest, closed) = (line.newest(), line.is_closed());
        let others = self.all.iter().filter(|r| r.id != id && r.is_awaited(now));
        let awaited = others.filter(|r| r.likely() < newest);
        let awaited = awaited.map(|r| r.since + AWAITED).min();
        let awaited = awaited.filter(|_| !closed);
        let Some(reader) = self.get(id) else {
            return Look::Answer(Told::default());
        };
        let waits = newest > reader.upto;
        let ends = closed || now >= until || !reader.context.is_empty();
        match awaited.filter(|_| waits) {
            None if waits || ends => {}
            Some(_) if ends => {}
            awaited => return Look::Wait(awaited.map_or(until, |at| at.min(until))),
        }
        let items = match awaited {
            None => line.beyond(reader.upto),
            Some(_) => Vec::new(),
        };
        let told = Told {
            reader: id,
            slot: reader.slot,
            context: reader.context.clone(),
            before: reader.upto,
            items,
        };
        if !told.is_empty() {
            let upto = told.upto();
            let written = None;
            reader.given = Some(Given { upto, written });
        }
        reader.place = Place::Next;
        reader.since = now;
        Look::Answer(told)
    }

    /// The answer goes out over this connection and is written once so many of its bytes are.
    pub(super) fn answered(&mut self, id: ReaderId, upto: u64, written: (Written, u64)) {
        let given = self.get(id).and_then(|reader| reader.given.as_mut());
        if let Some(given) = given.filter(|given| given.upto == upto) {
            given.written.get_or_insert(written);
        }
    }

    /// A poll ends without an answer.
    pub(super) fn broken_off(&mut self, id: ReaderId) {
        if let Some(reader) = self.get(id) {
            reader.place = Place::Away;
            reader.since = Instant::now();
        }
    }
}
