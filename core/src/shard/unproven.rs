//! What may be sent to a UDP address that has proved nothing: anybody can send a datagram in its name.
//! At most [`limits::UNPROVEN_FACTOR`] times the bytes that came from it, headers counted, as in QUIC
//! (RFC 9000 §8.1), and so many datagrams a second for each network, whoever asks for them. The first
//! valid acknowledgement of a message is the proof.
//!
//! One place for all of it: what the shard wants sent is looked through when an input is dealt with,
//! and what is not paid for is dropped, as if the network had lost it.

use std::borrow::Cow;

use super::frames::{answer_to_stranger, encoded};
use super::{Action, Shard};
use crate::bucket::{Buckets, Rate};
use crate::ids::LinkId;
use crate::limits;
pub use crate::session::Path;
use crate::session::Unproven;
use crate::time::Now;
use crate::wire::code;
use crate::wire::mobileimsdk::{self, Frame};

/// What all such addresses share.
#[derive(Debug)]
pub(super) struct Strangers {
    rates: Buckets<u128>,
    /// Sessions whose address has proved nothing.
    pub(super) count: usize,
    /// Those that ended during this input: what they are told last is paid for, too.
    pub(super) departed: Vec<(LinkId, Box<Unproven>)>,
}

impl Strangers {
    pub(super) fn new() -> Strangers {
        let rate = Rate {
            burst: limits::UNPROVEN_DATAGRAMS_PER_NETWORK,
            refill_ms: limits::UNPROVEN_DATAGRAMS_PER_NETWORK_REFILL_MS,
        };
        Strangers {
            rates: Buckets::new(rate, limits::UNPROVEN_NETWORKS_REMEMBERED_MAX),
            count: 0,
            departed: Vec::new(),
        }
    }

    fn may_send(&mut self, now: Now, path: Path) -> bool {
        let spent = path
            .network
            .map(|network| self.rates.spend(now.mono, network));
        spent.is_none_or(|spent| spent.wait_ms == 0)
    }
}

/// Answers that a logged-in client waits for: paid for by what they answer, and not counted for the
/// network, or many clients behind one router would seem to be gone.
fn is_owed(action: &Action) -> bool {
    match action {
        Action::Send { frame, .. } => frame.kind == code::KEEPALIVE_ANSWER,
        Action::Acknowledge { .. } => true,
        _ => false,
    }
}

/// To which link, and in how many bytes, a driver sends this.
fn sent(scratch: &mut Vec<u8>, now: Now, action: &Action) -> Option<(LinkId, usize)> {
    match action {
        Action::Send { link, frame } => {
            scratch.clear();
            let stamped = Frame {
                sm: now.wall_ms,
                ..(**frame).clone()
            };
            mobileimsdk::encode(&stamped, scratch);
            Some((*link, scratch.len()))
        }
        Action::Acknowledge {
            link,
            id,
            from,
            to,
            seq,
            time_ms,
            extended,
        } => {
            let frame = Frame {
                kind: code::RECEIVED,
                data: Some(Cow::Borrowed(id)),
                from: Some(Cow::Borrowed(from)),
                to: Some(Cow::Borrowed(to)),
                typeu: -1,
                sm: -1,
                ..Frame::default()
            };
            let extension = extended.then_some((*seq, *time_ms));
            Some((*link, encoded(scratch, &frame, extension)))
        }
        Action::Deliver {
            link,
            message,
            form,
            ..
        } => Some((*link, mobileimsdk::lengths(message, scratch).of(*form))),
        _ => None,
    }
}

impl Shard {
    /// A datagram from an address without a session: a short `301` to what demands a login, if it is
    /// paid for; nothing to anything else.
    pub fn stranger(
        &mut self,
        now: Now,
        path: Path,
        frame: &Frame<'_>,
        bytes: usize,
    ) -> Option<Box<Frame<'static>>> {
        let answer = answer_to_stranger(frame)?;
        let mut unproven = Unproven::new(path);
        unproven.heard(bytes);
        let stamped = Frame {
            sm: now.wall_ms,
            ..(*answer).clone()
        };
        let bytes = encoded(&mut self.scratch, &stamped, None);
        let pays = unproven.cost(bytes) <= unproven.credit && self.strangers.may_send(now, path);
        pays.then_some(answer)
    }

    /// A datagram came on a link.
    pub(super) fn earn(&mut self, link: LinkId, bytes: usize) {
        if let Some(session) = self.session_mut(link)
            && let Some(unproven) = &mut session.unproven
        {
            unproven.heard(bytes);
        }
    }

    /// Drops, of the actions from `first` on, what goes to addresses that did not pay for it.
    pub(super) fn withhold(&mut self, now: Now, first: usize, actions: &mut Vec<Action>) {
        if self.strangers.count == 0 && self.strangers.departed.is_empty() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = first;
        while let Some(action) = actions.get(at) {
            if self.is_paid(now, &mut scratch, action) {
                at += 1;
            } else if let Action::Deliver { link, message, .. } = actions.remove(at)
                && let Some(session) = self.session_mut(link)
                && let Some(flow) = &mut session.flow
            {
                flow.not_sent(now.mono, &message);
            }
        }
        self.scratch = scratch;
        self.strangers.departed.clear();
    }

    fn is_paid(&mut self, now: Now, scratch: &mut Vec<u8>, action: &Action) -> bool {
        let (Action::Send { link, .. }
        | Action::Acknowledge { link, .. }
        | Action::Deliver { link, .. }) = action
        else {
            return true;
        };
        let link = *link;
        if !self.owes_proof(link) {
            return true;
        }
        let Some((_, bytes)) = sent(scratch, now, action) else {
            return true;
        };
        let Some((cost, path)) = self.unproven(link).and_then(|unproven| {
            let cost = unproven.cost(bytes);
            (cost <= unproven.credit).then_some((cost, unproven.path))
        }) else {
            return false;
        };
        if !is_owed(action) && !self.strangers.may_send(now, path) {
            return false;
        }
        if let Some(unproven) = self.unproven(link) {
            unproven.credit -= cost;
        }
        true
    }

    fn owes_proof(&mut self, link: LinkId) -> bool {
        self.unproven(link).is_some()
    }

    fn unproven(&mut self, link: LinkId) -> Option<&mut Unproven> {
        if self.knows(link) {
            return self.session_mut(link)?.unproven.as_deref_mut();
        }
        let mut departed = self.strangers.departed.iter_mut();
        departed
            .find(|(l, _)| *l == link)
            .map(|(_, unproven)| &mut **unproven)
    }
}
