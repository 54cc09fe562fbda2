//! A running server: opens the store, binds, accepts, stops.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::ids::Name;
use tidings_core::shard;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[cfg(unix)]
use crate::admin::{AdminSocket, Office};
use crate::api;
use crate::auth::{Access, Admission, AuthError, Kept};
use crate::config::{ConfigError, Settings};
use crate::desk::{self, DeskStartError, Desks};
use crate::gate::{self, Gate, Place};
use crate::handle::Handle;
use crate::hooks::{Hooks, Inbox, Listener};
#[cfg(unix)]
use crate::link::Framing;
use crate::ocim::{self, Ocim};
use crate::origins::Origins;
use crate::private;
use crate::retention;
use crate::router::Router;
use crate::store::{
    Durability, MemoryOptions, MemoryStore, SqliteOptions, SqliteStore, Store, StoreError,
};
use crate::transport::tls::{Tls, TlsError};
use crate::transport::{self, http, tcp, udp, websocket};

/// The default of `listen.agents`.
const AGENTS_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6067);

/// Why a server did not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Logins could not be verified.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be bound.
    #[error("cannot listen on {transport} {address}: {reason}; is another server running there?")]
    Bind {
        /// tcp, udp, ws, http or agents.
        transport: &'static str,
        /// Which address.
        address: SocketAddr,
        /// As the system says it.
        reason: io::Error,
    },
    /// The desks cannot start.
    #[error(transparent)]
    Desk(#[from] DeskStartError),
    /// The settings do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// A thread of the start itself failed.
    #[error("the start was cut off: {0}")]
    Cut(String),
}

/// Where a running server listens; `None` is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// MobileIMSDK over TCP.
    pub tcp: Option<SocketAddr>,
    /// MobileIMSDK over UDP.
    pub udp: Option<SocketAddr>,
    /// MobileIMSDK over WebSocket.
    pub ws: Option<SocketAddr>,
    /// HTTP.
    pub http: Option<SocketAddr>,
    /// The same once more, for OCIM's old pages.
    pub ocim: Option<SocketAddr>,
    /// Desktop agents of OCIM.
    pub agents: Option<SocketAddr>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

/// The server, before it runs.
#[derive(Debug)]
pub struct Server;

/// A server that accepts connections. Dropping it stops accepting, but not gracefully: call
/// [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    /// Those in force.
    pub(crate) settings: Settings,
    pub(crate) router: Arc<Router>,
    desks: desk::Open,
    pub(crate) admission: Admission,
    pub(crate) gate: Gate,
    pub(crate) tls: Option<Tls>,
    pub(crate) retention_days: watch::Sender<u32>,
    tasks: JoinSet<()>,
    listening: Option<Listening>,
    pub(crate) shutdown: Duration,
    _kept: Option<Kept>,
}

/// A server with what the application wants to say about it.
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    settings: Settings,
    hooks: Option<Arc<Hooks>>,
    store: Option<Arc<dyn Store>>,
}

impl Server {
    /// Opens the store, binds every address and starts to serve. Must be called on a Tokio
    /// multi-thread runtime.
    ///
    /// # Errors
    /// If the data directory or an address cannot be used. What was bound is released.
    pub async fn start(settings: Settings) -> Result<Running, StartError> {
        Server::builder(settings).start().await
    }

    /// A server in an application.
    pub fn builder(settings: Settings) -> Builder {
        Builder {
            settings,
            hooks: None,
            store: None,
        }
    }
}

impl Builder {
    /// Who is asked and told. Without a listener nobody is asked, and messages to `0` stay in
    /// custody until there is one.
    pub fn listener(mut self, listener: impl Listener) -> Builder {
        let timeout = Duration::from_millis(self.settings.hooks.timeout_ms);
        self.hooks = Some(Hooks::new(listener, timeout));
        self
    }

    /// Keeps everything in this store instead of one in `settings.data`. It must pass the contract
    /// suite of [`crate::store`].
    pub fn store(mut self, store: Arc<dyn Store>) -> Builder {
        self.store = Some(store);
        self
    }

    /// Makes tenant, team and agents of the demo, as far as they are not there, before anybody can
    /// connect. Their passwords are public: nothing for a server that others reach.
    pub fn demo(mut self, demo: bool) -> Builder {
        self.settings.demo = demo;
        self
    }

