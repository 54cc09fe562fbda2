//! Agents on any client. Whoever has an agent's account and an ordinary session (MobileIMSDK's,
//! `tidings chat`, an SDK) works by texts: commands to his team's address, and for each customer an
//! address of its own, `@team/customer`, from which he gets what is written and to which he answers.
//!
//! These texts are messages like all others, stored and delivered in order. His answers are records
//! of the customer's own conversation at once (`serving`); what comes here is commands, which are in
//! `docs/desk.md`.

use tidings_core::custody::Draft;
use tidings_core::desk::{AgentId, AgentStatus, Event, Refusal, Skills, Target, TeamId};
use tidings_core::ids::{Name, SERVER};
use tidings_core::message::MessageRef;

use super::act::{AgentEvent, Author, Chat, ChatInfo};
use super::agents::{End, Kind};
use super::directory::TenantRoster;
use super::driver::{Batch, Driver, refusal};
use super::notice::ClosedBy;
use crate::handle::new_id;

const HELP: &str = "To the team: /online, /busy, /away, /offline, /next. To a customer's address: \
                    a text (one that starts with a slash has two), or /close, /transfer AGENT or \
                    @TEAM and a remark, /hold, /resume, /accept, /decline.";

/// What an agent typed, that is no text for a customer.
enum Typed<'a> {
    Status(AgentStatus),
    Next,
    Close,
    /// To whom, and a remark.
    Transfer(&'a str),
    Hold,
    Resume,
    Accept,
    Decline,
}

fn typed(text: &str) -> Option<Typed<'_>> {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    Some(match word {
        "/online" => Typed::Status(AgentStatus::Online),
        "/busy" => Typed::Status(AgentStatus::Busy),
        "/away" => Typed::Status(AgentStatus::Away),
        "/offline" => Typed::Status(AgentStatus::Offline),
        "/next" => Typed::Next,
        "/close" => Typed::Close,
        "/hold" => Typed::Hold,
        "/resume" => Typed::Resume,
        "/accept" => Typed::Accept,
        "/decline" => Typed::Decline,
        "/transfer" => Typed::Transfer(rest.trim()),
        _ => return None,
    })
}

/// To whom a customer is transferred, and the remark: names have spaces, so the longest one that
/// is known counts; one in quotes is what stands between them.
fn receiver<'t>(roster: &TenantRoster, text: &'t str) -> Result<(Target, &'t str), Refusal> {
    let agent = |name: &str| {
        let known = roster.agents.get(name).ok_or(Refusal::NoAgent)?;
        Ok(Target::Agent(AgentId(known.number)))
    };
    if let Some((name, note)) = text.strip_prefix('"').and_then(|t| t.split_once('"')) {
        return Ok((agent(name)?, note.trim_start()));
    }
    let (word, note) = text.split_once(' ').unwrap_or((text, ""));
    if let Some(team) = word.strip_prefix('@') {
        let team = roster.teams.get(team).ok_or(Refusal::NoTeam)?;
        return Ok((Target::Team(TeamId(team.number), Skills::NONE), note));
    }
    let rest = |name: &str| {
        let rest = text.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
    };
    let named = roster.agents.keys().filter(|name| rest(name).is_some());
    let name = named
        .max_by_key(|name| name.len())
        .ok_or(Refusal::NoAgent)?;
    Ok((agent(name)?, rest(name).unwrap_or("").trim_start()))
}

impl Driver {
    /// A message from somebody with an agent's account to a team or a customer's address.
    pub(super) fn agent_typed(&mut self, agent: AgentId, message: &MessageRef, batch: &mut Batch) {
        let (team, customer) = match message.to.split_once('/') {
            Some((team, customer)) => (team, Some(Name::from(customer))),
            None => (&*message.to, None),
        };
        let team = team.to_owned();
        let answer = match (typed(&message.body), customer) {
            (Some(Typed::Status(status)), None) => self.typed_status(agent, status, batch),
            (Some(Typed::Next), None) => self.typed_event(agent, Event::Pull(agent, None), batch),
            (Some(word), Some(customer)) => self.typed_about(agent, &word, customer, batch),
            _ => Some(HELP.to_owned()),
        };
        if let Some(text) = answer {
            let from = match message.to.contains('/') {
                true => message.to.clone(),
                false => team.into(),
            };
            let to = message.from.clone();
            batch
                .drafts
                .push(self.typed_draft(from, to, new_id(), text));
        }
    }

