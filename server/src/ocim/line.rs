//! What waits to be sent to one customer or agent: numbered, kept until it is confirmed, and only
//! then acknowledged to whoever gave it. One for each session, whatever its transport.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tidings_core::desk::EpisodeId;
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tidings_core::wire::ocim::Packet;
use tokio::sync::Notify;

/// What is to be done once a packet is known to have arrived.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Done {
    /// Nothing: it is lost with its session.
    Nothing,
    /// This message need not come again.
    Message(MessageRef),
    /// The agent has the messages of an episode up to this number.
    Episode(EpisodeId, u64),
}

/// One packet with its number.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) packet: Packet,
    done: Done,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Number of the newest packet.
    newest: u64,
    /// Up to this number everything was handed to the transport.
    sent: u64,
    closed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Line {
    /// Queues a packet. One that nothing depends on is dropped beyond
    /// [`limits::OCIM_WAITING_PACKETS_MAX`]: a session that is not read must not grow.
    pub(super) fn push(&self, packet: Packet, done: Done) {
        let mut queue = self.queue.lock();
        let full = queue.items.len() >= limits::OCIM_WAITING_PACKETS_MAX;
        if queue.closed || (full && done == Done::Nothing) {
            return;
        }
        queue.newest += 1;
        let seq = queue.newest;
        queue.items.push_back(Item { seq, packet, done });
        drop(queue);
        self.changed.notify_one();
    }

    /// True if this message waits already: an unacknowledged one is given again after a while.
    pub(super) fn holds(&self, message: &MessageRef) -> bool {
        let same = |item: &Item| {
            matches!(&item.done, Done::Message(held) if
            held.seq == message.seq && held.conversation == message.conversation)
        };
        self.queue.lock().items.iter().any(same)
    }

    /// Nothing more is taken; whoever waits for more learns it.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Everything that is not confirmed, also what was sent before.
    pub(super) fn unconfirmed(&self) -> Vec<Item> {
        let mut queue = self.queue.lock();
        queue.sent = queue.newest;
        queue.items.iter().cloned().collect()
    }

    /// What was not handed out yet, in order.
    pub(super) fn unsent(&self) -> Vec<Item> {
        let mut queue = self.queue.lock();
        let newest = queue.newest;
        let sent = std::mem::replace(&mut queue.sent, newest);
        let new = queue.items.iter().filter(|item| item.seq > sent);
        new.cloned().collect()
    }

    /// True if something is not confirmed.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.lock().items.is_empty()
    }

    /// Packets that are not confirmed.
    pub(super) fn count(&self) -> usize {
        self.queue.lock().items.len()
    }

    /// Everything up to this number has arrived, if it was handed out at all; what is to be done.
    pub(super) fn confirm(&self, upto: u64) -> Vec<Done> {
        let mut queue = self.queue.lock();
        let upto = upto.min(queue.sent);
        let count = queue.items.partition_point(|item| item.seq <= upto);
        queue.items.drain(..count).map(|item| item.done).collect()
    }

    /// Until something was queued, or it was closed. For one waiter.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::wire::ocim::PacketType;

    use super::*;

    fn push(line: &Line, count: usize) {
        for _ in 0..count {
            line.push(Packet::new(PacketType::Message), Done::Nothing);
        }
    }

    fn numbers(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.seq).collect()
    }

    #[test]
    fn what_is_not_confirmed_comes_again() {
        let line = Line::default();
        push(&line, 3);
        assert!(line.confirm(3).is_empty(), "nothing was handed out");
        assert_eq!(numbers(&line.unconfirmed()), [1, 2, 3]);
        assert_eq!(line.confirm(2).len(), 2);
        push(&line, 1);
        assert_eq!(numbers(&line.unconfirmed()), [3, 4]);
        assert_eq!(line.confirm(u64::MAX).len(), 2);
        assert!(!line.is_waiting());
    }

    #[test]
    fn a_websocket_gets_each_packet_once() {
        let line = Line::default();
        push(&line, 2);
        assert_eq!(numbers(&line.unsent()), [1, 2]);
        push(&line, 1);
        assert_eq!(numbers(&line.unsent()), [3]);
        assert!(line.unsent().is_empty());
        assert_eq!(line.confirm(1).len(), 1);
        assert_eq!(numbers(&line.unconfirmed()), [2, 3]);
    }

    #[test]
    fn it_is_bounded() {
        let line = Line::default();
        push(&line, limits::OCIM_WAITING_PACKETS_MAX + 1);
        assert_eq!(line.unconfirmed().len(), limits::OCIM_WAITING_PACKETS_MAX);
        line.push(
            Packet::new(PacketType::Message),
            Done::Episode(EpisodeId(1), 1),
        );
        let newest = line.unconfirmed().pop().unwrap();
        assert_eq!(newest.done, Done::Episode(EpisodeId(1), 1));
        line.close();
        push(&line, 1);
        assert_eq!(newest.seq, line.unconfirmed().pop().unwrap().seq);
    }
}
