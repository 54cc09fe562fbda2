//! What customers and agents wrote, and who came and went, from the log's words to the machine's.

use tidings_core::desk::{AgentId, Event, Stage, TeamId, Wanted};
use tidings_core::ids::Name;
use tidings_core::message::MessageRef;
use tidings_core::wire::code;

use super::driver::{After, Batch, Chat, Driver};
use super::notice;
use super::row::Who;

impl Driver {
    /// A message of one of the tenant's conversations.
    pub(super) fn message(&mut self, message: &MessageRef, batch: &mut Batch) {
        if message.position <= self.upto {
            return; // the log has been followed beyond it
        }
        self.upto = message.position;
        let conversation = message.conversation;
        if message.to.starts_with('@') && !message.from.starts_with('@') {
            if let Some(agent) = self.roster.agents.get(&message.from) {
                let agent = AgentId(agent.number);
                return self.agent_typed(agent, message, batch);
            }
            batch
                .messages
                .insert((conversation, message.seq), message.clone());
            self.arrives(message, batch);
        } else if matches!(
            message.typeu,
            code::DESK_TEAM_GREETING | code::DESK_AGENT_GREETING
        ) {
            self.greeted(message, batch);
        } else if let Some((agent, _)) = notice::author(&message.id)
            && !matches!(message.typeu, code::DESK_NOTICE | code::DESK_RECORD)
        {
            batch
                .messages
                .insert((conversation, message.seq), message.clone());
            let Some(episode) = self.desk.episode_of(conversation) else {
                let late =
                    self.ended_with(AgentId(agent), |chat| chat.conversation == conversation);
                if let Some(episode) = late {
                    batch.row.late.push((episode.0, conversation, message.seq));
                    batch.row.who.push(Who {
                        conversation,
                        customer: (*message.to).into(),
                        team: (*message.from).into(),
                    });
                }
                return;
            };
            let says = Event::AgentSays {
                agent: AgentId(agent),
                episode,
                seq: message.seq,
                internal: message.typeu == code::DESK_NOTE,
            };
            self.step_at(self.now(), says, batch);
        }
    }

    /// The desk greeted a customer: his agent sees it, too.
    fn greeted(&self, message: &MessageRef, batch: &mut Batch) {
        let episode = self.desk.episode_of(message.conversation);
        let stage = episode.and_then(|episode| self.desk.stage(episode));
        if let Some(episode) = episode
            && let Some(owner) = stage.and_then(Stage::owner)
        {
            let show = After::Show(episode, owner, message.clone());
            batch.after.push(show);
        }
    }

    fn arrives(&mut self, message: &MessageRef, batch: &mut Batch) {
        let name = message.to.trim_start_matches('@');
        if message.to.contains('/') {
            // He was an agent when he wrote it.
            return self.no_agent(message, batch);
        }
        let Some(team) = self.roster.teams.get(name) else {
            return;
        };
        let conversation = message.conversation;
        if self.desk.episode_of(conversation).is_none() {
            batch.row.who.push(Who {
                conversation,
                customer: (*message.from).into(),
                team: (*message.to).into(),
            });
        }
        let wants = self.tenant.wants(&message.from, name);
        let wanted = Wanted {
            team: TeamId(team.number),
            skills: super::settings::skills(&self.roster, &wants.skills),
            priority: wants.priority,
            former: self.former.get(conversation),
            excluded: Vec::new(),
        };
        let arrive = Event::Arrive {
            conversation,
            wanted,
            seq: message.seq,
        };
        let names = Chat {
            conversation,
            customer: message.from.clone(),
            address: message.to.clone(),
        };
        self.tenant.meet(&message.from);
        self.opening(names, |driver| driver.step_at(driver.now(), arrive, batch));
    }

    /// Steps with something that may open an episode of this conversation: its names are known
    /// before anybody is told of it.
    fn opening(&mut self, names: Chat, step: impl FnOnce(&mut Driver)) {
        let conversation = names.conversation;
        let known = self.customers.entry(names.customer.clone()).or_default();
        if !known.contains(&conversation) {
            known.push(conversation);
        }
        let customer = names.customer.clone();
        self.opening = Some(names);
        step(self);
        self.opening = None;
        if self.desk.episode_of(conversation).is_none() {
            self.forget(&customer, conversation);
        }
    }

    /// A session of a user came or went.
    pub(super) fn link(&mut self, user: &Name, batch: &mut Batch) {
        let live = !self.router.online(Some(user)).is_empty();
        if let Some(agent) = self.roster.agents.get(user) {
            let agent = AgentId(agent.number);
            return self.agent_link(agent, live, batch);
        }
        let Some(conversations) = self.customers.get(user).cloned() else {
            return;
        };
        for conversation in conversations {
            self.step(Event::CustomerLink { conversation, live }, batch);
        }
    }
}
