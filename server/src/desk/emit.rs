//! Who is told what: customers through the conversation's log, agents through their sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tidings_core::custody::Draft;
use tidings_core::desk::{Action, AgentId, Ending, EpisodeId, How, Party, TeamId};
use tidings_core::ids::{ConversationId, Name, pair_key};
use tidings_core::message::{Message, MessageRef};
use tidings_core::wire::code;

use super::act::{AgentEvent, Author, ChatInfo, Profile};
use super::driver::{After, Batch, Chat, Driver};
use super::notice::{self, ClosedBy, Notice};
use crate::handle::new_id;
use crate::store::{Page, StoreError};

/// What a customer is told when nobody may come, unless the team says something else.
const LEFT: &str = "Nobody is here right now. Your message is kept, and we will answer it here.";

/// A part of a conversation's log for an agent: its first and its last message.
type Part = (EpisodeId, AgentId, u64, u64);

impl Driver {
    /// What a customer is told of an action, ahead of the commit.
    pub(super) fn tell_customer(&self, action: &Action, batch: &mut Batch) {
        let notice = match action {
            Action::Finding(episode) => (*episode, Notice::Finding { episode: episode.0 }),
            Action::Connected {
                episode,
                agent,
                how,
                waited_ms,
            } => (*episode, self.connected(*episode, *agent, *how, *waited_ms)),
            Action::Waiting(episode, _) => (*episode, Notice::Waiting { episode: episode.0 }),
            Action::WarnCustomer(episode) => {
                let text = self.roster.tenant.timeout_tip.clone();
                let episode_number = episode.0;
                let notice = Notice::IdleWarning {
                    episode: episode_number,
                    text,
                };
                (*episode, notice)
            }
            Action::Closed(episode, _, why) => (*episode, self.closed(*episode, *why)),
            Action::AskRating(episode) => (*episode, Notice::AskRating { episode: episode.0 }),
            Action::Left(episode) => return self.left(*episode, batch),
            Action::AgentAway(episode, agent) => {
                let (account, agent_name) = self.agent_names(*agent);
                let notice = Notice::AgentAway {
                    episode: episode.0,
                    agent: account.to_string(),
                    agent_name,
                };
                (*episode, notice)
            }
            Action::AgentBack(episode, agent) => {
                let (account, agent_name) = self.agent_names(*agent);
                let notice = Notice::AgentBack {
                    episode: episode.0,
                    agent: account.to_string(),
                    agent_name,
                };
                (*episode, notice)
            }
            Action::Greet(episode, by) => return self.greet(*episode, *by, batch),
            _ => return,
        };
        let (episode, notice) = notice;
        if let Some(chat) = self.chats.get(&episode) {
            batch.drafts.extend(self.notice_draft(chat, &notice));
        }
    }

    /// Nobody may come: the customer hears it on every client.
    fn left(&self, episode: EpisodeId, batch: &mut Batch) {
        let Some(chat) = self.chats.get(&episode) else {
            return;
        };
        let team = self.desk.episode(episode).map_or(u32::MAX, |e| e.team.0);
        let team = self.roster.team(team).map(|(_, team)| team);
        let text = team.map_or("", |team| &team.offline_message);
        let text = if text.is_empty() { LEFT } else { text };
        let draft = self.draft(chat, new_id(), code::DESK_LEFT, text.to_owned());
        batch.drafts.push(draft);
    }

    fn connected(&self, episode: EpisodeId, agent: AgentId, how: How, waited_ms: u64) -> Notice {
        let (account, title) = self.agent_names(agent);
        let team = self
            .desk
            .episode(episode)
            .map_or(TeamId(u32::MAX), |e| e.team);
        let team = self.roster.team(team.0).map(|(name, _)| name.to_string());
        Notice::Connected {
            episode: episode.0,
            agent: account.to_string(),
            agent_name: title,
            team: team.unwrap_or_default(),
            transferred: matches!(how, How::Transferred | How::TakenOver),
            waited_ms,
        }
    }

    fn closed(&self, episode: EpisodeId, why: Ending) -> Notice {
        let by = closed_by(why);
        let text = match by {
            ClosedBy::Idle => self.roster.tenant.timeout_close.clone(),
            _ => String::new(),
        };
        Notice::Closed {
            episode: episode.0,
            by,
            text,
        }
    }

    pub(super) fn notice_draft(&self, chat: &Chat, notice: &Notice) -> Option<Draft> {
        let body = serde_json::to_string(notice).ok()?;
        Some(self.draft(chat, new_id(), code::DESK_NOTICE, body))
    }

