//! What agents and customers ask for, from their words to the machine's.

use tidings_core::custody::Verdict;
use tidings_core::desk::{
    AgentId, Asker, EpisodeId, Event, Refusal, Stage, Supervision, Target, TeamId,
};
use tidings_core::ids::{self, ConversationId, Name};
use tidings_core::limits;
use tidings_core::shard::Submission;
use tidings_core::wire::code;

use super::act::{Act, Chat, CustomerAct, DeskError, TransferTo};
use super::driver::{Batch, Driver, refusal};
use super::inbox::Reply;
use super::notice;

impl Driver {
    /// What an agent asks for.
    pub(super) async fn act(&mut self, agent: AgentId, act: Act, reply: Reply, batch: &mut Batch) {
        let event = match act {
            Act::Say {
                chat,
                id,
                typeu,
                text,
                internal,
            } => {
                let typeu = if internal { code::DESK_NOTE } else { typeu };
                return self.say(agent, &chat, (&id, typeu, text), reply, batch);
            }
            Act::Recall { chat, id } => return self.recall(agent, &chat, &id, reply, batch).await,
            Act::Transfer { chat, to, note } => match self.transfer(agent, &chat, &to, note) {
                Ok(event) => event,
                Err(why) => return answer(reply, Err(why)),
            },
            Act::Close(chat) => match self.episode(agent, &chat) {
                Some(episode) => Event::Close(agent, episode),
                None => return answer(reply, Err(Refusal::NoEpisode.into())),
            },
            Act::SetStatus { status, hand_over } => Event::SetStatus {
                agent,
                status,
                hand_over,
            },
            Act::Pull(episode) => Event::Pull(agent, episode),
            Act::Accept(episode) => Event::Accept(agent, episode),
            Act::Decline(episode) => Event::Decline(agent, episode),
            Act::Hold(episode) => Event::Hold(agent, episode),
            Act::Resume(episode) => Event::Resume(agent, episode),
            Act::WrapUpDone(episode) => Event::WrapUpDone(agent, episode),
            Act::Supervise(episode, level) => Event::Supervise(agent, episode, level),
            Act::TakeOver(episode) => Event::TakeOver(agent, episode),
        };
        self.asked(event, agent, reply, batch);
    }

    /// Which open episode is meant: a customer's own with this agent before others.
    pub(super) fn episode(&self, agent: AgentId, chat: &Chat) -> Option<EpisodeId> {
        let user = match chat {
            Chat::Episode(episode) => return Some(*episode),
            Chat::Customer(user) => user,
        };
        let open = self.customers.get(user)?.iter();
        let open: Vec<EpisodeId> = open.filter_map(|c| self.desk.episode_of(*c)).collect();
        let own = |id: &&EpisodeId| self.desk.stage(**id).and_then(Stage::owner) == Some(agent);
        open.iter().find(own).or(open.first()).copied()
    }

    /// What an agent writes is a message from the team, in his name by its id. It reaches the
    /// customer by its verdict, and the machine as every message does.
    fn say(
        &self,
        agent: AgentId,
        chat: &Chat,
        (id, typeu, text): (&str, i32, String),
        reply: Reply,
        batch: &mut Batch,
    ) {
        let problem = ids::check_message_id(id).err();
        let problem = problem.map(|problem| DeskError::Id {
            id: id.to_owned(),
            problem: problem.to_string(),
        });
        let id = notice::authored(agent.0, id);
        let allowed = match self.may_say(agent, chat, typeu == code::DESK_NOTE) {
            Ok(allowed) if problem.is_none() => allowed,
            Ok(_) => return answer(reply, problem.map_or(Ok(()), Err)),
            Err(why) => return answer(reply, Err(why.into())),
        };
        let Some(names) = self.chats.get(&allowed) else {
            return answer(reply, Err(Refusal::NoEpisode.into()));
        };
        let id = Name::from(id);
        let draft = self.draft(names, id.clone(), typeu, text);
        batch.said.push((batch.drafts.len(), id, reply));
        batch.drafts.push(draft);
    }

    pub(super) fn may_say(
        &self,
        agent: AgentId,
        chat: &Chat,
        internal: bool,
    ) -> Result<EpisodeId, Refusal> {
        if !self.desk.agent(agent).is_some_and(|known| known.live) {
            return Err(Refusal::NotBound);
        }
        let open = self.episode(agent, chat);
        let open = open.and_then(|episode| Some((episode, self.desk.stage(episode)?)));
        let Some((episode, stage)) = open else {
            // A last word after the end reaches the customer at his next login (OCIM's OFFLINE).
            let late = match chat {
                Chat::Episode(episode) => {
                    let ended = self.desk.ended_episode(*episode);
                    let his = ended.is_some_and(|ended| ended.agent == Some(agent));
                    his.then_some(*episode)
                }
                Chat::Customer(user) => self.ended_with(agent, |chat| chat.customer == *user),
            };
            return late.ok_or(Refusal::NoEpisode);
        };
        let part = self.desk.supervisors(episode);
        let part = part
            .iter()
            .find(|(who, _)| *who == agent)
            .map(|(_, level)| *level);
        let may = stage.owner() == Some(agent)
            || part == Some(Supervision::Join)
            || internal && part == Some(Supervision::Whisper);
        if may {
            Ok(episode)
        } else {
            Err(Refusal::NotYours)
        }
    }

