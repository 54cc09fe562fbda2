//! Drives a node: feeds it what the links and the store report, and carries out what it decides.
//!
//! One lock covers deciding, appending to outboxes and queueing for the commit, so that order is
//! what the node says it is; no system call is made under it. What must be sent is sent after it
//! is released, by whoever fed the node: an I/O task or the committer. Called by `transport`,
//! `commit` and `load`; calls `link`, `store` and `hooks`.

mod addresses;
mod commit;
mod inside;
mod load;
mod look;
mod perform;
mod trail;
mod trouble;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tidings_core::custody::{Cursor, Draft};
use tidings_core::ids::{DeviceId, LinkId};
use tidings_core::node::Node;
use tidings_core::session::Transport;
use tidings_core::shard::{Action, CloseReason, Config, Input, Path, Submission};
use tidings_core::time::Now;
use tidings_core::wire::mobileimsdk::Frame;
use tokio::sync::oneshot;

use crate::auth::{Admission, Host, network};
use crate::clock::Clock;
use crate::desk::Desks;
use crate::hooks::{Hooks, Told};
use crate::link::{Datagrams, Encoder, LinkEnd, LocalRef, StreamLink};
use crate::metrics::Metrics;
use crate::store::Store;
use addresses::Addresses;
use trail::{Station, Trail};
use trouble::Trouble;

pub(crate) use commit::Committer;
pub use inside::OnlineSession;
pub(crate) use load::Loader;
pub use trail::{Deliveries, Delivery};

/// What clients are told when the server stops.
const STOPPING: &str = "the server stops";
/// Links to flush that the committer serves itself; more are shared out among the I/O workers.
const FLUSH_INLINE_MAX: usize = 8;

/// What a transport hands on.
#[derive(Debug)]
pub(crate) enum Arrival<'a> {
    /// A frame and its length on the wire.
    Frame(Frame<'a>, usize),
    /// Bytes that are none, and why.
    Unreadable(String),
    /// A sign of life.
    Heard,
}

/// A link as the router knows it.
#[derive(Debug)]
struct LinkEntry {
    link: LinkId,
    end: LinkEnd,
    /// Of the login, milliseconds since 1970 UTC.
    since_ms: i64,
    device: DeviceId,
}

/// Everything under the one lock.
#[derive(Debug)]
struct Guarded {
    node: Node,
    /// By the low half of the link's number, which the shard uses again.
    links: Vec<Option<LinkEntry>>,
    addresses: Addresses,
    encoder: Encoder,
    /// Empty between two inputs, like the next one; kept for their memory.
    actions: Vec<Action>,
    follow: Vec<Action>,
    committing: commit::Committing,
    /// Who waits for the fate of a message that no session sent, by ticket.
    submissions: HashMap<u64, oneshot::Sender<Submission>>,
    next_ticket: u64,
    trail: Trail,
}

/// What is left to do when the lock is released.
#[derive(Default)]
struct Todo {
    flush: Vec<Arc<StreamLink>>,
    datagrams: Option<Arc<Datagrams>>,
    remember: Vec<Cursor>,
    load: Vec<load::Job>,
    verify: Vec<(LinkId, crate::auth::Answer)>,
    tell: Vec<Told>,
    ask: Vec<(LinkId, Box<Draft>, bool)>,
    local: Vec<LocalRef>,
    submitted: Vec<(oneshot::Sender<Submission>, Submission)>,
    wake_committer: bool,
    deliveries: u64,
    resends: u64,
}

/// The router of one server.
pub(crate) struct Router {
    /// Itself, for the tasks that it starts.
    me: Weak<Router>,
    guarded: Mutex<Guarded>,
    admission: Admission,
    hooks: Option<Arc<Hooks>>,
    /// Set once, when the server has everything that desks need.
    desks: OnceLock<Desks>,
    /// One change of groups at a time, so that the sessions learn of them in the store's order.
    groups: tokio::sync::Mutex<()>,
    /// One pass of retention at a time.
    retaining: Mutex<()>,
    frame_bytes_max: usize,
    store: Arc<dyn Store>,
    immediate: bool,
    committer: Committer,
    loader: Loader,
    clock: Clock,
    metrics: Arc<Metrics>,
    runtime: tokio::runtime::Handle,
    stopping: AtomicBool,
    trouble: Trouble,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl Router {
    /// Starts the committer and the loaders. Must be called on a runtime.
    pub(crate) fn start(
        config: Config,
        server_timestamp: bool,
        admission: Admission,
        store: Arc<dyn Store>,
        hooks: Option<Arc<Hooks>>,
    ) -> std::io::Result<Arc<Router>> {
        let metrics: Arc<Metrics> = Arc::default();
        let router = Arc::new_cyclic(|me| Router {
            me: me.clone(),
            admission: admission.clone(),
            hooks,
            desks: OnceLock::new(),
            groups: tokio::sync::Mutex::new(()),
            retaining: Mutex::new(()),
            frame_bytes_max: config.frame_bytes_max,
            guarded: Mutex::new(Guarded {
                node: Node::new(config),
                links: Vec::new(),
                addresses: Addresses::default(),
                encoder: Encoder::new(server_timestamp),
                actions: Vec::new(),
                follow: Vec::new(),
                committing: commit::Committing::default(),
                submissions: HashMap::new(),
                next_ticket: 0,
                trail: Trail::default(),
            }),
            immediate: store.is_immediate(),
            store,
            committer: Committer::default(),
            loader: Loader::default(),
            clock: Clock::start(),
            metrics,
            runtime: tokio::runtime::Handle::current(),
            stopping: AtomicBool::new(false),
            trouble: Trouble::default(),
        });
        let host: Weak<dyn Host> = router.me.clone();
        admission.add_host(host);
        commit::start(&router)?;
        load::start(&router)?;
        let ticking = Arc::downgrade(&router);
        router.runtime.spawn(async move {
            let mut interval = tokio::time::interval(std::time::Duration::from_millis(100));
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let Some(router) = ticking.upgrade() else {
                    return;
                };
                router.tick();
            }
        });
        Ok(router)
    }

