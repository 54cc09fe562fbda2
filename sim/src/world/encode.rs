//! From a shard's actions to bytes, as the server's encoder does it.

use std::borrow::Cow;

use tidings_core::message::Message;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Form, Frame};

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

pub(crate) fn message(message: &Message, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    mobileimsdk::encode_message(message, form, true, &mut out);
    out
}

/// The length of a message's frame.
pub(crate) fn length(of: &Message, form: Form) -> usize {
    message(of, form).len()
}
