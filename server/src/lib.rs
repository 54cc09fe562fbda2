//! The embeddable Tidings server: an instant-messaging server, wire-compatible with MobileIMSDK v6,
//! as a part of your application.
//!
//! ```
//! use tidings_server::config::Settings;
//! use tidings_server::store::Durability;
//! use tidings_server::{Listener, Server};
//!
//! struct Bouncer;
//!
//! impl Listener for Bouncer {
//!     async fn verify_login(&self, login: &tidings_server::hooks::LoginRequest) -> i32 {
//!         if login.token == "secret" { 0 } else { 1025 }
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = Settings::default();
//! settings.delivery.durability = Durability::Memory; // the default keeps everything on disk
//! settings.listen.tcp = Some("127.0.0.1:0".parse()?); // any free port
//! settings.listen.udp = None;
//! settings.listen.ws = None;
//! settings.listen.http = None;
//! settings.listen.agents = None;
//! let running = Server::builder(settings).listener(Bouncer).start().await?;
//! println!("clients connect to {:?}", running.addresses().tcp);
//!
//! let handle = running.handle();
//! let mut bob = handle.connect("bob").token("secret").await?;
//! let sent = handle.send("bob", "welcome").await?; // in custody now, with number `sent.seq`
//! let message = bob.message().await.ok_or("closed")?;
//! assert_eq!((&*message.from, &*message.body, message.seq), ("0", "welcome", sent.seq));
//! bob.acknowledge(&message);
//! running.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Listener`] is what your application is asked and told, [`Handle`] what it can do,
//! [`LocalLink`] a client without a socket. `examples/embed.rs` is a whole web application;
//! `docs/embedding.md` explains what is promised.
//!
//! Inside:
//!
//! - `admin`: what an operator asks of a running server, or of its files
//! - `api`: REST, its documentation, health and metrics over HTTP
//! - `auth`: who may come in
//! - `config`: settings, from defaults to a validated struct
//! - `gate`: what a peer may take before it is admitted
//! - `handle`: what an application does with a running server
//! - `hooks`: what an application is asked, handed and told
//! - `transport`: sockets to frames, one file per transport
//! - `link`: outboxes, back-pressure, closing
//! - `metrics`: what is counted
//! - `ocim`: customers and agents of the customer-service demos
//! - `origins`: which web pages may use the server
//! - `private`: who else may read the data directory: nobody
//! - `router`: drives the shard, commits, loads
//! - `store`: one trait, SQLite and memory behind it
//!
//! `transport → link → router → {store, hooks}`; nothing imports `transport` but `server`.

#[cfg(unix)]
pub mod admin;
pub mod api;
pub mod auth;
mod clock;
pub mod config;
pub mod desk;
mod gate;
mod handle;
pub mod hooks;
mod link;
pub mod metrics;
mod ocim;
mod origins;
mod private;
mod reload;
mod retention;
mod router;
mod server;
pub mod store;
mod transport;

/// Certificates, for tools beside the server.
pub mod tls {
    pub use crate::transport::certificate::{Pair, self_signed, validity};
    pub use crate::transport::tls::{TlsError, read_pair};
}

pub use handle::{
    Connect, ConnectError, Handle, HandleError, LocalLink, LocalSend, LocalSendError, Readiness,
    Send, SendError, Sent, UserOnline,
};
pub use hooks::Listener;
pub use link::LocalEvent;
pub use router::{Deliveries, Delivery, OnlineSession};
pub use server::{Addresses, Builder, Running, Server, StartError};
/// The pure half, whose words (names, messages, codes, limits) this library uses.
pub use tidings_core as core;
