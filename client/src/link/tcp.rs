//! Frames with a length prefix on TCP.

use std::io;

use tidings_core::limits;
use tidings_core::wire::mobileimsdk::tcp::{self, Step};
use tidings_core::wire::mobileimsdk::{self, Frame};

use super::stream::Stream;
use super::{Heard, Target, invalid, read_frame};

/// Servers may be configured for longer frames than clients accept by default.
const FRAME_BYTES_MAX: usize = limits::WEBSOCKET_MESSAGE_BYTES_MAX;

pub(crate) struct Tcp {
    pub(super) stream: Stream,
}

impl Tcp {
    pub(super) async fn open(target: &Target) -> io::Result<Tcp> {
        let stream = Stream::open(target).await?;
        Ok(Tcp { stream })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Heard>> {
        let step = tcp::next(self.stream.input(), FRAME_BYTES_MAX)
            .map_err(|error| invalid(format!("the server sent no frame: {error}")))?;
        let Step::Frame { body, used } = step else {
            return Ok(None);
        };
        let heard = read_frame(body)?;
        self.stream.consume(used);
        Ok(Some(heard))
    }

    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        tcp::put(self.stream.output(), |out| mobileimsdk::encode(frame, out));
    }
}
