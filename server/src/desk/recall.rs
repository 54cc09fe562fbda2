//! Recalling a message: first it is on disk that it is recalled, like everything that a desk
//! decides; then its text is taken out of the log. What a crash or a store that fails leaves between
//! the two is finished here.

use std::time::{Duration, Instant};

use tidings_core::desk::{AgentId, Asker, Event, Party, Refusal};
use tidings_core::ids::pair_key;
use tidings_core::wire::code;

use super::act::{Chat, DeskError};
use super::asking::answer;
use super::driver::{Batch, Driver, refusal};
use super::inbox::Reply;
use super::notice::{self, Notice};
use crate::store::Search;

/// How long after the store has failed it is asked again.
pub(super) const REDACT_AGAIN: Duration = Duration::from_secs(1);

/// A message by the key of its conversation and its number there.
pub(super) type Recalled = (String, u64);

/// Recalled messages that may have their text still.
#[derive(Debug, Default)]
pub(super) struct Unredacted {
    pub(super) messages: Vec<Recalled>,
    /// When the store is asked again, if it has failed.
    again_at: Option<Instant>,
}

impl Unredacted {
    pub(super) fn add(&mut self, message: Recalled) {
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }

    /// When there is something to do, if there is.
    pub(super) fn due_at(&self, now: Instant) -> Option<Instant> {
        (!self.messages.is_empty()).then(|| self.again_at.unwrap_or(now))
    }
}

impl Driver {
    /// An agent recalls what he wrote.
    pub(super) async fn recall(
        &mut self,
        agent: AgentId,
        chat: &Chat,
        id: &str,
        reply: Reply,
        batch: &mut Batch,
    ) {
        let named = match chat {
            Chat::Episode(episode) => Some(*episode),
            Chat::Customer(user) => self
                .episode(agent, chat)
                .or_else(|| self.ended_with(agent, |chat| chat.customer == *user)),
        };
        let known = named.and_then(|episode| Some((episode, self.chats.get(&episode)?.clone())));
        let Some((episode, names)) = known else {
            return answer(reply, Err(Refusal::NoEpisode.into()));
        };
        let search = Search {
            id: notice::authored(agent.0, id).into(),
            between: Some((names.address.clone(), names.customer.clone())),
        };
        let store = self.router.store().clone();
        let found = match self.router.blocking(move || store.find(&search)).await {
            Ok(found) => found,
            Err(error) => return answer(reply, Err(DeskError::Store(error.to_string()))),
        };
        let message = found.into_iter().next();
        let written = message.as_ref();
        let written = written.map(|m| (Party::Agent(agent), self.on_desk_clock(m.time_ms)));
        let seq = message.as_ref().map_or(0, |m| m.seq);
        let event = Event::Recall {
            by: Party::Agent(agent),
            episode,
            seq,
            written,
        };
        let before = batch.after.len();
        self.step(event, batch);
        let recalled: Recalled = (pair_key(&names.customer, &names.address), seq);
        match refusal(&batch.after[before..], |who| who == Asker::Agent(agent)) {
            None => {}
            // It is on disk that it is recalled, but the store failed before the text was gone.
            Some(Refusal::Already) if message.is_some_and(|m| m.typeu != code::DESK_RECALLED) => {
                self.unredacted.add(recalled.clone());
                return batch.recalled.push((recalled, reply));
            }
            Some(why) => return answer(reply, Err(why.into())),
        }
        let notice = Notice::Recalled {
            episode: episode.0,
            id: id.to_owned(),
        };
        batch.drafts.extend(self.notice_draft(&names, &notice));
        batch.recalled.push((recalled, reply));
    }

    /// Takes the text out of all recalled messages. Their records are on disk.
    pub(super) async fn redact(&mut self) {
        self.unredacted.again_at = None;
        let mut left = Vec::new();
        for (key, seq) in std::mem::take(&mut self.unredacted.messages) {
            let store = self.router.store().clone();
            let of = key.clone();
            let redacted = self
                .router
                .blocking(move || store.redact(&of, seq, None))
                .await;
            if let Err(error) = redacted {
                tracing::error!(%error, "a recalled message has its text still; the store is asked again");
                self.unredacted.again_at = Some(Instant::now() + REDACT_AGAIN);
                left.push((key, seq));
            }
        }
        self.unredacted.messages = left;
    }

    /// Whoever recalled something learns whether its text is gone.
    pub(super) fn answer_recalled(&self, recalled: Vec<(Recalled, Reply)>) {
        for (message, reply) in recalled {
            let gone = !self.unredacted.messages.contains(&message);
            let problem = "it is recalled, but its text is not yet gone from the log";
            let outcome = match gone {
                true => Ok(()),
                false => Err(DeskError::Store(problem.to_owned())),
            };
            answer(reply, outcome);
        }
    }
}