    fn typed_status(
        &mut self,
        agent: AgentId,
        status: AgentStatus,
        batch: &mut Batch,
    ) -> Option<String> {
        if !self.agents.is_present(agent) && status != AgentStatus::Offline {
            self.bind_typed(agent, status, batch);
            return None;
        }
        let event = Event::SetStatus {
            agent,
            status,
            hand_over: false,
        };
        let refused = self.typed_event(agent, event, batch);
        if status == AgentStatus::Offline {
            self.ends(agent, Kind::Typed, batch);
        }
        refused.or_else(|| Some(format!("You are {}.", word(status))))
    }

    /// A session of texts begins.
    fn bind_typed(&mut self, agent: AgentId, status: AgentStatus, batch: &mut Batch) {
        self.agents.arrives(agent, Kind::Typed);
        self.begins(agent, End::Typed, batch);
        self.step(Event::Bind(agent, status), batch);
    }

    /// An ordinary session of an agent came or went.
    pub(super) fn agent_link(&mut self, agent: AgentId, online: bool, batch: &mut Batch) {
        if !online {
            self.ends(agent, Kind::Typed, batch);
            return;
        }
        let status = self.desk.agent(agent).map(|known| known.status);
        if let Some(status) = status.filter(|status| *status != AgentStatus::Offline)
            && !self.agents.is_present(agent)
        {
            self.bind_typed(agent, status, batch);
        }
    }

    fn typed_about(
        &mut self,
        agent: AgentId,
        word: &Typed<'_>,
        customer: Name,
        batch: &mut Batch,
    ) -> Option<String> {
        let Some(episode) = self.episode(agent, &Chat::Customer(customer)) else {
            return Some(Refusal::NoEpisode.to_string());
        };
        let event = match word {
            Typed::Close => Event::Close(agent, episode),
            Typed::Hold => Event::Hold(agent, episode),
            Typed::Resume => Event::Resume(agent, episode),
            Typed::Accept => Event::Accept(agent, episode),
            Typed::Decline => Event::Decline(agent, episode),
            Typed::Transfer(text) => match receiver(&self.roster, text) {
                Ok((to, note)) => Event::Transfer {
                    agent,
                    episode,
                    to,
                    note: note.into(),
                },
                Err(why) => return Some(why.to_string()),
            },
            Typed::Status(_) | Typed::Next => return Some(HELP.to_owned()),
        };
        self.typed_event(agent, event, batch)
    }

    fn typed_event(&mut self, agent: AgentId, event: Event, batch: &mut Batch) -> Option<String> {
        let before = batch.after.len();
        self.step(event, batch);
        let asker = tidings_core::desk::Asker::Agent(agent);
        refusal(&batch.after[before..], |who| who == asker).map(|why| why.to_string())
    }

    /// Somebody who is no agent any more wrote to a customer's address.
    pub(super) fn no_agent(&self, message: &MessageRef, batch: &mut Batch) {
        let (from, to) = (message.to.clone(), message.from.clone());
        let text = Refusal::NoAgent.to_string();
        let draft = self.typed_draft(from, to, new_id(), text);
        batch.drafts.push(draft);
    }

    fn typed_draft(&self, from: Name, to: Name, id: Name, text: String) -> Draft {
        Draft {
            from,
            to,
            id,
            typeu: -1,
            body: text.into(),
            time_ms: self.router.wall_ms(),
        }
    }

    /// Sends what agents on ordinary sessions were told in this batch.
    pub(super) async fn send_typed(&mut self) {
        let told = self.agents.take_typed();
        if told.is_empty() {
            return;
        }
        let mut drafts = Vec::new();
        for (agent, event) in told {
            if let AgentEvent::Message { chat, message, .. } = &event {
                self.delivered(agent, chat.episode, message.seq);
            }
            let account = self.agent_names(agent).0;
            let home = self.home(agent);
            if let Some((from, id, typeu, text)) = as_text(&event, &home) {
                let draft = self.typed_draft(from, account, id, text);
                drafts.push(Draft { typeu, ..draft });
            }
        }
        // Its verdicts are told like those of any message; a failure ends nothing: his next login
        // begins with what he serves.
        if self
            .router
            .submit_all(drafts)
            .await
            .iter()
            .any(|outcome| matches!(outcome, tidings_core::shard::Submission::Failed(_)))
        {
            tracing::error!("agents on ordinary sessions could not be told something");
        }
    }

