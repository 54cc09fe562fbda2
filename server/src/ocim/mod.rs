//! OCIM at the edge: customers and agents of the customer-service demos (`docs/ocim.md`).
//!
//! Here: what `/ws.io` and `/poll.io` on the HTTP port and the listener for desktop agents do with
//! packets; who a request is from; sessions that outlive a connection. Not here: the form of packets
//! (`core::wire::ocim`), what happens to a customer (`desk`), messages and their delivery (`handle`,
//! whose links inside the process are what customers here are to the rest of the server).
//!
//! - `chain`: the way of a request: `authorization`, then `polling`, then `websocket`
//! - `request`, `answer`: HTTP around it
//! - `session`, `table`, `line`: a customer while he is here, all of them, what waits for one
//! - `readers`: the tabs that poll one session
//! - `websocket`, `upgraded`: a WebSocket's beginning, and the rest of its life
//! - `agents`, `tcp`: the other side of the desk, and its desktop client
//! - `notices`: what the desk tells a customer, as packets
//!
//! Called by `api`, for everything under these two paths, and by `Server` for desktop agents.

mod agents;
mod answer;
mod authorization;
mod chain;
mod line;
mod notices;
mod polling;
mod present;
mod readers;
mod request;
mod session;
pub(crate) mod settings;
mod table;
pub(crate) mod tcp;
#[cfg(test)]
mod tests;
mod upgraded;
mod websocket;

use std::sync::{Arc, Weak};

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use tidings_core::desk::EpisodeId;
use tidings_core::ids::Name;
use tidings_core::secret::Secret;
use tidings_core::wire::ocim::{Packet, PacketType};

use crate::auth::{Access, Host, Revoked, Whose};
use crate::clock::Clock;
use crate::config::Settings;
use crate::desk::{CustomerAct, Desks, TeamRef};
use crate::handle::Handle;
use crate::origins::Origins;
use crate::transport::http::Peer;
use answer::Form;
use present::Present;
use request::Asked;
use session::{End, Session};
use table::Table;

/// What customers and agents of OCIM share.
#[derive(Debug)]
pub(crate) struct Ocim {
    settings: settings::Ocim,
    origins: Origins,
    handle: Handle,
    access: Access,
    desks: Desks,
    /// The HTTP port speaks TLS: cookies may demand it.
    secure: bool,
    clock: Clock,
    customers: Table<Session>,
    agents: Present,
}

/// Paths that belong to OCIM: everything that begins so.
const PATHS: [&str; 2] = ["/ws.io", "/poll.io"];

/// Whether a request is for OCIM.
pub(crate) fn is_path(path: &str) -> bool {
    PATHS.iter().any(|prefix| path.starts_with(prefix))
}

impl Ocim {
    pub(crate) fn new(
        settings: &Settings,
        handle: Handle,
        (access, desks): (Access, Desks),
        secure: bool,
    ) -> Arc<Ocim> {
        let ocim = Arc::new(Ocim {
            customers: Table::new(settings.ocim.sessions_per_address),
            settings: settings.ocim.clone(),
            origins: Origins::of_http(settings),
            handle,
            access,
            desks,
            secure,
            clock: Clock::start(),
            agents: Present::default(),
        });
        let host: Weak<dyn Host> = Arc::downgrade(&ocim) as _;
        ocim.access.0.add_host(host);
        ocim
    }

    /// Answers one request of a peer.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request, peer: Peer) -> Response {
        let form = Form::of(request.headers(), &self.settings, &self.origins);
        if request.method() == Method::OPTIONS {
            return form.preflight();
        }
        let address = peer.address.ip();
        let known = |token: &Secret| self.passed(token, address).is_ok();
        let written = peer.connection.written();
        let before = written.bytes();
        let (answer, polled) = match Asked::read(request, peer, known).await {
            Ok(asked) => chain::run(self, asked, &form).await,
            Err(refused) => (refused, None),
        };
        let (response, bytes) = form.dress(answer);
        if let Some(polled) = polled {
            polled.answered(written, before + bytes);
        }
        response
    }

    /// Whom customers write to.
    fn team(&self) -> Option<TeamRef> {
        let name = Some(&*self.settings.team).filter(|name| !name.is_empty());
        self.desks.team(None, name)
    }

    /// What a customer does to his chat: ends it, rates it. In words why not.
    async fn act(&self, customer: &Name, packet: &Packet) -> Result<(), String> {
        let team = self
            .team()
            .ok_or("there is no support team: see ocim.team")?;
        let act = match packet.kind {
            PacketType::Evaluate => rating(packet)?,
            _ => CustomerAct::Leave,
        };
        let done = self.desks.customer(customer, &team.address, act).await;
        done.map_err(|error| error.to_string())
    }

    /// A customer is gone: he waits no longer, and nobody serves him.
    async fn gone(&self, session: &Session) {
        let Some(team) = self.team() else {
            return;
        };
        let left = self
            .desks
            .customer(&session.user, &team.address, CustomerAct::Leave);
        if let Err(error) = left.await {
            tracing::trace!(user = %session.user, %error, "there was nothing to leave");
        }
    }

    /// Milliseconds since 1970 UTC.
    fn wall_ms(&self) -> i64 {
        self.clock.now().wall_ms
    }
}

impl Host for Ocim {
    /// A customer is a link inside the process, which the router ends by his name; only that knows
    /// not where he comes from.
    fn end(&self, revoked: &Revoked) {
        self.agents.end(revoked);
        if let Whose::Network(network) = &revoked.whose {
            for session in self.customers.all() {
                if network.contains(session.address) {
                    session.end_soon(End::Revoked);
                }
            }
        }
    }
}

/// EVALUATE of a customer: the chat in `cid`, `opinion` 1 to 5 and `suggest` in the content.
fn rating(packet: &Packet) -> Result<CustomerAct, String> {
    #[derive(serde::Deserialize)]
    struct Rating {
        opinion: u8,
        #[serde(default)]
        suggest: String,
    }
    let episode = packet.cid.as_deref().unwrap_or_default().parse();
    let episode = episode.map_err(|_| "`cid` is not a number in decimal")?;
    let rating: Rating = serde_json::from_str(packet.content()).map_err(|error| {
        format!("`body.content` is not {{\"opinion\":1…5,\"suggest\":…}}: {error}")
    })?;
    Ok(CustomerAct::Rate {
        episode: EpisodeId(episode),
        stars: rating.opinion,
        text: rating.suggest,
    })
}
