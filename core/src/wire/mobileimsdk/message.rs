//! A message as a frame: in which forms it may leave, and how long each is.

use std::borrow::Cow;

use super::{Frame, encode, encode_extended};
use crate::message::Message;
use crate::wire::code;

/// How a message is written for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With the time of custody in `sm`, for a MobileIMSDK client.
    Plain,
    /// With `sm` −1, as its sender wrote it: the time would make the frame longer than the
    /// receiver takes.
    Untimed,
    /// With `id`, `seq` and `time` as well, for a session that declared the extension.
    Extended,
}

/// Lengths of a message's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Of [`Form::Untimed`], in bytes of JSON.
    pub untimed: usize,
    /// What the time adds.
    pub time: usize,
    /// What the extension adds on top of the time.
    pub extension: usize,
}

impl Lengths {
    /// In this form.
    #[must_use]
    pub fn of(&self, form: Form) -> usize {
        match form {
            Form::Untimed => self.untimed,
            Form::Plain => self.untimed + self.time,
            Form::Extended => self.untimed + self.time + self.extension,
        }
    }
}

fn frame_of(message: &Message, sm: i64) -> Frame<'_> {
    Frame {
        kind: code::COMMON_DATA,
        data: Some(Cow::Borrowed(&message.body)),
        from: Some(Cow::Borrowed(&message.from)),
        to: Some(Cow::Borrowed(&message.to)),
        fp: (!message.id.is_empty()).then(|| Cow::Borrowed(&*message.id)),
        qos: message.seq > 0,
        typeu: message.typeu,
        sm,
        ..Frame::default()
    }
}

/// Appends a message as JSON, with `QoS` if it is stored. `timed` is false if the server does not
/// tell times (`delivery.server_timestamp`). What is not stored has nothing to extend.
pub fn encode_message(message: &Message, form: Form, timed: bool, out: &mut Vec<u8>) {
    let sm = match timed && form != Form::Untimed {
        true => message.time_ms,
        false => -1,
    };
    let frame = frame_of(message, sm);
    if form == Form::Extended && message.seq > 0 {
        encode_extended(&frame, message.seq, message.time_ms, out);
    } else {
        encode(&frame, out);
    }
}

/// The lengths of a message's frame. `scratch` is overwritten.
#[must_use]
pub fn lengths(message: &Message, scratch: &mut Vec<u8>) -> Lengths {
    scratch.clear();
    encode_message(message, Form::Extended, true, scratch);
    let extended = scratch.len();
    scratch.clear();
    encode_message(message, Form::Plain, true, scratch);
    let plain = scratch.len();
    let digits = |number: i64| number.to_string().len();
    let time = digits(message.time_ms).saturating_sub(digits(-1));
    Lengths {
        untimed: plain - time,
        time,
        extension: extended - plain,
    }
}
