//! From rows of a tenant's log to what storage listeners are told.
//!
//! Rows before a listener's cursor are read for what they leave behind only.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tidings_core::desk::{AgentId, AgentStatus, Ending, Entry, EpisodeId, How, Record, TeamId};
use tidings_core::ids::{ConversationId, Name, pair_key};
use tidings_core::message::Message;
use tidings_core::time::Time;
use tidings_core::wire::code;

use super::super::directory::TenantRoster;
use super::super::notice;
use super::super::row::{Row, Who};
use super::{ChatRecord, CloseType, DeskEvent, Owner};
use crate::router::Router;
use crate::store::{Page, StoreError};

/// Messages of one episode that are read for one row at a time.
const PAGE: usize = 500;

/// An open episode.
#[derive(Clone, Serialize, Deserialize)]
struct Episode {
    who: Who,
    team: TeamId,
    part: u32,
    agent: Option<AgentId>,
    customer_live: bool,
    waiting_since: Time,
    /// The next of its messages that has not been told.
    next_seq: u64,
    /// The position of the row that last concerned it: messages up to there have been told.
    told: u64,
}

/// See the module.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Translator {
    /// Of the row that is being read: whoever it is about is named in it.
    #[serde(skip)]
    who: HashMap<ConversationId, Who>,
    episodes: HashMap<EpisodeId, Episode>,
    agents: HashMap<AgentId, AgentStatus>,
    wall_ahead_ms: i64,
}

impl Translator {
    /// What a row says. Without a router only what it leaves behind is kept.
    pub(super) async fn row(
        &mut self,
        row: &Row,
        position: u64,
        router: Option<&Router>,
        roster: &TenantRoster,
    ) -> Result<Vec<DeskEvent>, StoreError> {
        self.who.clear();
        for who in &row.who {
            self.who.insert(who.conversation, who.clone());
        }
        let mut events = Vec::new();
        let mut touched = BTreeSet::new();
        let mut ended = Vec::new();
        for entry in &row.entries {
            let episode = self.entry(entry, roster, &mut events);
            if let Some(episode) = episode {
                touched.insert(episode);
                if matches!(entry.record, Record::Closed { .. }) {
                    ended.push(episode);
                }
            }
        }
        let mut messages = Vec::new();
        if let Some(router) = router {
            for (episode, conversation, seq) in &row.late {
                let late = self
                    .late(*episode, *conversation, *seq, router, roster)
                    .await?;
                messages.extend(late);
            }
        }
        for id in touched {
            let Some(episode) = self.episodes.get_mut(&id) else {
                continue;
            };
            if let Some(router) = router {
                told(id, episode, position, router, roster, &mut messages).await?;
            }
            episode.told = position;
        }
        for id in ended {
            self.episodes.remove(&id);
        }
        // A text belongs to whoever served when it was taken: before the ends and after the
        // beginnings of this row.
        let at = |event: &DeskEvent| match event {
            DeskEvent::Opened { .. } | DeskEvent::Assigned { .. } | DeskEvent::Agent { .. } => 0,
            DeskEvent::Message(_) => 1,
            _ => 2,
        };
        events.extend(messages);
        let is_simple = !events.iter().any(|e| {
            matches!(
                e,
                DeskEvent::Ended {
                    close: CloseType::Transfer,
                    ..
                }
            )
        });
        if is_simple {
            events.sort_by_key(at);
        }
        Ok(events)
    }

    /// What an agent wrote after the end.
    async fn late(
        &self,
        episode: u64,
        conversation: ConversationId,
        seq: u64,
        router: &Router,
        roster: &TenantRoster,
    ) -> Result<Option<DeskEvent>, StoreError> {
        let Some(who) = self.who.get(&conversation) else {
            return Ok(None);
        };
        let (store, key) = (router.store().clone(), pair_key(&who.customer, &who.team));
        let read = move || store.history(&key, Page::After(seq.saturating_sub(1), 1));
        let found = router.blocking(read).await?;
        let found = found.iter().find(|message| message.seq == seq);
        Ok(found
            .and_then(|m| record(EpisodeId(episode), true, m, roster))
            .map(DeskEvent::Message))
    }

