//! One frame in one WebSocket text message.

use std::io;

use tidings_core::wire::mobileimsdk::Frame;

use super::stream::Stream;
use super::{Heard, Target, invalid};

pub(crate) struct WebSocket {
    pub(super) stream: Stream,
}

impl WebSocket {
    pub(super) async fn open(target: &Target) -> io::Result<WebSocket> {
        let _ = &target.path;
        Err(invalid("not yet"))
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Heard>> {
        Ok(Some(Heard::Sign))
    }

    pub(super) fn push(&mut self, _frame: &Frame<'_>) {}

    pub(super) fn push_close(&mut self) {}
}
