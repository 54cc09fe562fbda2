//! The window of one session and the conversations that it works through.

use std::collections::{BTreeSet, VecDeque};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::aside::Aside;
use super::rules::{Passing, WindowRules};
use super::track::Track;
use crate::custody::{Backlog, Loaded, Unanswered, Want};
use crate::ids::{ConversationId, Name};
use crate::limits;
use crate::message::MessageRef;
use crate::time::Time;

/// A message that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Which.
    pub message: MessageRef,
}

/// What became of a message in flight whose time was up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overdue {
    /// Send it again.
    Resend {
        /// Which.
        message: MessageRef,
        /// It was sent before, and not withheld.
        again: bool,
    },
    /// It ran through all its sends of this login; it comes again with the next one.
    Exhausted(MessageRef),
    /// It did so in so many logins that it is set aside for this device.
    SetAside(MessageRef),
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) message: MessageRef,
    /// For the first time.
    sent: Time,
    pub(super) last_sent: Time,
    due: Time,
    wait_ms: u64,
    pub(super) sends: u32,
    /// It stepped aside and is alone in flight until it is answered or sent again.
    pub(super) trial: bool,
}

/// Everything that one session has to receive.
#[derive(Debug, Default)]
pub struct Flow {
    /// By conversation number.
    pub(super) tracks: Vec<Track>,
    /// `(position of the next message, conversation)` of every track that is behind.
    behind: BTreeSet<(u64, ConversationId)>,
    /// In order of sending.
    pub(super) in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    /// What the load under way asked for; there is never more than one.
    loading: Option<Vec<Want>>,
    /// Acknowledged before they were sent on this login (sent on an earlier one): the message's id
    /// and sender. Only what lay behind at the login can be meant.
    early: VecDeque<(Name, Name)>,
    /// The last acknowledgements that counted. One that comes twice must not count for another
    /// message that happens to have the same id. As hashes, because there are many sessions: two
    /// that are equal by chance cost a second delivery.
    counted: VecDeque<u64>,
    /// When something was last sent or acknowledged.
    active: Time,
    /// Conversations in which something was acknowledged since [`Flow::take_moved`].
    moved: Vec<ConversationId>,
    /// Stepped aside, and waiting for their trials.
    pub(super) aside: Vec<Aside>,
    /// A trial is under way or wants to begin.
    pub(super) trying: bool,
    /// Something in flight or behind is suspected of ending links.
    pub(super) cautious: bool,
}

/// Messages asked for beyond what the window holds.
const LOAD_SLACK: usize = 4;

/// Acknowledgements are remembered by the message's id and the sender that they name, up to a bound.
///
/// Early ones: before anything is known of the session's backlog, or while some of it is in the
/// store, the client may acknowledge what an earlier login sent it.
fn remember<T>(list: &mut VecDeque<T>, said: T) {
    if list.len() >= limits::EARLY_ACKS_MAX {
        list.pop_front();
    }
    list.push_back(said);
}

/// An acknowledgement, by the message's id and the sender that it names.
fn hash_of(id: &str, from: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), xxh3_64(from.as_bytes()))
}

fn weight(message: &MessageRef) -> usize {
    message.body.len() + 128
}

impl Flow {
    /// Takes over what lies behind: at login, or of a session that may have missed something. What
    /// is known to the session is known better here; only where a track began while the backlog
    /// was read is it not known where the device stands.
    pub fn begin(&mut self, backlog: &Backlog) {
        for behind in &backlog.behind {
            let cursor = &behind.cursor;
            let found = self.find(cursor.conversation);
            // Raised while the backlog was read: the store's view is the older one.
            let raised = found.map_or(0, |at| self.tracks[at].head);
            let track = Track {
                conversation: cursor.conversation,
                acked: cursor.acked,
                sparse: cursor.sparse.clone(),
                sent: cursor.acked,
                head: behind.head.max(raised),
                began: behind.head,
                next: behind.next,
                in_flight: 0,
                provisional: Vec::new(),
                unanswered: cursor.unanswered.clone(),
            };
            match found {
                Ok(at) if self.tracks[at].is_provisional() => self.tracks[at] = track,
                Ok(_) => {}
                Err(at) => self.tracks.insert(at, track),
            }
        }
        for track in self.tracks.iter_mut().filter(|t| t.is_provisional()) {
            track.begin_settled(backlog.upto);
        }
        let behind = self.tracks.iter().filter(|t| t.is_behind());
        self.behind = behind.map(|t| (t.next, t.conversation)).collect();
        self.look_for_suspects();
    }

    fn find(&self, conversation: ConversationId) -> Result<usize, usize> {
        self.tracks
            .binary_search_by_key(&conversation, |t| t.conversation)
    }

    pub(super) fn track_mut(&mut self, conversation: ConversationId) -> Option<&mut Track> {
        self.find(conversation).ok().map(|at| &mut self.tracks[at])
    }

