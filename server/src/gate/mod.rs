//! What a peer may take before it is admitted, the same for every listener: so many connections of
//! one network and of one listener that are nobody's yet, for so long, and never the descriptors that
//! another listener or the store needs. docs/limits.md has the figures (*Unadmitted peers*).
//!
//! - `strangers`: who is there and unadmitted, and who must go for whom; pure
//! - `addresses`: so many of one address
//! - `turns`: work that strangers cause, one at a time for each network
//! - `seldom`: log lines that a flood must not multiply
//!
//! Asked by `server` and `transport` before each connection is accepted; told by whoever admits:
//! `router` for a login, `api` and `ocim` for a request whose sender is known. Bytes are bounded where
//! they are held: `link`, `transport`.

mod addresses;
mod seldom;
mod strangers;
mod turns;

pub(crate) use addresses::{Counted, PerAddress};
pub(crate) use seldom::Seldom;
pub(crate) use turns::Turns;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::limits;
use tokio::sync::Notify;
use tokio::time::Instant;

use strangers::{Full, Strangers};

/// How a connection whose time is over is closed. Called without any lock.
type Closer = Box<dyn Fn() + Send>;

/// One gate for all listeners of a server.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Shared>);

struct Shared {
    strangers: Mutex<Strangers<Closer>>,
    per_address: PerAddress,
    /// Somebody left or was admitted.
    changed: Notify,
    /// The server stops.
    stopping: Notify,
    closed: AtomicBool,
    full: Seldom,
    files: Seldom,
    crowd: Seldom,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// One listener's side of the gate.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    gate: Gate,
    number: usize,
    name: &'static str,
}

/// One connection's place; free again when dropped.
pub(crate) struct Place {
    gate: Gate,
    number: usize,
    /// 0 once it is admitted.
    serial: AtomicU64,
    _counted: Counted,
}

/// Somebody who is not admitted yet.
pub(crate) struct Stranger {
    gate: Gate,
    serial: u64,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let admitted = self.is_admitted();
        f.debug_struct("Place")
            .field("admitted", &admitted)
            .finish()
    }
}

impl Gate {
    /// `per_address` connections for each address, 0 for no limit; `files` that the process may have
    /// open, if that is known.
    pub(crate) fn new(per_address: u32, files: Option<u64>) -> Gate {
        let files = files.map(|files| usize::try_from(files).unwrap_or(usize::MAX));
        Gate(Arc::new(Shared {
            strangers: Mutex::new(Strangers::new(files)),
            per_address: PerAddress::new(per_address),
            changed: Notify::new(),
            stopping: Notify::new(),
            closed: AtomicBool::new(false),
            full: Seldom::default(),
            files: Seldom::default(),
            crowd: Seldom::default(),
        }))
    }

    /// For connections from now on; those that are there stay.
    pub(crate) fn set_per_address(&self, max: u32) {
        self.0.per_address.set_max(max);
    }

    /// Adds a listener. `stays`: it goes on accepting while the server stops.
    pub(crate) fn door(&self, name: &'static str, stays: bool) -> Door {
        Door {
            gate: self.clone(),
            number: self.0.strangers.lock().add_door(stays),
            name,
        }
    }

    /// The server stops: nobody comes in any more, and who is not admitted goes.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
        self.0.stopping.notify_waiters();
        let all = self.0.strangers.lock().evict_all();
        all.iter().for_each(|close| close());
    }

    /// Closes who is not admitted in time. Runs until it is dropped.
    pub(crate) async fn keep_time(self) {
        let patience = Duration::from_millis(limits::UNADMITTED_MS_MAX);
        loop {
            let (late, next) = {
                let now = Instant::now();
                let mut strangers = self.0.strangers.lock();
                let late = strangers.evict_older(now, patience);
                (late, strangers.oldest().map(|since| since + patience))
            };
            late.iter().for_each(|close| close());
            let second = Instant::now() + Duration::from_secs(1);
            tokio::time::sleep_until(next.unwrap_or(second).max(second)).await;
        }
    }
}

impl Door {
    /// Waits until one more connection may be accepted; `false` once the listener must not go on.
    /// Who has waited longest makes room, if he had his time.
    pub(crate) async fn room(&self) -> bool {
        let shared = &*self.gate.0;
        loop {
            let mut changed = std::pin::pin!(shared.changed.notified());
            changed.as_mut().enable();
            if shared.closed.load(Ordering::Acquire) && !self.stays() {
                return false;
            }
            let asked = shared.strangers.lock().room(self.number, Instant::now());
            let (full, victim) = match asked {
                Ok(()) => return true,
                Err(full) => full,
            };
            self.tell(full);
            let is_file = matches!(full, Full::Files { .. });
            if let Some(close) = victim {
                close();
                if !is_file {
                    continue;
                }
            }
            // A descriptor is free a moment after it was closed.
            let pause = Duration::from_millis(limits::UNADMITTED_PATIENCE_MS / 10);
            let _ = tokio::time::timeout(pause, changed).await;
        }
    }