    fn wall_ms(&self, time: Time) -> i64 {
        let time = i64::try_from(time.0).unwrap_or(i64::MAX);
        time.saturating_add(self.wall_ahead_ms)
    }

    /// One transition; returns the episode that it concerns.
    fn entry(
        &mut self,
        entry: &Entry,
        roster: &TenantRoster,
        out: &mut Vec<DeskEvent>,
    ) -> Option<EpisodeId> {
        let time_ms = self.wall_ms(entry.time);
        match &entry.record {
            Record::WallClock { ahead_ms } => self.wall_ahead_ms = *ahead_ms,
            Record::Restarted => {
                for episode in self.episodes.values_mut() {
                    episode.customer_live = false;
                }
            }
            Record::Status { agent, status } => {
                self.agents.insert(*agent, *status);
                out.push(agent_log(roster, *agent, 2, *status, time_ms));
            }
            Record::AgentLink { agent, live } => {
                let status = self.agents.get(agent).copied();
                let status = status.unwrap_or(AgentStatus::Offline);
                let kind = if *live { 1 } else { 3 };
                out.push(agent_log(roster, *agent, kind, status, time_ms));
            }
            Record::Opened {
                episode,
                conversation,
                wanted,
                seq,
                ..
            } => {
                let who = self.who.get(conversation)?.clone();
                out.push(opened(roster, *episode, 0, &who, wanted.team, time_ms));
                let fresh = Episode {
                    who,
                    team: wanted.team,
                    part: 0,
                    agent: None,
                    customer_live: true,
                    waiting_since: entry.time,
                    next_seq: *seq,
                    told: 0,
                };
                self.episodes.insert(*episode, fresh);
                return Some(*episode);
            }
            Record::Rated {
                episode,
                stars,
                text,
            } => out.push(DeskEvent::Rated {
                episode: episode.0,
                stars: *stars,
                text: text.to_string(),
            }),
            Record::Recalled { episode, seq } => out.push(DeskEvent::Recalled {
                episode: episode.0,
                seq: *seq,
            }),
            other => return self.of_episode(other, entry.time, roster, out),
        }
        None
    }

    fn of_episode(
        &mut self,
        record: &Record,
        time: Time,
        roster: &TenantRoster,
        out: &mut Vec<DeskEvent>,
    ) -> Option<EpisodeId> {
        let time_ms = self.wall_ms(time);
        let id = concerned(record)?;
        let episode = self.episodes.get_mut(&id)?;
        let mut end = |episode: &mut Episode, close| {
            out.push(DeskEvent::Ended {
                episode: id.0,
                part: episode.part,
                close,
                time_ms,
            });
        };
        match record {
            Record::CustomerLink { live, .. } => episode.customer_live = *live,
            Record::CustomerSaid { .. } => episode.customer_live = true,
            // A left message was not waited with.
            Record::Queued { .. } => episode.waiting_since = time,
            Record::Assigned { agent, how, .. } => {
                if episode.agent.is_some() {
                    end(episode, CloseType::Transfer);
                    episode.part += 1;
                    episode.waiting_since = time;
                    out.push(opened(
                        roster,
                        id,
                        episode.part,
                        &episode.who,
                        episode.team,
                        time_ms,
                    ));
                }
                episode.agent = Some(*agent);
                out.push(DeskEvent::Assigned {
                    episode: id.0,
                    part: episode.part,
                    agent: account(roster, *agent),
                    how: how_word(*how),
                    waited_ms: time.since_ms(episode.waiting_since),
                    time_ms,
                });
            }
            Record::Requeued { .. } | Record::TeamTransferred { .. } => {
                let close = match record {
                    Record::TeamTransferred { team, .. } => {
                        episode.team = *team;
                        CloseType::Transfer
                    }
                    _ => CloseType::System,
                };
                end(episode, close);
                episode.part += 1;
                episode.agent = None;
                episode.waiting_since = time;
                out.push(opened(
                    roster,
                    id,
                    episode.part,
                    &episode.who,
                    episode.team,
                    time_ms,
                ));
            }
            Record::Closed { why, .. } => end(episode, close_type(*why)),
            _ => {}
        }
        Some(id)
    }
}