    /// The track of a conversation, if something in it is not settled.
    #[must_use]
    pub fn track(&self, conversation: ConversationId) -> Option<&Track> {
        self.find(conversation).ok().map(|at| &self.tracks[at])
    }

    /// A message was committed. `live`: the backlog is known. Returns true if the message is the
    /// next one and the window has room, so that the caller decides with [`Flow::pass`]; otherwise
    /// it will be loaded.
    #[must_use]
    pub fn raise(&mut self, message: &MessageRef, live: bool, rules: &WindowRules) -> bool {
        let conversation = message.conversation;
        let at = match self.find(conversation) {
            Ok(at) => at,
            Err(at) => {
                let mut track = Track::starting_at(conversation, message.seq, message.position);
                if !live {
                    track.rise_provisionally(message.seq, message.position);
                }
                self.tracks.insert(at, track);
                at
            }
        };
        let track = &mut self.tracks[at];
        if message.seq <= track.head {
            return false; // the load that was under way has seen it
        }
        if track.is_provisional() {
            track.rise_provisionally(message.seq, message.position);
        }
        let was_behind = track.is_behind();
        track.head = message.seq;
        if was_behind {
            return false;
        }
        track.next = message.position;
        let is_next = track.sent + 1 == message.seq;
        // Nothing older may wait in another conversation: older before newer.
        if live
            && is_next
            && self.behind.is_empty()
            && self.loading.is_none()
            && self.has_room(at, rules)
        {
            return true;
        }
        self.behind.insert((message.position, conversation));
        false
    }

    /// The head rises while the backlog is being read.
    pub fn rise(&mut self, message: &MessageRef) {
        if let Some(track) = self.track_mut(message.conversation) {
            track.head = track.head.max(message.seq);
            if track.is_provisional() {
                track.rise_provisionally(message.seq, message.position);
            }
        }
    }

    fn has_room(&self, at: usize, rules: &WindowRules) -> bool {
        self.in_flight.len() < self.messages_max(rules.messages_max)
            && (self.in_flight.is_empty() || self.in_flight_bytes < rules.bytes_max)
            && self.tracks[at].in_flight < rules.per_conversation_max
    }

    /// Deals with the message after `sent` of its conversation. Returns it if it must be sent now.
    pub fn pass(
        &mut self,
        now: Time,
        message: &MessageRef,
        passing: Passing,
    ) -> Option<MessageRef> {
        let at = self.find(message.conversation).ok()?;
        if message.seq <= self.tracks[at].sent {
            return None;
        }
        if message.seq > self.tracks[at].sent + 1 {
            self.tracks[at].skip_missing(message.seq - 1);
        }
        let track = &mut self.tracks[at];
        track.sent = message.seq;
        // A lower bound: enough to serve older conversations first.
        track.next = message.position + 1;
        if track.is_settled(message.seq) {
            return None;
        }
        // A message from after the login cannot have been acknowledged before it was sent.
        let fits = |(id, from): &(Name, Name)| *id == message.id && *from == message.from;
        let early = match message.seq <= track.began {
            true => self.early.iter().position(fits),
            false => None,
        };
        if passing == Passing::Settle || early.is_some() {
            track.settle(message.seq);
            early.map(|at| self.early.remove(at));
            return None;
        }
        if passing == Passing::Leave {
            return None;
        }
        if track
            .unanswered(message.seq)
            .is_some_and(Unanswered::is_aside)
        {
            self.keep_aside(message);
            return None;
        }
        self.put_in_flight(now, message, false);
        Some(message.clone())
    }

    pub(super) fn put_in_flight(&mut self, now: Time, message: &MessageRef, trial: bool) {
        if let Some(track) = self.track_mut(message.conversation) {
            track.in_flight += 1;
        }
        self.active = now;
        self.in_flight_bytes += weight(message);
        self.in_flight.push_back(InFlight {
            message: message.clone(),
            sent: now,
            last_sent: now,
            due: now + limits::RESEND_FIRST_MS,
            wait_ms: limits::RESEND_FIRST_MS,
            sends: 1,
            trial,
        });
    }

