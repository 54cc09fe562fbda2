//! Agents who are here over a connection of their own, from their login on, so that it can be ended
//! when what they were let in with holds no more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::ids::Name;

use super::line::Line;
use crate::auth::{Revoked, Whose};

#[derive(Debug)]
struct Somebody {
    user: Name,
    address: IpAddr,
    line: Arc<Line>,
}

#[derive(Debug, Default)]
struct All {
    last: u64,
    here: HashMap<u64, Somebody>,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Present(Arc<Mutex<All>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Here {
    present: Present,
    number: u64,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.present.0.lock().here.remove(&self.number);
    }
}

impl Present {
    /// Somebody is here; his connection is what empties the line.
    pub(super) fn enter(&self, user: &Name, address: IpAddr, line: &Arc<Line>) -> Here {
        let mut all = self.0.lock();
        all.last += 1;
        let number = all.last;
        let somebody = Somebody {
            user: user.clone(),
            address,
            line: line.clone(),
        };
        all.here.insert(number, somebody);
        Here {
            present: self.clone(),
            number,
        }
    }

    /// Ends the connections of those whom this concerns.
    pub(super) fn end(&self, revoked: &Revoked) {
        let all = self.0.lock();
        let concerned = all.here.values().filter(|somebody| match &revoked.whose {
            Whose::User(user) => somebody.user == *user,
            Whose::Network(network) => network.contains(somebody.address),
        });
        for somebody in concerned {
            somebody.line.close();
        }
    }
}
