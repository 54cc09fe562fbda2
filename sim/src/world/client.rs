//! What a client remembers: a MobileIMSDK client, or one of ours, which is an [`App`].

use std::collections::{BTreeMap, BTreeSet};

use super::app::App;
use crate::plan::ClientPlan;

/// MobileIMSDK clients remember a received id for so long.
const DEDUPE_MS: u64 = 600_000;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not connected; tries again at this time.
    Off {
        again: u64,
    },
    /// Waits for its connection and the answer to its login, since then.
    Entering {
        since: u64,
    },
    Online,
    /// Told that it was replaced; its user comes back at this time.
    Kicked {
        again: u64,
    },
}

/// A message that a client sent and that was not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) body: String,
    pub(crate) typeu: i32,
    pub(crate) first_sent: u64,
    pub(crate) last_sent: u64,
    pub(crate) sends: u32,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) plan: ClientPlan,
    pub(crate) conn: Option<usize>,
    pub(crate) state: State,
    /// It logs in when it can. False for those that would kick each other for ever.
    pub(crate) enabled: bool,
    pub(crate) first_login_time: i64,
    pub(crate) outbox: Vec<Outgoing>,
    pub(crate) next_id: u64,
    pub(crate) last_keepalive: u64,
    pub(crate) last_answer: u64,
    pub(crate) last_scan: u64,
    /// Refused for a reason that lasts.
    pub(crate) refused_until: u64,
    known: BTreeMap<String, u64>,
    /// The production client, if it is one of ours.
    pub(crate) app: Option<Box<App>>,
    /// Ids that were used with other content on purpose.
    pub(crate) poisoned: BTreeSet<(String, String)>,
}

impl Client {
    pub(crate) fn new(plan: ClientPlan, random: u64) -> Client {
        let app = plan
            .ours
            .is_some()
            .then(|| Box::new(App::new(&plan, random)));
        Client {
            app,
            plan,
            conn: None,
            state: State::Off { again: 0 },
            enabled: true,
            first_login_time: 0,
            outbox: Vec::new(),
            next_id: 0,
            last_keepalive: 0,
            last_answer: 0,
            last_scan: 0,
            refused_until: 0,
            known: BTreeMap::new(),
            poisoned: BTreeSet::new(),
        }
    }

    /// The device's name at the server.
    pub(crate) fn device(&self) -> &str {
        self.plan
            .ours
            .as_ref()
            .map_or("default", |ours| &ours.device)
    }

    /// The device's class at the server.
    pub(crate) fn class(&self) -> &str {
        self.plan
            .ours
            .as_ref()
            .map_or("default", |ours| &ours.class)
    }

    /// A MobileIMSDK application starts again: what was in memory is gone.
    pub(crate) fn forget(&mut self) {
        self.first_login_time = 0;
        self.known.clear();
        self.outbox.clear();
    }

    /// Whether a MobileIMSDK client shows a message: not if its id is known.
    pub(crate) fn shows(&mut self, now: u64, id: &str) -> bool {
        self.known.retain(|_, until| *until > now);
        self.known.insert(id.to_owned(), now + DEDUPE_MS).is_none()
    }

    /// What is wrong with it when everything has settled.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let (user, device) = (&self.plan.user, self.device());
        // One that dies of messages may just have died of one.
        if self.enabled && self.state != State::Online && !self.plan.fragile {
            return Some(format!(
                "liveness: {user} on {device} is not online: {:?}",
                self.state
            ));
        }
        let app = self.app.as_ref().filter(|_| self.enabled)?;
        let waiting = app.unacknowledged();
        // Who takes no events cannot say which of his messages were acknowledged.
        let stuck = self.outbox.first().filter(|_| !self.plan.mute);
        let stuck = stuck.map_or(String::new(), |out| format!(": {} to {}", out.id, out.to));
        (waiting > 0 || !stuck.is_empty()).then(|| {
            format!("liveness: {user} on {device} got no answer to {waiting} messages{stuck}")
        })
    }
}