    /// What to load next, oldest first, and how many messages at most; `None` if nothing is behind,
    /// the window is more than half full, or a load is under way. The caller must answer with
    /// [`Flow::loaded`].
    pub fn wants(&mut self, rules: &WindowRules) -> Option<(Vec<Want>, usize)> {
        let messages_max = self.messages_max(rules.messages_max);
        let half_full = self.in_flight.len() * 2 > messages_max.max(2)
            || self.in_flight_bytes * 2 > rules.bytes_max;
        if self.loading.is_some() || half_full || self.in_flight.len() >= messages_max {
            return None;
        }
        let mut wants = Vec::new();
        let mut room = 0;
        for (_, conversation) in &self.behind {
            let Some(track) = self.track(*conversation) else {
                continue;
            };
            if track.in_flight >= rules.per_conversation_max {
                continue;
            }
            room += rules.per_conversation_max - track.in_flight;
            wants.push(Want {
                conversation: *conversation,
                after: track.sent,
                upto: track.head,
            });
            if wants.len() >= limits::LOAD_CONVERSATIONS_MAX {
                break;
            }
        }
        if wants.is_empty() {
            return None;
        }
        self.loading = Some(wants.clone());
        // Own and settled messages take no room: ask for a few more than fit.
        let fits = room.min(messages_max - self.in_flight.len()) + LOAD_SLACK;
        Some((wants, fits))
    }

    /// True if this is what the load under way asked for, and not one of a login before.
    #[must_use]
    pub fn expects(&self, wants: &[Want]) -> bool {
        self.loading.as_deref() == Some(wants)
    }

    /// The answer to [`Flow::wants`], if it is [expected](Flow::expects).
    /// Calls `decide` for each message that is next in its conversation and pushes what must be
    /// sent now.
    pub fn loaded(
        &mut self,
        now: Time,
        wants: &[Want],
        loaded: &Loaded,
        rules: &WindowRules,
        mut decide: impl FnMut(&MessageRef) -> Passing,
        sending: &mut Vec<MessageRef>,
    ) {
        self.loading = None;
        for want in wants {
            if let Ok(at) = self.find(want.conversation) {
                self.behind
                    .remove(&(self.tracks[at].next, want.conversation));
            }
        }
        // Conversations whose next message found no room, and where it lies.
        let mut stopped: Vec<(ConversationId, u64)> = Vec::new();
        for message in &loaded.messages {
            let Ok(at) = self.find(message.conversation) else {
                continue;
            };
            if stopped.iter().any(|(c, _)| *c == message.conversation) {
                continue;
            }
            let settled = self.tracks[at].is_settled(message.seq);
            let passing = if settled {
                Passing::Settle
            } else {
                decide(message)
            };
            if passing == Passing::Send && !self.has_room(at, rules) {
                stopped.push((message.conversation, message.position));
                continue;
            }
            sending.extend(self.pass(now, message, passing));
        }
        for (want, next) in wants.iter().zip(&loaded.next) {
            let Ok(at) = self.find(want.conversation) else {
                continue;
            };
            let track = &mut self.tracks[at];
            let stop = stopped
                .iter()
                .find(|(c, _)| *c == want.conversation)
                .map(|(_, p)| *p);
            match stop.or(*next) {
                Some(position) => track.next = position,
                // Retention removed the rest of what was wanted: nothing waits for it.
                None if track.sent < want.upto => track.skip_missing(want.upto),
                None => {}
            }
            if track.is_behind() {
                self.behind.insert((track.next, want.conversation));
            }
        }
        if self.cautious {
            self.look_for_suspects();
        }
    }

    /// The load could not be done; it will be asked for again.
    pub fn load_failed(&mut self) {
        self.loading = None;
    }

    /// The client acknowledged `id`; `from` is the sender that it named, to tell two messages with
    /// one id apart. Returns what was acknowledged, `None` if nothing in flight has this id.
    pub fn acknowledge(&mut self, now: Time, id: &str, from: Option<&str>) -> Option<Acked> {
        let fits = |f: &InFlight| *f.message.id == *id;
        let exact = |f: &InFlight| fits(f) && from.is_some_and(|from| *f.message.from == *from);
        // Acknowledgements come in the order of sending: nearly always it is the first.
        let at = match self.in_flight.front() {
            Some(front) if exact(front) => Some(0),
            _ => self.in_flight.iter().position(exact),
        };
        let said = hash_of(id, from.unwrap_or_default());
        let at = match at {
            Some(at) => at,
            None if self.counted.contains(&said) => return None,
            None => match self.in_flight.iter().position(fits) {
                Some(at) => at,
                None => {
                    let acked = self.acknowledge_aside(id, from);
                    let said = (Name::from(id), Name::from(from.unwrap_or_default()));
                    if acked.is_none() && !self.early.contains(&said) {
                        remember(&mut self.early, said);
                    }
                    return acked;
                }
            },
        };
        let done = self.in_flight.remove(at)?;
        self.active = now;
        remember(&mut self.counted, said);
        self.in_flight_bytes -= weight(&done.message);
        let conversation = done.message.conversation;
        if let Some(track) = self.track_mut(conversation) {
            track.in_flight -= 1;
            track.settle(done.message.seq);
        }
        if self.cautious {
            self.look_for_suspects();
        }
        self.trying &= !done.trial;
        self.moved(conversation);
        Some(Acked {
            message: done.message,
        })
    }

