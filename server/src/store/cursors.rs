//! What a cursor means: which part of a conversation is still owed to a device.

use tidings_core::custody::Cursor;
use tidings_core::ids::{ConversationId, DeviceId};

/// The cursor of a device that has none in this conversation.
pub(crate) fn fresh(device: DeviceId, conversation: u64, acked: u64) -> Cursor {
    Cursor {
        device,
        conversation: ConversationId(conversation),
        acked,
        sparse: Vec::new(),
        unanswered: Vec::new(),
    }
}

/// A cursor of a group's member, who is owed nothing from before he joined.
pub(crate) fn since_joined(mut cursor: Cursor, joined: u64) -> Cursor {
    if cursor.acked < joined {
        cursor.acked = joined;
        cursor.sparse.retain(|seq| *seq > joined);
        cursor.unanswered.retain(|(seq, _)| *seq > joined);
    }
    cursor
}
