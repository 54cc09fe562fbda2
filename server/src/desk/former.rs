//! Who served a conversation last. Bounded: the one that was served longest ago is forgotten.

use std::collections::{BTreeMap, HashMap};

use tidings_core::desk::AgentId;
use tidings_core::ids::ConversationId;
use tidings_core::limits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Former {
    by_conversation: HashMap<ConversationId, (AgentId, u64)>,
    by_age: BTreeMap<u64, ConversationId>,
    next: u64,
}

impl Former {
    /// He serves it now.
    pub(super) fn set(&mut self, conversation: ConversationId, agent: AgentId) {
        self.next += 1;
        let known = self
            .by_conversation
            .insert(conversation, (agent, self.next));
        if let Some((_, age)) = known {
            self.by_age.remove(&age);
        }
        self.by_age.insert(self.next, conversation);
        if self.by_conversation.len() > limits::DESK_FORMER_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_conversation.remove(&oldest);
        }
    }

    pub(super) fn get(&self, conversation: ConversationId) -> Option<AgentId> {
        let (agent, _) = self.by_conversation.get(&conversation)?;
        Some(*agent)
    }

    /// All, the one that was served longest ago first.
    pub(super) fn all(&self) -> Vec<(ConversationId, AgentId)> {
        let all = self.by_age.values();
        all.filter_map(|conversation| Some((*conversation, self.get(*conversation)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_the_one_served_longest_ago_is_forgotten() {
        let mut former = Former::default();
        let most = limits::DESK_FORMER_MAX as u64;
        for conversation in 0..most {
            former.set(ConversationId(conversation), AgentId(1));
        }
        former.set(ConversationId(0), AgentId(2));
        former.set(ConversationId(most), AgentId(3));
        assert_eq!(former.get(ConversationId(1)), None);
        let all = former.all();
        assert_eq!(all.len(), limits::DESK_FORMER_MAX);
        assert_eq!(all[0], (ConversationId(2), AgentId(1)));
        assert_eq!(
            all[all.len() - 2..],
            [
                (ConversationId(0), AgentId(2)),
                (ConversationId(most), AgentId(3))
            ]
        );
    }
}
