//! The embeddable Tidings server: sockets, disk, HTTP around the pure machines of `tidings-core`.
//!
//! - `admin`: what an operator asks of a running server, or of its files
//! - `api`: REST, its documentation, health and metrics over HTTP
//! - `auth`: who may come in
//! - `config`: settings, from defaults to a validated struct
//! - `transport`: sockets to frames, one file per transport
//! - `link`: outboxes, back-pressure, closing
//! - `metrics`: what is counted
//! - `router`: drives the shard, commits, loads
//! - `store`: one trait, SQLite and memory behind it
//!
//! `transport → link → router → store`; nothing imports `transport` but `server`.

#[cfg(unix)]
pub mod admin;
pub mod api;
pub mod auth;
mod clock;
pub mod config;
mod handle;
pub mod hooks;
mod link;
pub mod metrics;
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
pub use router::OnlineSession;
pub use server::{Addresses, Builder, Running, Server, StartError};
/// The pure half, whose words (names, messages, codes, limits) this library uses.
pub use tidings_core as core;
