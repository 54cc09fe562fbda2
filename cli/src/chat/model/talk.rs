//! One conversation as this session knows it.

use std::collections::VecDeque;

use tidings_client::Incoming;

use crate::chat::line::Line;

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Somebody else's.
    Received,
    /// Typed, and not yet in the outbox.
    Typed,
    /// ✓ In the outbox, sent or about to be.
    Sent,
    /// ✓✓ Acknowledged: the server has stored it.
    Stored,
    /// It will not arrive, and why.
    Failed(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Counts all entries of this session; never twice.
    pub(crate) number: u64,
    /// The message's id; empty as long as it has none.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) text: String,
    pub(crate) time_ms: i64,
    pub(crate) mark: Mark,
}

#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) peer: String,
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) unread: usize,
    /// When somebody else last wrote here.
    pub(crate) heard_ms: Option<i64>,
    pub(crate) draft: Line,
    /// Rows below the lowest visible one.
    pub(crate) back: usize,
    /// Number of the newest entry ever; how old the conversation is among others.
    pub(crate) newest: u64,
}

impl Talk {
    pub(crate) fn new(peer: &str, newest: u64) -> Talk {
        Talk {
            peer: peer.to_owned(),
            entries: VecDeque::new(),
            unread: 0,
            heard_ms: None,
            draft: Line::default(),
            back: 0,
            newest,
        }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.newest = entry.number;
        self.entries.push_back(entry);
    }

    /// The own message of this number, unless it is so old that it was forgotten.
    pub(crate) fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let newest_first = self.entries.iter_mut().rev();
        newest_first
            .take_while(|entry| entry.number >= number)
            .find(|entry| entry.number == number)
    }

    /// Whether an own message is still on its way.
    pub(crate) fn is_busy(&self) -> bool {
        let on_way = |entry: &Entry| matches!(entry.mark, Mark::Typed | Mark::Sent);
        self.entries.iter().any(on_way)
    }
}

/// Under which name the conversation of a message is listed.
pub(crate) fn peer_of<'a>(me: &str, message: &'a Incoming) -> &'a str {
    // What this user sent from another device belongs to whom he sent it.
    let to_many = message.to.starts_with(['#', '@']);
    if to_many || *message.from == *me {
        &message.to
    } else {
        &message.from
    }
}