    /// The address of an agent's first team.
    fn home(&self, agent: AgentId) -> Name {
        let team = self.roster.agent(agent.0);
        let team = team.and_then(|(_, agent)| agent.teams.first());
        team.map_or_else(
            || SERVER.into(),
            |member| format!("@{}", member.team).into(),
        )
    }
}

fn word(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Online => "online",
        AgentStatus::Busy => "busy",
        AgentStatus::Away => "away",
        AgentStatus::NotResponding => "not responding",
        AgentStatus::Offline => "offline",
    }
}

/// How many wait for an agent's teams.
fn queues(waiting: &[(Name, u64)]) -> String {
    let queues = waiting.iter().filter(|(_, waiting)| *waiting > 0);
    let queues: Vec<String> = queues
        .map(|(team, waiting)| match waiting {
            1 => format!("1 customer waits for @{team}."),
            _ => format!("{waiting} customers wait for @{team}."),
        })
        .collect();
    match queues.is_empty() {
        true => "Nobody waits.".to_owned(),
        false => queues.join(" "),
    }
}

/// From where, with which id and type, and what an agent is told by text.
fn as_text(event: &AgentEvent, home: &Name) -> Option<(Name, Name, i32, String)> {
    let from = |chat: &ChatInfo| Name::from(format!("@{}/{}", chat.team, chat.customer));
    let (from, text) = match event {
        AgentEvent::Bound(profile) => {
            let status = word(profile.status);
            let queues = queues(&profile.waiting);
            (home.clone(), format!("You are {status}. {queues} {HELP}"))
        }
        AgentEvent::Given { chat, transfer, .. } => {
            let mut text = format!("You serve {} now.", chat.customer);
            if let Some((by, note)) = transfer {
                text.push_str(&format!(" From {by}: {note}"));
            }
            (from(chat), text)
        }
        AgentEvent::Message {
            chat,
            author,
            message,
            ..
        } => {
            let id = Name::from(format!("{}-{}", chat.episode.0, message.seq));
            let text = match author {
                Author::Customer => message.body.to_string(),
                Author::Agent(account) => format!("{account}: {}", message.body),
                Author::Desk => return None,
            };
            return Some((from(chat), id, message.typeu, text));
        }
        AgentEvent::Offer {
            chat, answer_ms, ..
        } => {
            let seconds = answer_ms / 1000;
            (
                from(chat),
                format!(
                    "Will you take {}? /accept or /decline within {seconds} s.",
                    chat.customer
                ),
            )
        }
        AgentEvent::Released(chat) => (
            from(chat),
            "You do not serve this customer any more.".to_owned(),
        ),
        AgentEvent::Closed(chat, by) => {
            let by = match by {
                ClosedBy::Customer | ClosedBy::LeftMessage => {
                    "The customer closed the conversation."
                }
                ClosedBy::Agent => "The conversation is closed.",
                ClosedBy::Idle => "The conversation was closed because nobody wrote.",
            };
            (from(chat), by.to_owned())
        }
        AgentEvent::AnswerWarning(chat) => {
            (from(chat), "The customer waits for your answer.".to_owned())
        }
        AgentEvent::IdleWarning(chat) => (
            from(chat),
            "The conversation will be closed unless somebody writes.".to_owned(),
        ),
        AgentEvent::TransferDone(chat) => (from(chat), "The transfer is done.".to_owned()),
        AgentEvent::TransferFailed(chat, _) => (
            from(chat),
            "The transfer failed; you still serve this customer.".to_owned(),
        ),
        _ => return None,
    };
    Some((from, new_id(), -1, text))
}

/// What an ordinary session of an agent is told, until it is sent.
pub(super) type Told = Vec<(AgentId, AgentEvent)>;