    /// Something was acknowledged in a conversation.
    pub(super) fn moved(&mut self, conversation: ConversationId) {
        // Nearly always the last one; one that is there twice is only told twice.
        if self.moved.last() != Some(&conversation) {
            self.moved.push(conversation);
        }
    }

    /// The conversations in which something was acknowledged, since this was last asked.
    pub fn take_moved(&mut self) -> Vec<ConversationId> {
        std::mem::take(&mut self.moved)
    }

    /// The device's own message was committed: settled without sending. Returns true if there is a
    /// track for it that has to be remembered.
    pub fn settle_own(&mut self, message: &MessageRef) -> bool {
        let Some(track) = self.track_mut(message.conversation) else {
            return false;
        };
        if message.seq > track.head {
            let was_behind = track.is_behind();
            track.head = message.seq;
            if track.sent + 1 == message.seq {
                track.sent = message.seq;
            } else if !was_behind {
                track.next = message.position;
                let entry = (track.next, track.conversation);
                self.behind.insert(entry);
            }
        }
        self.track_mut(message.conversation)
            .is_some_and(|t| t.settle(message.seq))
    }

    /// Drops the track of a conversation in which nothing is left to do.
    pub fn forget_if_done(&mut self, conversation: ConversationId) {
        if let Ok(at) = self.find(conversation)
            && self.tracks[at].is_done()
            && self.tracks[at].in_flight == 0
        {
            let track = self.tracks.remove(at);
            self.behind.remove(&(track.next, conversation));
        }
    }

    /// Drops every track that is done; returns the conversations that remain.
    pub fn forget_done(&mut self) {
        let behind = &mut self.behind;
        self.tracks.retain(|t| {
            let keep = !t.is_done() || t.in_flight > 0;
            if !keep {
                behind.remove(&(t.next, t.conversation));
            }
            keep
        });
    }

    /// Forgets which acknowledgements counted if nothing was sent or acknowledged for
    /// [`limits::FLOW_FADE_MS`]: until then the network may double one. True if nothing is left of
    /// them.
    pub fn fade(&mut self, now: Time) -> bool {
        if now >= self.active + limits::FLOW_FADE_MS {
            self.counted.clear();
        }
        self.counted.is_empty()
    }

    /// Looks at what is in flight.
    pub fn overdue(&mut self, now: Time) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        let mut at = 0;
        while at < self.in_flight.len() {
            let entry = &mut self.in_flight[at];
            if entry.due > now {
                at += 1;
                continue;
            }
            if entry.sends < limits::SENDS_PER_LOGIN_MAX {
                let again = entry.sends > 0;
                entry.sends += 1;
                entry.wait_ms = (entry.wait_ms * 2).min(limits::RESEND_WAIT_MS_MAX);
                entry.due = now + entry.wait_ms;
                entry.last_sent = now;
                // It has not killed its receiver so far: others may go on beside it.
                self.trying &= !std::mem::take(&mut entry.trial);
                self.active = now;
                let message = entry.message.clone();
                overdue.push(Overdue::Resend { message, again });
                at += 1;
                continue;
            }
            let Some(done) = self.in_flight.remove(at) else {
                break;
            };
            self.in_flight_bytes -= weight(&done.message);
            let (conversation, seq) = (done.message.conversation, done.message.seq);
            let Some(track) = self.track_mut(conversation) else {
                continue;
            };
            track.in_flight -= 1;
            self.trying &= !done.trial;
            let Some(track) = self.track_mut(conversation) else {
                continue;
            };
            if track.count_unanswered(seq) >= limits::LOGINS_UNANSWERED_MAX {
                track.settle(seq);
                overdue.push(Overdue::SetAside(done.message));
            } else {
                overdue.push(Overdue::Exhausted(done.message));
            }
        }
        if self.cautious {
            self.look_for_suspects();
        }
        overdue
    }

    /// What was just to be sent was withheld: that counts as no sending, and it is tried again.
    pub fn not_sent(&mut self, now: Time, message: &MessageRef) {
        let is_it = |entry: &&mut InFlight| entry.message.position == message.position;
        if let Some(entry) = self.in_flight.iter_mut().find(is_it) {
            entry.sends = entry.sends.saturating_sub(1);
            entry.wait_ms = limits::RESEND_FIRST_MS;
            entry.due = now + limits::RESEND_FIRST_MS;
        }
    }

    /// When [`Flow::overdue`] will next have something to say.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.in_flight.iter().map(|f| f.due).min()
    }

    /// Since when something has been in flight without a break.
    #[must_use]
    pub fn in_flight_since(&self) -> Option<Time> {
        self.in_flight.iter().map(|f| f.sent).min()
    }

    /// True if there is nothing to wait for, so that the flow need not exist.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tracks.is_empty() && self.in_flight.is_empty() && self.loading.is_none()
    }
}
