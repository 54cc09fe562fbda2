//! How long a message may be: for its sender what his transport takes, for each receiver what its
//! transport and its client take. No setting makes us send what breaks a receiver.

use super::Shard;
use crate::custody::Draft;
use crate::ids::ConversationId;
use crate::limits;
use crate::message::Message;
use crate::session::{Session, Transport};
use crate::wire::mobileimsdk::{Form, Lengths, lengths};

/// Everything in a frame but names, id and body, the extension included, rounded up.
const FRAME_OVERHEAD_BYTES: usize = 300;

/// Measures messages, and remembers the last one, because a message to a group is measured for each
/// of its members.
#[derive(Debug, Default)]
pub(super) struct Ruler {
    scratch: Vec<u8>,
    last: Option<((ConversationId, u64, usize), Lengths)>,
}

impl Ruler {
    fn lengths(&mut self, message: &Message) -> Lengths {
        let key = (message.conversation, message.seq, message.body.len());
        if let Some((measured, lengths)) = self.last
            && measured == key
            && message.seq > 0
        {
            return lengths;
        }
        let lengths = lengths(message, &mut self.scratch);
        self.last = Some((key, lengths));
        lengths
    }

    /// In which form a message goes out to a session; `None` if it takes none.
    pub(super) fn form(&mut self, session: &Session, message: &Message) -> Option<Form> {
        let extended = session.identity.as_ref().is_some_and(|i| i.extended);
        let usual = match extended {
            true => Form::Extended,
            false => Form::Plain,
        };
        let max = frame_bytes_max(session);
        if at_most(message.from.len(), &message.to, &message.id, &message.body) <= max {
            return Some(usual);
        }
        let lengths = self.lengths(message);
        let forms = match extended {
            true => &[Form::Extended][..],
            false => &[Form::Plain, Form::Untimed],
        };
        forms.iter().copied().find(|f| lengths.of(*f) <= max)
    }
}

/// An upper bound without looking: escaping makes a byte six at most.
fn at_most(from_bytes: usize, to: &str, id: &str, body: &str) -> usize {
    (from_bytes + to.len() + 2 * id.len() + body.len()) * 6 + FRAME_OVERHEAD_BYTES
}

/// The longest frame that a session takes, in bytes of JSON.
pub(super) fn frame_bytes_max(session: &Session) -> usize {
    let extended = session.identity.as_ref().is_some_and(|i| i.extended);
    match (session.transport, extended) {
        (Transport::Udp, false) => limits::DATAGRAM_PUSH_BYTES_MAX,
        (Transport::Tcp, false) | (Transport::Udp, true) => limits::FRAME_BYTES_MAX,
        (Transport::Tcp, true) | (Transport::WebSocket, _) => limits::WEBSOCKET_MESSAGE_BYTES_MAX,
        (Transport::Local, _) => usize::MAX,
    }
}

impl Shard {
    /// Whether a message is a frame of at most `bytes_max`, as its sender writes it: without our
    /// time. Its length if it is not.
    pub(super) fn fits(&mut self, draft: &Draft, bytes_max: usize) -> Result<(), usize> {
        if at_most(draft.from.len(), &draft.to, &draft.id, &draft.body) <= bytes_max {
            return Ok(());
        }
        let message = Message {
            conversation: ConversationId(0),
            seq: 0,
            position: 0,
            time_ms: -1,
            from: draft.from.clone(),
            to: draft.to.clone(),
            id: draft.id.clone(),
            typeu: draft.typeu,
            body: draft.body.clone(),
        };
        match lengths(&message, &mut self.ruler.scratch).untimed {
            bytes if bytes <= bytes_max => Ok(()),
            bytes => Err(bytes),
        }
    }
}