    /// From now on these desks are told what concerns them.
    pub(crate) fn listen_for(&self, desks: Desks) {
        let _ = self.desks.set(desks); // once, by the start
    }

    /// A connection was accepted.
    pub(crate) fn open_stream(&self, link: &Arc<StreamLink>, transport: Transport) -> LinkId {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        let id = guarded.node.open(now, transport);
        guarded.register(id, LinkEnd::Stream(link.clone()));
        drop(guarded);
        if self.is_stopping() {
            link.close(1001, STOPPING);
        }
        id
    }

    /// What arrived on one link, in order. Gathered by the transport, decided here at once.
    pub(crate) fn arrived(&self, link: LinkId, arrivals: Vec<Arrival<'_>>) {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        let mut todo = Todo::default();
        let mut actions = std::mem::take(&mut guarded.actions);
        let inputs = arrivals.into_iter().map(|arrival| match arrival {
            Arrival::Frame(frame, bytes) => {
                trail::received(link, &frame);
                Input::Frame { link, frame, bytes }
            }
            Arrival::Unreadable(reason) => Input::Unreadable { link, reason },
            Arrival::Heard => Input::Heard { link },
        });
        guarded.node.on_all(now, inputs, &mut actions);
        self.perform(now, &mut guarded, actions, &mut todo);
        drop(guarded);
        self.finish(todo);
    }

    /// Datagrams that arrived together. An address gets a link with its first LOGIN.
    pub(crate) fn datagrams(
        &self,
        socket: &Arc<Datagrams>,
        arrivals: Vec<(SocketAddr, Frame<'_>, usize)>,
    ) {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        let mut todo = Todo::default();
        let mut actions = std::mem::take(&mut guarded.actions);
        for (from, frame, bytes) in arrivals {
            let known = guarded.addresses.find(from, &guarded.links);
            if known.is_some_and(|link| guarded.node.shard().is_saturated(link)) {
                continue; // a datagram cannot be read later; its sender sends it again
            }
            let link = match known {
                Some(link) => link,
                None if frame.kind == tidings_core::wire::code::LOGIN => {
                    let link = guarded.node.open_from(now, Transport::Udp, path_of(from));
                    guarded.register(link, LinkEnd::Datagram(Box::new((socket.clone(), from))));
                    let Guarded {
                        addresses, links, ..
                    } = &mut *guarded;
                    addresses.insert(from, link, links);
                    link
                }
                None => {
                    let told = guarded.node.stranger(now, path_of(from), &frame, bytes);
                    if let Some(answer) = told {
                        let bytes = guarded.encoder.control(&answer, now.wall_ms);
                        socket.push(from, bytes);
                        todo.datagrams = Some(socket.clone());
                    }
                    continue;
                }
            };
            trail::received(link, &frame);
            guarded
                .node
                .on(now, Input::Frame { link, frame, bytes }, &mut actions);
            // A refused login must forget its address before the next datagram from it.
            actions = self.perform_some(now, &mut guarded, actions, &mut todo);
        }
        guarded.actions = actions;
        self.publish(&mut guarded, &mut todo);
        drop(guarded);
        self.finish(todo);
    }

    /// Any other input.
    pub(crate) fn feed(&self, input: Input<'_>) {
        self.feed_with(|_, _| input);
    }

    /// One that is made under the lock.
    fn feed_with<'a>(&self, input: impl FnOnce(Now, &Guarded) -> Input<'a>) {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        let mut todo = Todo::default();
        let input = input(now, &guarded);
        let mut actions = std::mem::take(&mut guarded.actions);
        guarded.node.on(now, input, &mut actions);
        self.perform(now, &mut guarded, actions, &mut todo);
        drop(guarded);
        self.finish(todo);
    }

