//! What waits for a tenant's driver: messages of its conversations in order of custody, customers
//! who came or went, and what agents and operators ask. Bounded: what the log holds anyway is read
//! from there if it does not fit.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tidings_core::desk::{AgentId, AgentStatus, EpisodeId};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::MessageRef;
use tokio::sync::{Notify, mpsc, oneshot};

use super::act::{Act, AgentEvent, CustomerAct, DeskError};
use super::driver::Driver;

/// The answer to something asked.
pub(super) type Reply = oneshot::Sender<Result<(), DeskError>>;

/// One thing for the driver.
pub(super) enum Item {
    /// A message of one of the tenant's conversations is in custody.
    Message(MessageRef),
    /// A session of this user came or went.
    Link(Name),
    /// A session of an agent begins.
    Bind {
        agent: AgentId,
        status: AgentStatus,
        session: u64,
        events: mpsc::Sender<AgentEvent>,
        reply: Reply,
    },
    /// It ended.
    Gone { agent: AgentId, session: u64 },
    /// What an agent was let in with holds no more: whatever session he has ends.
    End(AgentId),
    /// An agent has the messages of an episode up to this number.
    Delivered(AgentId, EpisodeId, u64),
    /// An agent asks for something.
    Act(AgentId, Act, Reply),
    /// A customer does.
    Customer {
        customer: Name,
        /// With its `@`.
        team: Name,
        act: CustomerAct,
        reply: Reply,
    },
    /// An operator changed something.
    Roster,
    /// Somebody wants to look.
    Look(Box<dyn FnOnce(&Driver) + Send>),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Messages were left out: the log has them.
    missed: bool,
    closed: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl Inbox {
    /// Never blocks: called under the router's lock, which makes the order that of custody. The
    /// caller wakes the driver with [`Inbox::wake`].
    pub(super) fn message(&self, message: MessageRef) {
        let mut queue = self.queue.lock();
        if queue.missed || queue.items.len() >= limits::DESK_INBOX_MAX {
            queue.missed = true;
        } else {
            queue.items.push_back(Item::Message(message));
        }
    }

    /// Queues something that is not in the log. Each session waits for its answers, so that their
    /// number bounds these. False once the driver has ended.
    pub(super) fn push(&self, item: Item) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        queue.items.push_back(item);
        drop(queue);
        self.wake.notify_one();
        true
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// No more; what waits is dropped, and whoever asked learns that.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.items.clear();
        drop(queue);
        self.wake.notify_one();
    }

    /// True once [`Inbox::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// What waits, and whether messages were left out. Empty if nothing does.
    pub(super) fn take(&self) -> (VecDeque<Item>, bool) {
        let mut queue = self.queue.lock();
        let missed = std::mem::take(&mut queue.missed);
        (std::mem::take(&mut queue.items), missed)
    }

    /// Until there may be something.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
