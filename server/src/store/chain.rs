//! How the messages of one conversation hang together without an index of `(conversation, seq)`.
//!
//! Every row names its predecessor and one farther ancestor (Myers' skew-binary jump pointers), so
//! that any number is found from the head in `O(log n)` point reads, and an append writes nothing
//! but its own row at the end of the log.

/// A row's place: its number in the conversation and its position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: u64,
    /// 0: there is no such row (before the first, or removed).
    pub(crate) position: u64,
}

/// Where a conversation ends, with all that the next append needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The conversation's number.
    pub(crate) conversation: u64,
    /// The head and its jump ancestors, the farthest first. Always starts with the empty link
    /// `(0, 0)` and has about `2 log₂ seq` members at most.
    spine: Vec<Link>,
}

/// What a new row says about its ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointers {
    pub(crate) seq: u64,
    pub(crate) prev: u64,
    pub(crate) jump: u64,
}

const NOTHING: Link = Link {
    seq: 0,
    position: 0,
};

impl Head {
    /// A conversation that has no message yet.
    pub(crate) fn empty(conversation: u64) -> Head {
        Head {
            conversation,
            spine: vec![NOTHING],
        }
    }

    /// A head found in the log: `ancestors` are the head's row and its jump ancestors, the head
    /// first. Where rows are missing (retention), the positions below are unknown and count as
    /// gone, which they are, because only prefixes are removed.
    pub(crate) fn from_ancestors(conversation: u64, ancestors: &[Link]) -> Head {
        let mut spine: Vec<Link> = ancestors.to_vec();
        let mut seq = spine.last().map_or(0, |link| link.seq);
        while seq > 0 {
            seq = jump_seq(seq);
            spine.push(Link { seq, position: 0 });
        }
        if spine.is_empty() {
            spine.push(NOTHING);
        }
        spine.reverse();
        Head {
            conversation,
            spine,
        }
    }

    /// The last number; 0 if there is none.
    pub(crate) fn seq(&self) -> u64 {
        self.last().seq
    }

    /// The last message's position.
    pub(crate) fn position(&self) -> u64 {
        self.last().position
    }

    fn last(&self) -> Link {
        self.spine.last().copied().unwrap_or(NOTHING)
    }

    /// The nearest known row at or above `seq`: where a search for it begins.
    pub(crate) fn nearest(&self, seq: u64) -> Option<Link> {
        let at = self.spine.partition_point(|link| link.seq < seq);
        self.spine[at..]
            .iter()
            .find(|link| link.position > 0)
            .copied()
    }

    /// What the row of the next message would point at.
    pub(crate) fn next(&self, position: u64) -> Pointers {
        debug_assert!(position > self.position());
        let parent = self.last();
        let jump = match self.spine[..] {
            [.., far, middle, near] if near.seq - middle.seq == middle.seq - far.seq => far,
            _ => parent,
        };
        Pointers {
            seq: parent.seq + 1,
            prev: parent.position,
            jump: jump.position,
        }
    }

    /// Appends a message and says what its row points at.
    pub(crate) fn push(&mut self, position: u64) -> Pointers {
        let pointers = self.next(position);
        if let [.., far, middle, near] = self.spine[..]
            && near.seq - middle.seq == middle.seq - far.seq
        {
            self.spine.truncate(self.spine.len() - 2);
        }
        let seq = pointers.seq;
        self.spine.push(Link { seq, position });
        pointers
    }
}

/// The number that the row `seq` jumps to: a function of the number alone.
pub(crate) fn jump_seq(seq: u64) -> u64 {
    // Greedy skew-binary decomposition of `seq` into 2^k - 1; the jump spans the last part.
    let mut rest = seq;
    let mut part = 0;
    while rest > 0 {
        part = u64::MAX >> (rest.saturating_add(1).leading_zeros() + 1);
        if rest == u64::MAX {
            return 0;
        }
        rest -= part;
    }
    seq - part
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
