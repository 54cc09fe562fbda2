//! Who lets somebody stay for longer than a request, and ends it when he is told to.

use std::sync::Weak;

use parking_lot::RwLock;

use super::registry::{Revoked, Whose};

/// A place where sessions live.
pub(crate) trait Host: Send + Sync {
    /// Ends what this concerns, at once. What is admitted from now on is not concerned. Called without
    /// any lock of the admission.
    fn end(&self, revoked: &Revoked);
}

/// All of them.
#[derive(Default)]
pub(super) struct Hosts(RwLock<Vec<Weak<dyn Host>>>);

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hosts({})", self.0.read().len())
    }
}

impl Hosts {
    pub(super) fn add(&self, host: Weak<dyn Host>) {
        self.0.write().push(host);
    }

    pub(super) fn end(&self, revoked: &Revoked, by: &str) {
        let why = revoked.why;
        match &revoked.whose {
            Whose::User(user) => {
                tracing::info!(%user, by, "what he was let in with is void: {why}");
            }
            Whose::Network(network) => {
                tracing::info!(%network, by, "nobody comes in from there: {why}");
            }
        }
        let hosts: Vec<_> = self.0.read().iter().filter_map(Weak::upgrade).collect();
        for host in hosts {
            host.end(revoked);
        }
    }
}