    /// As [`Server::start`].
    ///
    /// # Errors
    /// If the settings do not go together, the data directory or an address cannot be used. What
    /// was bound is released.
    pub async fn start(self) -> Result<Running, StartError> {
        let Builder {
            settings,
            hooks,
            store,
        } = self;
        check(&settings)?;
        let opened = settings.clone();
        let (store, kept, admission, tls) =
            tokio::task::spawn_blocking(move || open(&opened, store))
                .await
                .map_err(|error| StartError::Cut(error.to_string()))??;
        let config = shard_config(&settings, hooks.as_deref());
        let stamped = settings.delivery.server_timestamp;
        let router = Router::start(config, stamped, admission.clone(), store, hooks.clone())
            .map_err(StartError::Thread)?;
        let mut tasks = JoinSet::new();
        let access = Access(admission.clone());
        let dir = kept.is_some().then_some(&*settings.data);
        let dir = (dir, settings.accept_loss);
        let desks = desks(&router, access.clone(), hooks.clone(), dir, settings.demo).await?;
        dir.0.into_iter().for_each(private::tighten); // what was made since
        let gate = Gate::new(settings.limits.connections_per_address, gate::files_max());
        let doors = (&access, &desks.0);
        let bound = bind(&settings, tls.as_ref(), &gate, &router, doors, &mut tasks);
        let addresses = match bound {
            Ok(addresses) => addresses,
            Err(error) => {
                tasks.shutdown().await;
                desks.0.stop().await;
                router.stop(tokio::time::Instant::now()).await;
                return Err(error);
            }
        };
        #[cfg(unix)]
        if kept.is_some() {
            match AdminSocket::bind(&settings.data) {
                Ok(socket) => {
                    let (handle, data) = (Handle::new(&router), settings.data.clone());
                    let office = Office::new(handle, access, desks.0.clone(), data);
                    tasks.spawn(socket.serve(office));
                }
                // Everything else works; `tidings admin` then wants the server stopped.
                Err(error) => tracing::error!(%error, "admin.sock cannot be made"),
            }
        }
        tasks.spawn(gate.clone().keep_time());
        tasks.spawn(admission.clone().keep_fresh());
        if let Some(tls) = tls.clone() {
            tasks.spawn(tls.keep_fresh());
        }
        let (retention_days, days) = watch::channel(settings.delivery.retention_days);
        tasks.spawn(retention::run(router.clone(), days));
        let listening = hooks.map(|hooks| Listening::start(hooks, &router, &mut tasks));
        let shutdown = Duration::from_millis(settings.shutdown_ms);
        Ok(Running {
            addresses,
            settings,
            router,
            desks,
            admission,
            gate,
            tls,
            retention_days,
            tasks,
            listening,
            shutdown,
            _kept: kept,
        })
    }
}

fn check(settings: &Settings) -> Result<(), ConfigError> {
    match settings.validate() {
        // An application may talk to its server through links inside the process alone.
        Err(ConfigError::NothingListens) => Ok(()),
        checked => checked,
    }
}

fn shard_config(settings: &Settings, hooks: Option<&Hooks>) -> shard::Config {
    shard::Config {
        sense: settings.session.sense,
        second_login: settings.session.second_login,
        frame_bytes_max: settings.delivery.frame_bytes_max,
        udp_window: settings.delivery.udp_window,
        ask_before: hooks.map(Hooks::ask_before).unwrap_or_default(),
        tell_relayed: hooks.is_some(),
    }
}

/// What is opened before anything listens.
type Opened = (Arc<dyn Store>, Option<Kept>, Admission, Option<Tls>);

/// Opens everything that lies on the disk. Blocks.
fn open(settings: &Settings, store: Option<Arc<dyn Store>>) -> Result<Opened, StartError> {
    let store = open_store(settings, store)?;
    let kept = Kept::take(settings)?;
    if kept.is_some() {
        private::tighten(&settings.data);
    }
    let admission = Admission::open(settings, kept.is_some())?;
    let tls = match (&settings.tls.cert_file, &settings.tls.key_file) {
        (Some(certificate), Some(key)) => Some(Tls::open(certificate, key)?),
        _ => None,
    };
    Ok((store, kept, admission, tls))
}

/// The listener of a running server.
#[derive(Debug)]
struct Listening {
    hooks: Arc<Hooks>,
    stop: watch::Sender<bool>,
    inbox: tokio::task::JoinHandle<()>,
}

