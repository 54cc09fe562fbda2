//! Counting by looking: what `/metrics` shows beside what is counted as it happens.

use tidings_core::message::Message;
use tidings_core::session::Transport;

use super::{Deliveries, Router};
use crate::link::LinkEnd;
use crate::metrics::{Sample, Snapshot};
use crate::store::Size;

impl Router {
    /// What is remembered of a message's way.
    pub(crate) fn deliveries(&self, message: &Message) -> Option<Deliveries> {
        self.guarded.lock().trail.of(message)
    }

    /// What is counted, at this moment. Looks at every link under the lock: some nanoseconds for
    /// each, every few seconds.
    pub(crate) fn stats(&self, store: Size) -> Snapshot {
        let mut sample = Sample {
            store,
            loads: self.loader.len() as u64,
            notices_missed: self.notices_missed(),
            ..Sample::default()
        };
        {
            let guarded = self.guarded.lock();
            sample.queue_records = guarded.node.gathered().len() as u64;
            sample.queue_bytes = guarded.node.gathered_bytes() as u64;
            sample.submissions = guarded.submissions.len() as u64;
            for entry in guarded.links.iter().flatten() {
                let Some(transport) = guarded.node.shard().transport_of(entry.link) else {
                    continue;
                };
                sample.connections[place(transport)] += 1;
                let LinkEnd::Stream(stream) = &entry.end else {
                    continue;
                };
                sample.slow_readers += u64::from(stream.is_held_back());
            }
            sample.sessions = guarded.node.shard().sessions().count() as u64;
        }
        self.metrics.read(&sample)
    }
}

/// Where a transport stands in [`crate::metrics::TRANSPORTS`].
fn place(transport: Transport) -> usize {
    match transport {
        Transport::Tcp => 0,
        Transport::Udp => 1,
        Transport::WebSocket => 2,
        Transport::Local => 3,
    }
}
