//! The embeddable Tidings server: sockets, disk, HTTP around the pure machines of `tidings-core`.
//!
//! - `auth`: who may come in
//! - `config`: settings, from defaults to a validated struct
//! - `transport`: sockets to frames, one file per transport
//! - `link`: outboxes, back-pressure, closing
//! - `router`: drives the shard, commits, loads
//! - `store`: one trait, SQLite and memory behind it
//!
//! `transport → link → router → store`; nothing imports `transport` but `server`.

pub mod auth;
mod clock;
pub mod config;
mod link;
mod router;
mod server;
pub mod store;
mod transport;

pub use server::{Addresses, Running, Server, StartError};