impl Listening {
    fn start(hooks: Arc<Hooks>, router: &Arc<Router>, tasks: &mut JoinSet<()>) -> Listening {
        let (stop, stopped) = watch::channel(false);
        tasks.spawn(hooks.clone().run_notices());
        let inbox = Inbox::new(hooks.clone(), router.clone(), stopped);
        let inbox = tokio::spawn(inbox.run());
        Listening { hooks, stop, inbox }
    }

    /// Hands nothing over any more, and waits for what is with the listener: its cursor is then
    /// written with everything else.
    async fn stop_inbox(&mut self, until: tokio::time::Instant) {
        self.stop.send_replace(true);
        if tokio::time::timeout_at(until, &mut self.inbox)
            .await
            .is_err()
        {
            self.inbox.abort();
        }
    }

    /// Lets the listener hear how it ended.
    async fn drain_notices(&self, until: tokio::time::Instant) {
        while !self.hooks.is_idle() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.inbox.abort();
    }
}

/// The desks, with what is kept of them in a directory, also if it is damaged and that is accepted, and
/// with the demo's agents if they are wanted. Without desks the router stops.
async fn desks(
    router: &Arc<Router>,
    access: Access,
    hooks: Option<Arc<Hooks>>,
    dir: (Option<&Path>, bool),
    demo: bool,
) -> Result<desk::Open, StartError> {
    let open = async {
        let desks = desk::Open(Desks::start(router, access, hooks, dir).await?);
        if demo {
            desks.0.set_up_demo(router.wall_ms()).await?;
        }
        Ok(desks)
    };
    let opened: Result<_, DeskStartError> = open.await;
    if opened.is_err() {
        router.stop(tokio::time::Instant::now()).await;
    }
    Ok(opened?)
}

fn open_store(
    settings: &Settings,
    given: Option<Arc<dyn Store>>,
) -> Result<Arc<dyn Store>, StoreError> {
    let store: Arc<dyn Store> = match (given, settings.delivery.durability) {
        (Some(store), _) => store,
        (None, Durability::Memory) => Arc::new(MemoryStore::new(MemoryOptions::default())),
        (None, durability) => {
            let options = SqliteOptions {
                durability,
                accept_loss: settings.accept_loss,
                ..SqliteOptions::default()
            };
            Arc::new(SqliteStore::open(&settings.data, options)?)
        }
    };
    for (group, members) in &settings.groups {
        let members: Vec<Name> = members.iter().map(|m| Name::from(&**m)).collect();
        store.set_group(&format!("#{group}"), &members)?;
    }
    Ok(store)
}

fn bind(
    settings: &Settings,
    tls: Option<&Tls>,
    gate: &Gate,
    router: &Arc<Router>,
    (access, desks): (&Access, &Desks),
    tasks: &mut JoinSet<()>,
) -> Result<Addresses, StartError> {
    let failed = |transport, address| {
        move |reason| StartError::Bind {
            transport,
            address,
            reason,
        }
    };
    let listen = &settings.listen;
    let tls_if = |on: bool| tls.filter(|_| on).cloned();
    let mut addresses = Addresses::default();
    if let Some(address) = listen.tcp {
        let listener = transport::listen(address).map_err(failed("tcp", address))?;
        addresses.tcp = listener.local_addr().ok();
        let (router, max) = (router.clone(), settings.delivery.frame_bytes_max);
        let serve = move |link| tcp::serve(router.clone(), link, max);
        let greet = transport::greet(tls_if(settings.tls.tcp), Framing::Length, serve);
        tasks.spawn(transport::accept(listener, gate.door("tcp", false), greet));
    }
    if let Some(address) = listen.udp {
        let socket = udp::bind(address).map_err(failed("udp", address))?;
        addresses.udp = socket.local_addr().ok();
        tasks.spawn(udp::serve(router.clone(), socket));
    }
    if let Some(address) = listen.ws {
        let listener = transport::listen(address).map_err(failed("ws", address))?;
        addresses.ws = listener.local_addr().ok();
        let (router, echo) = (router.clone(), settings.echo);
        let origins = Arc::new(Origins::of_websocket(settings));
        let serve = move |link| websocket::serve(router.clone(), link, origins.clone(), echo);
        let greet = transport::greet(tls_if(settings.tls.ws), Framing::WebSocket, serve);
        tasks.spawn(transport::accept(listener, gate.door("ws", false), greet));
    }
    // Both HTTP ports are one to customers: a session begun on one goes on on the other.
    let handle = Handle::new(router);
    let tls = tls_if(settings.tls.http);
    let doors = (access.clone(), desks.clone());
    let secure = tls.is_some();
    let ocim = Ocim::new(settings, handle.clone(), doors.clone(), secure);
    let first_data = Duration::from_millis(settings.ocim.first_data_ms);
    let routes = api::service(handle, doors, ocim.clone(), settings);
    for (name, address) in [("http", listen.http), ("ocim", listen.ocim)] {
        let Some(address) = address else {
            continue;
        };
        let listener = transport::listen(address).map_err(failed(name, address))?;
        let bound = listener.local_addr().ok();
        match name {
            "http" => addresses.http = bound,
            _ => addresses.ocim = bound,
        }
        // Until the end, so that `/readyz` says that we are stopping.
        let door = gate.door(name, true);
        let (tls, routes) = (tls.clone(), routes.clone());
        tasks.spawn(http::serve(listener, door, tls, first_data, routes));
    }
    if let Some(address) = listen.agents {
        let listener = listen_for_agents(address).map_err(failed("agents", address))?;
        if let Some(listener) = listener {
            addresses.agents = listener.local_addr().ok();
            let greet = greet_agents(ocim, tls_if(settings.tls.agents));
            tasks.spawn(transport::accept(
                listener,
                gate.door("agents", false),
                greet,
            ));
        }
    }
    Ok(addresses)
}