/// The episode of a record that matters here.
fn concerned(record: &Record) -> Option<EpisodeId> {
    match record {
        Record::CustomerLink { episode, .. }
        | Record::CustomerSaid { episode, .. }
        | Record::Queued { episode }
        | Record::AgentSaid { episode, .. }
        | Record::Assigned { episode, .. }
        | Record::Requeued { episode, .. }
        | Record::TeamTransferred { episode, .. }
        | Record::Closed { episode, .. } => Some(*episode),
        _ => None,
    }
}

/// What was written in an episode and lies between the row before and this one.
async fn told(
    id: EpisodeId,
    episode: &mut Episode,
    position: u64,
    router: &Router,
    roster: &TenantRoster,
    out: &mut Vec<DeskEvent>,
) -> Result<(), StoreError> {
    let key = pair_key(&episode.who.customer, &episode.who.team);
    loop {
        let (store, key) = (router.store().clone(), key.clone());
        let after = episode.next_seq.saturating_sub(1);
        let read = move || store.history(&key, Page::After(after, PAGE));
        let found = router.blocking(read).await?;
        if found.is_empty() {
            return Ok(());
        }
        for message in found {
            if message.position > position {
                return Ok(());
            }
            episode.next_seq = message.seq + 1;
            if message.position > episode.told {
                let record = record(id, !episode.customer_live, &message, roster);
                out.extend(record.map(DeskEvent::Message));
            }
        }
    }
}

fn record(
    id: EpisodeId,
    is_customer_away: bool,
    message: &Message,
    roster: &TenantRoster,
) -> Option<ChatRecord> {
    if matches!(message.typeu, code::DESK_NOTICE | code::DESK_RECORD) {
        return None;
    }
    let from_team = message.from.starts_with('@');
    let (owner, author, of_author) = match notice::author(&message.id) {
        _ if !from_team => (Owner::Customer, message.from.clone(), &*message.id),
        Some((agent, id)) => (Owner::Agent, account(roster, AgentId(agent)), id),
        None => (Owner::Automatic, message.from.clone(), &*message.id),
    };
    Some(ChatRecord {
        episode: id.0,
        seq: message.seq,
        id: of_author.to_owned(),
        owner,
        author,
        typeu: message.typeu,
        offline: from_team && is_customer_away,
        text: message.body.to_string(),
        time_ms: message.time_ms,
    })
}

fn opened(
    roster: &TenantRoster,
    episode: EpisodeId,
    part: u32,
    who: &Who,
    team: TeamId,
    time_ms: i64,
) -> DeskEvent {
    let name = roster.team(team.0).map(|(name, _)| name.clone());
    DeskEvent::Opened {
        episode: episode.0,
        part,
        customer: (*who.customer).into(),
        team: name.unwrap_or_else(|| who.team.trim_start_matches('@').into()),
        time_ms,
    }
}

fn agent_log(
    roster: &TenantRoster,
    agent: AgentId,
    kind: u8,
    status: AgentStatus,
    time_ms: i64,
) -> DeskEvent {
    let agent = account(roster, agent);
    let status = if kind == 3 {
        AgentStatus::Offline
    } else {
        status
    };
    DeskEvent::Agent {
        agent,
        kind,
        status: status.to_ocim(),
        time_ms,
    }
}

/// An agent's account; his number if he was removed.
fn account(roster: &TenantRoster, agent: AgentId) -> Name {
    match roster.agent(agent.0) {
        Some((account, _)) => account.clone(),
        None => format!("#{}", agent.0).into(),
    }
}

fn how_word(how: How) -> &'static str {
    match how {
        How::Automatic => "automatic",
        How::Former => "former",
        How::Accepted => "accepted",
        How::Pulled => "pulled",
        How::Transferred => "transferred",
        How::TakenOver => "taken_over",
    }
}

fn close_type(why: Ending) -> CloseType {
    match why {
        Ending::Abandoned | Ending::ByCustomer | Ending::LeftMessage => CloseType::Customer,
        Ending::ByAgent(_) => CloseType::Agent,
        Ending::Idle => CloseType::System,
    }
}
