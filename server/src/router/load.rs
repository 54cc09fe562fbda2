//! The loaders: a few threads that read backlogs and messages from the store.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tidings_core::custody::Want;
use tidings_core::ids::{DeviceId, LinkId, Name};
use tidings_core::limits;
use tidings_core::shard::Input;

use super::Router;

/// Bytes of bodies that one load returns, about.
pub(super) const BYTES_MAX: usize = limits::WINDOW_BYTES_MAX;
/// Threads that read from the store.
const LOADERS: usize = 2;

/// Something to be read for a link.
#[derive(Debug)]
pub(super) enum Job {
    Backlog {
        link: LinkId,
        user: Name,
        device: DeviceId,
    },
    Load {
        link: LinkId,
        wants: Vec<Want>,
        messages_max: usize,
    },
}

/// The queue before the loaders. Bounded by the sessions: each has one job at most.
#[derive(Debug, Default)]
pub(crate) struct Loader {
    queue: Mutex<(VecDeque<Job>, bool)>,
    wake: Condvar,
}

impl Loader {
    pub(super) fn push(&self, job: Job) {
        self.queue.lock().0.push_back(job);
        self.wake.notify_one();
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.queue.lock().0.len()
    }

    pub(super) fn stop(&self) {
        self.queue.lock().1 = true;
        self.wake.notify_all();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.1 {
                return None;
            }
            if let Some(job) = queue.0.pop_front() {
                return Some(job);
            }
            self.wake.wait(&mut queue);
        }
    }
}

/// Starts the threads; they end when the router stops.
pub(super) fn start(router: &Arc<Router>) -> std::io::Result<()> {
    for _ in 0..LOADERS {
        let router = router.clone();
        std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || {
                while let Some(job) = router.loader.next() {
                    router.load(job);
                }
            })?;
    }
    Ok(())
}

impl Router {
    fn load(&self, job: Job) {
        match job {
            Job::Backlog { link, user, device } => {
                let backlog = logged(self.store.backlog(&user, device));
                self.feed(Input::Backlog { link, backlog });
            }
            Job::Load {
                link,
                wants,
                messages_max,
            } => {
                let loaded = logged(self.store.load(&wants, messages_max, BYTES_MAX));
                self.feed(Input::Loaded {
                    link,
                    wants,
                    loaded,
                });
            }
        }
    }
}

fn logged<T>(result: Result<T, crate::store::StoreError>) -> Option<T> {
    result
        .map_err(|error| tracing::error!(%error, "the store could not be read"))
        .ok()
}