/// Few have desktop agents: a second server on a machine need not be told to do without.
fn listen_for_agents(address: SocketAddr) -> io::Result<Option<TcpListener>> {
    match transport::listen(address) {
        Err(error) if address == AGENTS_DEFAULT && error.kind() == io::ErrorKind::AddrInUse => {
            tracing::warn!(
                %address,
                "desktop agents cannot connect: something else listens there; see listen.agents"
            );
            Ok(None)
        }
        listener => listener.map(Some),
    }
}

/// What becomes of a desktop agent's connection.
fn greet_agents(ocim: Arc<Ocim>, tls: Option<Tls>) -> impl FnMut(TcpStream, SocketAddr, Place) {
    move |stream, peer, place| {
        let (ocim, address) = (ocim.clone(), peer.ip());
        let safe = tls.is_some() || address.to_canonical().is_loopback();
        match tls.clone() {
            None => transport::serve_or_close(place, move |place| async move {
                ocim::tcp::serve(ocim, stream, (address, safe), place).await;
            }),
            Some(tls) => transport::serve_or_close(place, move |place| async move {
                if let Some(stream) = Box::pin(tls.handshake(stream, address)).await {
                    ocim::tcp::serve(ocim, stream, (address, safe), place).await;
                }
            }),
        }
    }
}

impl Running {
    /// Where it listens, with the ports that were really bound.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Accounts, keys, blocks and visitors.
    #[must_use]
    pub fn access(&self) -> Access {
        Access(self.admission.clone())
    }

    /// What `tidings admin` asks.
    #[cfg(unix)]
    pub(crate) fn office(&self) -> Office {
        let data = self.settings.data.clone();
        Office::new(self.handle(), self.access(), self.desks(), data)
    }

    /// The support desks.
    #[must_use]
    pub fn desks(&self) -> Desks {
        self.desks.0.clone()
    }

    /// What an application does with its server: send, kick, ask. Stays valid, and refuses, after
    /// the server has stopped.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(&self.router)
    }

    /// Stops accepting, commits and answers what was gathered, closes every link politely, and
    /// returns, after `shutdown_ms` at the latest. Nothing acknowledged is lost either way.
    pub async fn stop(self) {
        let Running {
            router,
            desks,
            mut tasks,
            listening,
            shutdown,
            gate,
            ..
        } = self;
        let until = tokio::time::Instant::now() + shutdown;
        gate.close();
        let mut listening = listening;
        if let Some(listening) = &mut listening {
            listening.stop_inbox(until).await;
        }
        desks.0.stop().await;
        // The HTTP port stays open for a moment, so that `/readyz` says that we are stopping.
        router.stop(until).await;
        if let Some(listening) = &listening {
            listening.drain_notices(until).await;
        }
        tasks.shutdown().await;
        // Threads and links let go of it one after the other. Whoever is last closes the store: we,
        // so that the data directory is free when this returns.
        let mut router = router;
        loop {
            match Arc::try_unwrap(router) {
                Ok(last) => {
                    let _ = tokio::task::spawn_blocking(move || drop(last)).await;
                    return;
                }
                Err(_) if tokio::time::Instant::now() >= until => return,
                Err(shared) => router = shared,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