    pub(super) fn draft(&self, chat: &Chat, id: Name, typeu: i32, body: String) -> Draft {
        Draft {
            from: chat.address.clone(),
            to: chat.customer.clone(),
            id,
            typeu,
            body: body.into(),
            time_ms: self.router.wall_ms(),
        }
    }

    fn greet(&self, episode: EpisodeId, by: Option<AgentId>, batch: &mut Batch) {
        let Some(chat) = self.chats.get(&episode) else {
            return;
        };
        let (typeu, text) = match by {
            Some(agent) => {
                let known = self.roster.agent(agent.0);
                let text = known.map_or(String::new(), |(_, agent)| agent.greeting.clone());
                (code::DESK_AGENT_GREETING, text)
            }
            None => {
                let team = self.desk.episode(episode).map_or(u32::MAX, |e| e.team.0);
                let text = self.roster.team(team);
                let text = text.map_or(String::new(), |(_, team)| team.greeting.clone());
                (code::DESK_TEAM_GREETING, text)
            }
        };
        if !text.is_empty() {
            batch.drafts.push(self.draft(chat, new_id(), typeu, text));
        }
    }

    pub(super) fn agent_names(&self, agent: AgentId) -> (Name, String) {
        match self.roster.agent(agent.0) {
            Some((account, agent)) if !agent.title.is_empty() => {
                (account.clone(), agent.title.clone())
            }
            Some((account, _)) => (account.clone(), account.to_string()),
            None => ("".into(), String::new()),
        }
    }

    /// An episode as agents are told of it.
    pub(super) fn info(&self, episode: EpisodeId) -> Option<ChatInfo> {
        let chat = self.chats.get(&episode)?;
        Some(ChatInfo {
            episode,
            customer: chat.customer.clone(),
            team: chat.address.trim_start_matches('@').into(),
        })
    }

    /// What is done once everything is on disk.
    pub(super) async fn emit(&mut self, batch: Batch) {
        let mut parts = self.read_parts(&batch).await;
        let messages = batch.messages;
        for after in batch.after {
            match after {
                After::Begin(agent, end, serves) => {
                    self.agents.begin(agent, end);
                    self.begin(agent, serves).await;
                }
                After::End(agent, kind) => self.agents.end(agent, kind),
                After::Show(episode, agent, message) => self.pass(episode, agent, &message),
                After::Do(Action::HandOver {
                    episode,
                    agent,
                    from_seq,
                    to_seq,
                }) => {
                    let part = (episode, agent, from_seq, to_seq);
                    match parts.remove(&part) {
                        Some(read) => self.hand_read(part, read),
                        None => self.hand_over(part).await,
                    }
                }
                After::Do(Action::Route {
                    episode,
                    to: Party::Agent(agent),
                    seq,
                }) => {
                    let Some(chat) = self.chats.get(&episode) else {
                        continue;
                    };
                    match messages.get(&(chat.conversation, seq)) {
                        Some(message) => self.pass(episode, agent, message),
                        None => self.hand_over((episode, agent, seq, seq)).await,
                    }
                }
                After::Do(action) => self.tell(action),
            }
        }
    }

    /// What a batch hands over, read in one go: under load it is a part of a log for every customer.
    async fn read_parts(
        &self,
        batch: &Batch,
    ) -> HashMap<Part, Result<Vec<MessageRef>, StoreError>> {
        let (mut parts, mut unread) = (HashMap::new(), Vec::new());
        for after in &batch.after {
            let After::Do(Action::HandOver {
                episode,
                agent,
                from_seq,
                to_seq,
            }) = after
            else {
                continue;
            };
            let part = (*episode, *agent, *from_seq, *to_seq);
            let conversation = self.chats.get(episode).map(|chat| chat.conversation);
            let known = |seq| Some(batch.messages.get(&(conversation?, seq))?.clone());
            match (*from_seq..=*to_seq).map(known).collect() {
                // He came in this batch.
                Some(here) => drop(parts.insert(part, Ok(here))),
                None => unread.extend(self.page(part).map(|page| (part, page))),
            }
        }
        if unread.is_empty() {
            return parts;
        }
        let store = self.router.store().clone();
        let read = move || {
            let read = unread.into_iter();
            let read = read.map(|(part, (key, page))| (part, store.history(&key, page)));
            Ok(read.collect::<Vec<_>>())
        };
        // What is missing here is read by itself.
        parts.extend(self.router.blocking(read).await.unwrap_or_default());
        parts
    }

