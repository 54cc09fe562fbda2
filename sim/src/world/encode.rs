//! From a shard's actions to bytes, as the server's encoder does it.

use std::borrow::Cow;

use tidings_core::message::Message;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Frame};

pub(crate) fn control(frame: &Frame<'_>, now_ms: i64) -> Vec<u8> {
    let stamped = Frame {
        sm: now_ms,
        ..frame.clone()
    };
    let mut out = Vec::new();
    mobileimsdk::encode(&stamped, &mut out);
    out
}

pub(crate) fn plain(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    mobileimsdk::encode(frame, &mut out);
    out
}

pub(crate) fn acknowledgement(
    id: &str,
    from: &str,
    to: &str,
    extension: Option<(u64, i64)>,
) -> Vec<u8> {
    let frame = Frame {
        kind: code::RECEIVED,
        data: Some(Cow::Borrowed(id)),
        from: Some(Cow::Borrowed(from)),
        to: Some(Cow::Borrowed(to)),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    };
    match extension {
        None => plain(&frame),
        Some((seq, time_ms)) => {
            let mut out = Vec::new();
            mobileimsdk::encode_extended(&frame, seq, time_ms, &mut out);
            out
        }
    }
}

pub(crate) fn message(message: &Message, extended: bool) -> Vec<u8> {
    let stored = message.seq > 0;
    let frame = Frame {
        kind: code::COMMON_DATA,
        data: Some(Cow::Borrowed(&message.body)),
        from: Some(Cow::Borrowed(&message.from)),
        to: Some(Cow::Borrowed(&message.to)),
        fp: (!message.id.is_empty()).then(|| Cow::Borrowed(&*message.id)),
        qos: stored,
        typeu: message.typeu,
        sm: message.time_ms,
        ..Frame::default()
    };
    if extended && stored {
        let mut out = Vec::new();
        mobileimsdk::encode_extended(&frame, message.seq, message.time_ms, &mut out);
        out
    } else {
        plain(&frame)
    }
}

/// The length of a message's frame, without the extension.
pub(crate) fn length(of: &Message) -> usize {
    message(of, false).len()
}
