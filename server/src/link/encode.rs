//! From a shard's actions to bytes, each form of a frame once however many receive it.

use std::borrow::Cow;
use std::sync::Arc;

use tidings_core::ids::Name;
use tidings_core::message::MessageRef;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::{self, Form, Frame};

/// Encodes frames, and remembers the last message in its last form, because a message to a group
/// is delivered many times in a row.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// `sm` carries the time of custody; −1 otherwise.
    pub(crate) server_timestamp: bool,
    scratch: Vec<u8>,
    last: Option<MessageRef>,
    last_form: Option<Form>,
}

impl Encoder {
    pub(crate) fn new(server_timestamp: bool) -> Encoder {
        Encoder {
            server_timestamp,
            ..Encoder::default()
        }
    }

    fn sm(&self, time_ms: i64) -> i64 {
        if self.server_timestamp { time_ms } else { -1 }
    }

    /// A control frame.
    pub(crate) fn control(&mut self, frame: &Frame<'_>, now_ms: i64) -> &[u8] {
        self.last = None;
        self.scratch.clear();
        // An echo is the client's own; the answer to a login carries its time as `firstLoginTime`,
        // and must stay short on UDP.
        let is_stamped = !matches!(frame.kind, code::ECHO_ANSWER | code::LOGIN_ANSWER);
        if self.server_timestamp && is_stamped {
            let stamped = Frame {
                sm: now_ms,
                ..frame.clone()
            };
            mobileimsdk::encode(&stamped, &mut self.scratch);
        } else {
            mobileimsdk::encode(frame, &mut self.scratch);
        }
        &self.scratch
    }

    /// An acknowledgement to a sender, in the receiver's name.
    pub(crate) fn acknowledgement(
        &mut self,
        id: &Name,
        from: &Name,
        to: &Name,
        (seq, time_ms): (u64, i64),
        extended: bool,
    ) -> &[u8] {
        self.last = None;
        self.scratch.clear();
        let frame = Frame {
            kind: code::RECEIVED,
            data: Some(Cow::Borrowed(id)),
            from: Some(Cow::Borrowed(from)),
            to: Some(Cow::Borrowed(to)),
            typeu: -1,
            sm: self.sm(time_ms),
            ..Frame::default()
        };
        if extended {
            mobileimsdk::encode_extended(&frame, seq, time_ms, &mut self.scratch);
        } else {
            mobileimsdk::encode(&frame, &mut self.scratch);
        }
        &self.scratch
    }

    /// A message; with QoS if it is stored.
    pub(crate) fn message(&mut self, message: &MessageRef, form: Form) -> &[u8] {
        let same = self
            .last
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, message));
        if same && self.last_form == Some(form) {
            return &self.scratch;
        }
        self.last = Some(message.clone());
        self.last_form = Some(form);
        self.scratch.clear();
        mobileimsdk::encode_message(message, form, self.server_timestamp, &mut self.scratch);
        &self.scratch
    }
}