    fn tell(&mut self, action: Action) {
        match action {
            Action::Position {
                episode,
                position,
                wait_ms,
            } => self.position(episode, position, wait_ms),
            Action::QueueLength { team, waiting } => {
                if self.queues.changed(team, waiting, Instant::now()) {
                    self.queue_length(team, waiting);
                }
            }
            Action::Offer {
                episode,
                agent,
                answer_ms,
                transfer,
            } => {
                let transfer = transfer.map(|(by, note)| (self.agent_names(by).0, note.into()));
                self.tell_chat(agent, episode, |chat| AgentEvent::Offer {
                    chat,
                    answer_ms,
                    transfer,
                });
            }
            Action::OfferOver {
                episode,
                agent,
                why,
            } => self.agents.tell(agent, AgentEvent::OfferOver(episode, why)),
            Action::Given {
                episode,
                agent,
                how,
                transfer,
            } => {
                let transfer = transfer.map(|(by, note)| (self.agent_names(by).0, note.into()));
                self.tell_chat(agent, episode, |chat| AgentEvent::Given {
                    chat,
                    how: Some(how),
                    transfer,
                });
            }
            other => self.tell_about(other),
        }
    }

    fn tell_about(&mut self, action: Action) {
        match action {
            Action::Released { episode, agent } => {
                self.tell_chat(agent, episode, AgentEvent::Released);
            }
            Action::WarnAgent(episode, agent) => {
                self.tell_chat(agent, episode, AgentEvent::AnswerWarning);
            }
            Action::WarnCustomer(episode) => {
                if let Some(owner) = self.desk.stage(episode).and_then(|s| s.owner()) {
                    self.tell_chat(owner, episode, AgentEvent::IdleWarning);
                }
            }
            Action::TransferDone(episode, by, _) => {
                self.tell_chat(by, episode, AgentEvent::TransferDone);
            }
            Action::TransferFailed(episode, by, why) => {
                self.tell_chat(by, episode, |chat| AgentEvent::TransferFailed(chat, why));
            }
            Action::Supervised(episode, agent, part) => {
                self.tell_chat(agent, episode, |chat| AgentEvent::Supervised(chat, part));
            }
            Action::StatusChanged(agent, status) => {
                let account = self.agent_names(agent).0;
                for other in self.agents.present() {
                    self.agents
                        .tell(other, AgentEvent::Status(account.clone(), status));
                }
            }
            Action::Closed(episode, Some(agent), why) => {
                self.tell_chat(agent, episode, |chat| {
                    AgentEvent::Closed(chat, closed_by(why))
                });
            }
            _ => {} // told through the log, or the answer to whoever asked
        }
    }

    pub(super) fn tell_chat(
        &mut self,
        agent: AgentId,
        episode: EpisodeId,
        event: impl FnOnce(ChatInfo) -> AgentEvent,
    ) {
        if let Some(chat) = self.info(episode) {
            self.agents.tell(agent, event(chat));
        }
    }

    /// To whoever is there, now or never: the next one makes it pointless.
    fn position(&self, episode: EpisodeId, position: u64, wait_ms: Option<u64>) {
        let notice = Notice::Position {
            episode: episode.0,
            position,
            wait_ms,
        };
        let Some(chat) = self.chats.get(&episode) else {
            return;
        };
        let Some(draft) = self.notice_draft(chat, &notice) else {
            return;
        };
        self.router.pass(Arc::new(Message {
            conversation: ConversationId(0),
            seq: 0,
            position: 0,
            time_ms: -1,
            from: draft.from,
            to: draft.to,
            id: draft.id,
            typeu: draft.typeu,
            body: draft.body,
        }));
    }

    /// Tells agents what was held back.
    pub(super) fn tell_queues(&mut self) {
        for (team, waiting) in self.queues.due(Instant::now()) {
            self.queue_length(team, waiting);
        }
    }

    fn queue_length(&mut self, team: TeamId, waiting: u64) {
        let Some((name, _)) = self.roster.team(team.0) else {
            return;
        };
        let name = name.clone();
        for agent in self.agents.present() {
            let known = self.desk.agent(agent);
            let serves = known.is_some_and(|a| a.settings.teams.iter().any(|t| t.team == team));
            if serves {
                let team = name.clone();
                self.agents.tell(agent, AgentEvent::Queue { team, waiting });
            }
        }
    }

