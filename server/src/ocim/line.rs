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
    /// Up to this number everything has arrived somewhere; it is kept for those who do not have it.
    arrived: u64,
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
        let mut full = queue.items.len() >= limits::OCIM_WAITING_PACKETS_MAX;
        if full
            && queue
                .items
                .front()
                .is_some_and(|item| item.seq <= queue.arrived)
        {
            queue.items.pop_front();
            full = false;
        }
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

    /// Everything beyond a number, also what was sent before.
    pub(super) fn beyond(&self, upto: u64) -> Vec<Item> {
        let mut queue = self.queue.lock();
        queue.sent = queue.newest;
        let items = queue.items.iter().filter(|item| item.seq > upto);
        items.cloned().collect()
    }

    /// Number of the newest packet.
    pub(super) fn newest(&self) -> u64 {
        self.queue.lock().newest
    }

    /// Up to this number everything was handed to the transport.
    pub(super) fn sent(&self) -> u64 {
        self.queue.lock().sent
    }

    /// Up to this number everything has arrived somewhere.
    pub(super) fn arrived_upto(&self) -> u64 {
        self.queue.lock().arrived
    }

    /// What was not handed out yet, in order.
    pub(super) fn unsent(&self) -> Vec<Item> {
        let mut queue = self.queue.lock();
        let newest = queue.newest;
        let sent = std::mem::replace(&mut queue.sent, newest);
        let new = queue.items.iter().filter(|item| item.seq > sent);
        new.cloned().collect()
    }

    /// Packets that are kept.
    pub(super) fn count(&self) -> usize {
        self.queue.lock().items.len()
    }

    /// Everything up to this number has arrived, if it was handed out at all, and is not needed any
    /// more; what is to be done.
    pub(super) fn confirm(&self, upto: u64) -> Vec<Done> {
        let done = self.arrived(upto);
        self.forget(upto);
        done
    }

    /// Everything up to this number has arrived somewhere, if it was handed out at all; what is to be
    /// done. It is kept until it is forgotten.
    pub(super) fn arrived(&self, upto: u64) -> Vec<Done> {
        let mut queue = self.queue.lock();
        let (before, upto) = (queue.arrived, upto.min(queue.sent));
        queue.arrived = before.max(upto);
        let items = queue.items.iter_mut();
        let new = items.filter(|item| before < item.seq && item.seq <= upto);
        new.map(|item| std::mem::replace(&mut item.done, Done::Nothing))
            .collect()
    }

    /// Nobody needs what arrived up to this number any more.
    pub(super) fn forget(&self, upto: u64) {
        let mut queue = self.queue.lock();
        let upto = upto.min(queue.arrived);
        let count = queue.items.partition_point(|item| item.seq <= upto);
        queue.items.drain(..count);
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
        assert_eq!(numbers(&line.beyond(0)), [1, 2, 3]);
        assert_eq!(line.confirm(2).len(), 2);
        push(&line, 1);
        assert_eq!(numbers(&line.beyond(0)), [3, 4]);
        assert_eq!(line.confirm(u64::MAX).len(), 2);
        assert!(line.beyond(0).is_empty());
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
        assert_eq!(numbers(&line.beyond(0)), [2, 3]);
    }

    #[test]
    fn it_is_bounded() {
        let line = Line::default();
        push(&line, limits::OCIM_WAITING_PACKETS_MAX + 1);
        assert_eq!(line.beyond(0).len(), limits::OCIM_WAITING_PACKETS_MAX);
        line.push(
            Packet::new(PacketType::Message),
            Done::Episode(EpisodeId(1), 1),
        );
        let newest = line.beyond(0).pop().unwrap();
        assert_eq!(newest.done, Done::Episode(EpisodeId(1), 1));
        line.close();
        push(&line, 1);
        assert_eq!(newest.seq, line.beyond(0).pop().unwrap().seq);
    }

    #[test]
    fn what_arrived_once_is_done_once_and_kept_for_others() {
        let line = Line::default();
        push(&line, 3);
        assert!(line.arrived(3).is_empty(), "nothing was handed out");
        assert_eq!(numbers(&line.beyond(1)), [2, 3]);
        assert_eq!(line.arrived(2).len(), 2);
        assert_eq!(line.arrived(3).len(), 1);
        assert_eq!(numbers(&line.beyond(0)), [1, 2, 3]);
        line.forget(2);
        assert_eq!(numbers(&line.beyond(0)), [3]);
        // For whoever has fallen behind nothing new is dropped.
        push(&line, limits::OCIM_WAITING_PACKETS_MAX);
        let kept = numbers(&line.beyond(0));
        assert_eq!(kept.len(), limits::OCIM_WAITING_PACKETS_MAX);
        assert_eq!(kept.first(), Some(&4));
    }
}
