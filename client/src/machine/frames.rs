//! Frames as a client writes and reads them (`docs/protocol.md` §3, §5).

use std::borrow::Cow;

use tidings_core::ids::{self, Name};
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::login::{self, Login};
use tidings_core::wire::mobileimsdk::{self, Extended, Frame};

use super::{Config, Outgoing};
use crate::event::Incoming;

fn own(text: &str) -> Option<Cow<'static, str>> {
    Some(Cow::Owned(text.to_owned()))
}

fn to_server(config: &Config, kind: i32) -> Frame<'static> {
    Frame {
        kind,
        from: own(&config.user),
        to: Some(Cow::Borrowed(ids::SERVER)),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    }
}

pub(super) fn login(config: &Config, first_login_time: i64) -> Frame<'static> {
    let payload = Login {
        user: Some(config.user.to_string()),
        token: config.token.clone(),
        extra: config.extra.clone(),
        first_login_time,
        tidings: config.declared.clone(),
    };
    Frame {
        data: Some(Cow::Owned(login::encode_login(&payload))),
        ..to_server(config, code::LOGIN)
    }
}

pub(super) fn logout(config: &Config) -> Frame<'static> {
    to_server(config, code::LOGOUT)
}

pub(super) fn keepalive(config: &Config) -> Frame<'static> {
    Frame {
        data: Some(Cow::Borrowed("{}")),
        ..to_server(config, code::KEEPALIVE)
    }
}

pub(super) fn message(config: &Config, message: &Outgoing) -> Frame<'static> {
    Frame {
        data: own(&message.text),
        to: own(&message.to),
        fp: own(&message.id),
        qos: message.qos,
        typeu: message.typeu,
        ..to_server(config, code::COMMON_DATA)
    }
}

/// The acknowledgement of `frame`; none if it has no id.
pub(super) fn acknowledgement(frame: &Frame<'static>) -> Option<Frame<'static>> {
    let id = frame.fp.clone()?;
    Some(Frame {
        bridge: frame.bridge,
        kind: code::RECEIVED,
        data: Some(id),
        from: frame.to.clone(),
        to: frame.from.clone(),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    })
}

pub(super) fn encoded_len(frame: &Frame<'_>) -> usize {
    let mut bytes = Vec::new();
    mobileimsdk::encode(frame, &mut bytes);
    bytes.len()
}

pub(super) fn seq(extended: Option<Extended>) -> Option<u64> {
    extended.map(|extended| extended.seq).filter(|seq| *seq > 0)
}

pub(super) fn incoming(frame: &Frame<'static>, extended: Option<Extended>) -> Incoming {
    let name = |text: &Option<Cow<'static, str>>| Name::from(text.as_deref().unwrap_or_default());
    let time_ms = extended.map_or(frame.sm, |extended| extended.time_ms);
    Incoming {
        from: name(&frame.from),
        to: name(&frame.to),
        id: name(&frame.fp),
        seq: seq(extended),
        time_ms: Some(time_ms).filter(|time| *time > 0),
        typeu: frame.typeu,
        text: frame.data.as_deref().unwrap_or_default().to_owned(),
    }
}

/// Whether a message refused with this code will never be taken, however often it is sent.
pub(super) fn is_final(code: i32) -> bool {
    matches!(
        code,
        code::REFUSED_NO_ID
            | code::REFUSED_CONFLICT
            | code::REFUSED_TOO_LARGE
            | code::REFUSED_ADDRESS
            | code::REFUSED_NOT_MEMBER
            | code::REFUSED_FRAME
    )
}