    /// What a session of an agent is told first.
    async fn begin(&mut self, agent: AgentId, serves: Vec<(EpisodeId, u64, u64)>) {
        let Some(profile) = self.profile(agent) else {
            return;
        };
        self.agents
            .tell(agent, AgentEvent::Bound(Box::new(profile)));
        for (episode, ..) in &serves {
            self.tell_chat(agent, *episode, |chat| AgentEvent::Given {
                chat,
                how: None,
                transfer: None,
            });
        }
        for (episode, first, last) in serves {
            let read = self.read.get(&(episode, agent)).copied().unwrap_or(0);
            let part = (episode, agent, first.max(read + 1), last);
            self.hand_over(part).await;
        }
        let teams = self
            .desk
            .agent(agent)
            .map(|known| known.settings.teams.clone());
        for member in teams.unwrap_or_default() {
            let waiting = self.desk.waiting(member.team);
            if let Some((name, _)) = self.roster.team(member.team.0) {
                let team = name.clone();
                self.agents.tell(agent, AgentEvent::Queue { team, waiting });
            }
        }
    }

    /// What an agent is, for himself.
    pub(super) fn profile(&self, agent: AgentId) -> Option<Profile> {
        let (account, item) = self.roster.agent(agent.0)?;
        let known = self.desk.agent(agent)?;
        let waiting = item.teams.iter().filter_map(|member| {
            let number = TeamId(self.roster.teams.get(&*member.team)?.number);
            Some((Name::from(&*member.team), self.desk.waiting(number)))
        });
        Some(Profile {
            account: account.clone(),
            number: agent.0,
            title: self.agent_names(agent).1,
            tenant: self.tenant.name.clone(),
            team: item.teams.first().map_or(String::new(), |m| m.team.clone()),
            status: known.status,
            serving: known.serving,
            capacity: item.capacity,
            automatic: item.mode == tidings_core::desk::Mode::Automatic,
            greeting: item.greeting.clone(),
            waiting: waiting.collect(),
        })
    }

    /// Where a part of a conversation's log lies, if its agent is there to get it.
    fn page(&self, (episode, agent, from, to): Part) -> Option<(String, Page)> {
        if from > to || !self.agents.is_bound(agent) {
            return None;
        }
        let chat = self.chats.get(&episode)?;
        let count = usize::try_from(to - from + 1).unwrap_or(usize::MAX);
        let count = count.min(tidings_core::limits::DESK_AGENT_EVENTS_MAX / 2);
        // The last ones, if there are more than a session takes at once; the rest is history.
        let page = Page::Before(to + 1, count);
        Some((pair_key(&chat.customer, &chat.address), page))
    }

    /// A part of the conversation's log, to an agent.
    async fn hand_over(&mut self, part: Part) {
        let Some((key, page)) = self.page(part) else {
            return;
        };
        let store = self.router.store().clone();
        let read = self
            .router
            .blocking(move || store.history(&key, page))
            .await;
        self.hand_read(part, read);
    }

    fn hand_read(&mut self, part: Part, read: Result<Vec<MessageRef>, StoreError>) {
        let (episode, agent, from, _) = part;
        match read {
            Ok(found) => {
                for message in found.iter().filter(|m| m.seq >= from) {
                    self.pass(episode, agent, message);
                }
            }
            Err(error) => {
                // His session ends; the next one begins with all of it.
                tracing::error!(%error, "an agent could not be told what was written");
                self.agents.drop_session(agent);
            }
        }
    }

    fn pass(&mut self, episode: EpisodeId, agent: AgentId, message: &MessageRef) {
        let (author, id) = match notice::author(&message.id) {
            _ if !message.from.starts_with('@') => (Author::Customer, message.id.to_string()),
            Some((by, id)) if message.typeu != code::DESK_NOTICE => (
                Author::Agent(self.agent_names(AgentId(by)).0),
                id.to_owned(),
            ),
            _ if matches!(message.typeu, code::DESK_NOTICE | code::DESK_RECALLED) => return,
            _ => (Author::Desk, message.id.to_string()),
        };
        if author == Author::Agent(self.agent_names(agent).0) {
            return; // he knows what he wrote
        }
        let message = message.clone();
        self.tell_chat(agent, episode, |chat| AgentEvent::Message {
            chat,
            author,
            id,
            message,
        });
    }
}

fn closed_by(why: Ending) -> ClosedBy {
    match why {
        Ending::Abandoned | Ending::ByCustomer => ClosedBy::Customer,
        Ending::ByAgent(_) => ClosedBy::Agent,
        Ending::Idle => ClosedBy::Idle,
        Ending::LeftMessage => ClosedBy::LeftMessage,
    }
}
