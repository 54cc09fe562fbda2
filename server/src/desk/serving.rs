//! Which agents may write to which customers' addresses: what the machine knows, as the shard is told
//! it. An agent's text then is a record of the customer's conversation at once, whatever client he
//! uses.

use std::collections::HashMap;

use tidings_core::desk::{AgentId, EpisodeId, Record, Stage, Supervision};
use tidings_core::ids::{ConversationId, Name};
use tidings_core::shard::Input;

use super::driver::{Chat, Driver};

/// What the shard was told about one customer of a team.
#[derive(Debug)]
pub(super) struct Served {
    /// `@team/customer`.
    address: Name,
    /// The episode that gives the right.
    episode: EpisodeId,
    /// Accounts and numbers.
    agents: Vec<(Name, u32)>,
}

/// By conversation.
pub(super) type Serving = HashMap<ConversationId, Served>;

impl Driver {
    /// After a step is on disk, and before anybody hears of it: the shard learns what it changed.
    pub(super) fn tell_serving<'r>(&mut self, records: impl Iterator<Item = &'r Record>) {
        let mut touched: Vec<EpisodeId> = records.filter_map(Record::episode).collect();
        touched.sort_unstable();
        touched.dedup();
        for episode in touched {
            if let Some(chat) = self.chats.get(&episode).cloned() {
                let open = self.desk.episode_of(chat.conversation);
                self.serve(&chat, open.unwrap_or(episode));
            }
        }
    }

    /// The shard learns all of it: after the machine was made again.
    pub(super) fn tell_serving_all(&mut self) {
        let mut newest: HashMap<ConversationId, EpisodeId> = HashMap::new();
        for (episode, chat) in &self.chats {
            let of = newest.entry(chat.conversation).or_insert(*episode);
            *of = (*of).max(*episode);
        }
        let gone = self.serving.keys().filter(|c| !newest.contains_key(c));
        for conversation in gone.copied().collect::<Vec<_>>() {
            self.end_serving(conversation);
        }
        for episode in newest.into_values() {
            if let Some(chat) = self.chats.get(&episode).cloned() {
                self.serve(&chat, episode);
            }
        }
    }

    /// Nobody can speak of these episodes any more.
    pub(super) fn forget_serving(&mut self, forgotten: &[(EpisodeId, ConversationId)]) {
        for (episode, conversation) in forgotten {
            let of = self.serving.get(conversation).map(|served| served.episode);
            if of == Some(*episode) {
                self.end_serving(*conversation);
            }
        }
    }

    fn serve(&mut self, chat: &Chat, episode: EpisodeId) {
        let now = self.serving_now(episode);
        let address = Name::from(format!("{}/{}", chat.address, chat.customer));
        let before = self.serving.get(&chat.conversation);
        let before = before.map_or(Vec::new(), |served| served.agents.clone());
        let ended = before.iter().filter(|agent| !now.contains(agent));
        let begun = now.iter().filter(|agent| !before.contains(agent));
        for (agent, serves) in ended.map(|a| (a, false)).chain(begun.map(|a| (a, true))) {
            self.feed_serve(&address, agent, serves);
        }
        let served = Served {
            address,
            episode,
            agents: now,
        };
        self.serving.insert(chat.conversation, served);
    }

    fn end_serving(&mut self, conversation: ConversationId) {
        if let Some(served) = self.serving.remove(&conversation) {
            for agent in &served.agents {
                self.feed_serve(&served.address, agent, false);
            }
        }
    }

    fn feed_serve(&self, address: &Name, (agent, number): &(Name, u32), serves: bool) {
        self.router.feed(Input::Serve {
            address,
            agent,
            number: *number,
            serves,
        });
    }

    /// Who may write to the customer: his agent and those who have joined; after the end, for as
    /// long as it can be rated, who served him to it (a last word waits for the customer).
    fn serving_now(&self, episode: EpisodeId) -> Vec<(Name, u32)> {
        let mut agents: Vec<AgentId> = Vec::new();
        if let Some(stage) = self.desk.stage(episode) {
            agents.extend(Stage::owner(stage));
            let parts = self.desk.supervisors(episode).into_iter();
            let joined = parts.filter(|(_, level)| *level == Supervision::Join);
            agents.extend(joined.map(|(agent, _)| agent));
        } else {
            let ended = self.desk.ended_episode(episode);
            agents.extend(ended.and_then(|ended| ended.agent));
        }
        let names = agents.into_iter().filter_map(|agent| {
            let (account, _) = self.roster.agent(agent.0)?;
            Some((account.clone(), agent.0))
        });
        names.collect()
    }
}