    fn stays(&self) -> bool {
        self.gate.0.strangers.lock().door_stays(self.number)
    }

    /// A place for an accepted connection; `None` if it must be closed.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let shared = &*self.gate.0;
        let Some(counted) = shared.per_address.enter(address) else {
            if shared.crowd.is_due() {
                tracing::warn!(
                    %address, listener = self.name,
                    "connections of one address are closed: limits.connections_per_address is reached"
                );
            }
            return None;
        };
        let entered = shared
            .strangers
            .lock()
            .enter(self.number, address, Instant::now());
        let (serial, victim) = match entered {
            Ok(entered) => entered,
            Err(full) => {
                self.tell(full);
                return None;
            }
        };
        if let Some(close) = victim {
            self.tell(Full::Network);
            close();
        }
        Some(Place {
            gate: self.gate.clone(),
            number: self.number,
            serial: serial.into(),
            _counted: counted,
        })
    }

    fn tell(&self, full: Full) {
        let shared = &*self.gate.0;
        let listener = self.name;
        match full {
            Full::Files { max } if shared.files.is_due() => tracing::warn!(
                listener,
                max,
                "connections wait: so many files are open as the process may have; raise the limit \
                 of open files (ulimit -n, LimitNOFILE= in systemd)"
            ),
            Full::Listener if shared.full.is_due() => tracing::warn!(
                listener,
                limit = "UNADMITTED_PER_LISTENER_MAX",
                value = limits::UNADMITTED_PER_LISTENER_MAX,
                "so many connections have not logged in yet; those that wait longest are closed. If \
                 they are no clients of yours, block their addresses: tidings admin block address"
            ),
            Full::Network if shared.crowd.is_due() => tracing::warn!(
                listener,
                limit = "UNADMITTED_PER_NETWORK_MAX",
                value = limits::UNADMITTED_PER_NETWORK_MAX,
                "so many connections of one network have not logged in yet; further ones are closed. \
                 If they are no clients of yours, block their addresses: tidings admin block address"
            ),
            _ => {}
        }
    }

    /// `accept` failed, usually because the process may not open another file.
    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        if self.gate.0.files.is_due() {
            let listener = self.name;
            tracing::warn!(
                %error, listener,
                "a connection could not be accepted; if files are short, raise the limit of open files \
                 (ulimit -n, LimitNOFILE= in systemd)"
            );
        }
    }

    /// Until the server stops.
    pub(crate) async fn closed(&self) {
        loop {
            let mut stopping = std::pin::pin!(self.gate.0.stopping.notified());
            stopping.as_mut().enable();
            if self.gate.0.closed.load(Ordering::Acquire) && !self.stays() {
                return;
            }
            stopping.await;
        }
    }
}

impl Place {
    /// Whoever has this place, for as long as he is unadmitted.
    pub(crate) fn stranger(&self) -> Stranger {
        Stranger {
            gate: self.gate.clone(),
            serial: self.serial.load(Ordering::Acquire),
        }
    }

    /// Somebody has shown who he is. Of no effect the second time.
    pub(crate) fn admit(&self) {
        let serial = self.serial.swap(0, Ordering::AcqRel);
        if serial != 0 {
            let gone = self.gate.0.strangers.lock().leave(serial);
            drop(gone);
            self.gate.0.changed.notify_waiters();
        }
    }

    /// What it asked for was answered: its time begins anew.
    pub(crate) fn renew(&self) {
        let serial = self.serial.load(Ordering::Acquire);
        if serial != 0 {
            self.gate.0.strangers.lock().renew(serial, Instant::now());
        }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.serial.load(Ordering::Acquire) == 0
    }
}

impl Stranger {
    /// How the connection is closed if it must go before it is admitted; at once, if it must go
    /// already. What was said before counts only if not `again`.
    pub(crate) fn closes(&self, again: bool, close: impl Fn() + Send + 'static) {
        let close: Closer = Box::new(close);
        let mut strangers = self.gate.0.strangers.lock();
        let late = strangers.set_closer(self.serial, close, again);
        drop(strangers);
        if let Some(close) = late {
            close();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let serial = *self.serial.get_mut();
        let mut strangers = self.gate.0.strangers.lock();
        let gone = strangers.leave(serial);
        strangers.gone(self.number);
        drop(strangers);
        drop(gone);
        self.gate.0.changed.notify_waiters();
    }
}

/// Files that this process may have open.
pub(crate) fn files_max() -> Option<u64> {
    #[cfg(unix)]
    {
        rlimit::Resource::NOFILE.get_soft().ok()
    }
    #[cfg(not(unix))]
    {
        None
    }
}