    /// The newest ended episode that this agent served to its end, as long as it can be rated.
    pub(super) fn ended_with(
        &self,
        agent: AgentId,
        wanted: impl Fn(&super::driver::Chat) -> bool,
    ) -> Option<EpisodeId> {
        let ended = self.chats.iter().filter(|(_, chat)| wanted(chat));
        let his = |id: &&EpisodeId| {
            let ended = self.desk.ended_episode(**id);
            ended.is_some_and(|ended| ended.agent == Some(agent))
        };
        ended.map(|(id, _)| id).filter(his).max().copied()
    }

    fn transfer(
        &self,
        agent: AgentId,
        chat: &Chat,
        to: &TransferTo,
        note: String,
    ) -> Result<Event, DeskError> {
        if note.len() > limits::DESK_NOTE_BYTES_MAX {
            return Err(DeskError::TooLong {
                what: "the remark",
                bytes: note.len(),
                max: limits::DESK_NOTE_BYTES_MAX,
            });
        }
        let episode = self.episode(agent, chat).ok_or(Refusal::NoEpisode)?;
        let to = match to {
            TransferTo::Agent(account) => {
                let known = self.roster.agents.get(&**account).ok_or(Refusal::NoAgent)?;
                Target::Agent(AgentId(known.number))
            }
            TransferTo::Team(team, skills) => {
                let known = self.roster.teams.get(&**team).ok_or(Refusal::NoTeam)?;
                let skills = super::settings::skills(&self.roster, skills);
                Target::Team(TeamId(known.number), skills)
            }
        };
        Ok(Event::Transfer {
            agent,
            episode,
            to,
            note: note.into(),
        })
    }

    /// What a customer asks for.
    pub(super) async fn customer_act(
        &mut self,
        customer: &Name,
        team: &Name,
        act: CustomerAct,
        reply: Reply,
        batch: &mut Batch,
    ) {
        let open = self.customers.get(customer).into_iter().flatten();
        let here = |conversation: &&ConversationId| {
            let episode = self.desk.episode_of(**conversation);
            let chat = episode.and_then(|episode| self.chats.get(&episode));
            chat.is_some_and(|chat| chat.address == *team)
        };
        let open = { open }.find(here).copied();
        let event = match act {
            CustomerAct::Leave => open.map(Event::CustomerLeaves),
            CustomerAct::LeaveMessage => open.map(Event::LeaveMessage),
            CustomerAct::Rate { text, .. } if text.len() > limits::DESK_NOTE_BYTES_MAX => {
                let error = DeskError::TooLong {
                    what: "the text",
                    bytes: text.len(),
                    max: limits::DESK_NOTE_BYTES_MAX,
                };
                return answer(reply, Err(error));
            }
            CustomerAct::Rate {
                episode,
                stars,
                text,
            } => {
                let chat = self.chats.get(&episode);
                let chat = chat.filter(|chat| chat.customer == *customer);
                chat.map(|chat| Event::Rate {
                    conversation: chat.conversation,
                    episode,
                    stars,
                    text: text.into(),
                })
            }
        };
        let Some(event) = event else {
            return answer(reply, Err(Refusal::NoEpisode.into()));
        };
        let before = batch.after.len();
        self.step(event, batch);
        let refused = refusal(&batch.after[before..], |who| {
            matches!(who, Asker::Customer(_))
        });
        let outcome = refused.map_or(Ok(()), |why| Err(why.into()));
        batch.asked.push((reply, outcome));
    }
}

pub(super) fn answer(reply: Reply, outcome: Result<(), DeskError>) {
    let _ = reply.send(outcome); // whoever asked may have gone
}

/// Why a row was not stored.
pub(super) fn problem(outcome: Option<Submission>) -> String {
    match outcome {
        Some(Submission::Failed(reason)) => reason,
        None => "the server stops".to_owned(),
        Some(other) => format!("{other:?}"),
    }
}

/// What became of an agent's text.
pub(super) fn said(id: &str, outcome: Option<&Submission>) -> Result<(), DeskError> {
    match outcome {
        Some(Submission::Decided(Verdict::New(_) | Verdict::Duplicate(_))) => Ok(()),
        Some(Submission::Decided(Verdict::Conflict)) => Err(DeskError::Id {
            id: id.to_owned(),
            problem: "was used for another content; use a new id for each message".to_owned(),
        }),
        Some(Submission::TooLarge { bytes, max }) => Err(DeskError::TooLong {
            what: "the message",
            bytes: *bytes,
            max: *max,
        }),
        None => Err(DeskError::Stopped),
        Some(other) => Err(DeskError::Store(problem(Some(other.clone())))),
    }
}