    /// The link is gone; whatever the shard still thinks of it ends.
    pub(crate) fn closed(&self, link: LinkId) {
        self.feed(Input::Closed { link });
        self.guarded.lock().unregister(link);
    }

    fn tick(&self) {
        let now = self.clock.now();
        let mut guarded = self.guarded.lock();
        if guarded.node.next_deadline().is_none_or(|at| at > now.mono) {
            return;
        }
        let mut todo = Todo::default();
        let mut actions = std::mem::take(&mut guarded.actions);
        guarded.node.on(now, Input::Tick, &mut actions);
        self.perform(now, &mut guarded, actions, &mut todo);
        drop(guarded);
        self.finish(todo);
    }

    /// True if so much waits for the committer that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.committer.is_full()
    }

    /// Waits while too much waits for the committer: everybody is read more slowly.
    pub(crate) async fn room(&self) {
        while self.is_full() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// True once the server stops: nothing more is read.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Stops reading, lets what was gathered be committed and answered, and closes every link.
    pub(crate) async fn stop(&self, until: tokio::time::Instant) {
        self.stopping.store(true, Ordering::Release);
        let pause = std::time::Duration::from_millis(5);
        for link in self.streams() {
            link.pause(true);
        }
        while !self.is_committed() && tokio::time::Instant::now() < until {
            tokio::time::sleep(pause).await;
        }
        self.close_locals();
        loop {
            // Whoever was let in at the last moment is among them.
            let links = self.streams();
            for link in &links {
                link.close(1001, STOPPING);
                link.flush();
            }
            let over = tokio::time::Instant::now() >= until;
            if over {
                links.iter().for_each(|link| link.abort());
            }
            if over || links.iter().all(|link| link.has_ended()) {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        self.end_sessions();
        self.stop_committing();
        self.loader.stop();
    }

    fn streams(&self) -> Vec<Arc<StreamLink>> {
        let guarded = self.guarded.lock();
        let ends = guarded.links.iter().flatten().map(|entry| &entry.end);
        ends.filter_map(|end| match end {
            LinkEnd::Stream(link) => Some(link.clone()),
            LinkEnd::Datagram(_) | LinkEnd::Local(_) => None,
        })
        .collect()
    }

    /// The wall clock, milliseconds since 1970 UTC.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.now().wall_ms
    }

    /// True while the store does not take messages.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.is_there()
    }

    /// Held while old messages are removed; blocks.
    pub(crate) fn retaining(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.retaining.lock()
    }

    /// The store that this router commits to.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl Guarded {
    fn register(&mut self, link: LinkId, end: LinkEnd) {
        let at = slot(link);
        if self.links.len() <= at {
            self.links.resize_with(at + 1, || None);
        }
        self.links[at] = Some(LinkEntry {
            link,
            end,
            since_ms: 0,
            device: DeviceId(0),
        });
    }

    fn unregister(&mut self, link: LinkId) {
        let at = slot(link);
        if self
            .links
            .get(at)
            .is_some_and(|e| e.as_ref().is_some_and(|e| e.link == link))
        {
            self.links[at] = None;
        }
    }

    fn end(&self, link: LinkId) -> Option<&LinkEnd> {
        end_of(&self.links, link)
    }

    fn entry(&self, link: LinkId) -> Option<&LinkEntry> {
        let entry = self.links.get(slot(link))?.as_ref()?;
        (entry.link == link).then_some(entry)
    }

    fn station(&self, link: LinkId) -> Option<Station> {
        self.entry(link).map(|entry| Station {
            device: entry.device,
            since_ms: entry.since_ms,
        })
    }
}

fn end_of(links: &[Option<LinkEntry>], link: LinkId) -> Option<&LinkEnd> {
    let entry = links.get(slot(link))?.as_ref()?;
    (entry.link == link).then_some(&entry.end)
}

/// Of where a datagram comes from, what decides about what may be sent there.
fn path_of(from: SocketAddr) -> Path {
    let ip = from.ip().to_canonical();
    let bits = match network(ip) {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    Path {
        // Nobody else's machine is flooded over the loopback interface.
        network: (!ip.is_loopback()).then_some(bits),
        header_bytes: if ip.is_ipv4() { 20 + 8 } else { 40 + 8 },
    }
}

fn slot(link: LinkId) -> usize {
    (link.0 & 0xffff_ffff) as usize
}

/// Close code and text for WebSocket; MobileIMSDK's server says 1000 "Bye" to everything.
fn close_words(reason: CloseReason) -> (u16, &'static str) {
    match reason {
        CloseReason::Store => (1011, "the store does not answer"),
        CloseReason::TooManyHeld => (1008, "too many frames before the login was decided"),
        _ => (1000, "Bye"),
    }
}
