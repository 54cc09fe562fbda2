//! OCIM, the protocol of the customer-service demos: JSON packets over HTTP long polling, WebSocket
//! and a desktop agent's TCP.
//!
//! Here: packets and what their contents say, the array that answers a poll, a request's query, the
//! exchange of SASL. Not here: sockets, HTTP, sessions, what a packet does to the desk. Called by
//! the server's `ocim`. `docs/ocim.md` has the rules; its words (`waiter`, `idy`)
//! stay in here and at that edge. TCP frames have the prefix of [`super::mobileimsdk::tcp`].

mod content;
mod packet;
mod query;
mod read;
pub mod sasl;
#[cfg(test)]
mod tests;
mod words;
mod write;

pub use content::{BuildChat, Transfer, Waiter, WaiterLogin};
pub use packet::{Body, Packet, Party};
pub use query::{Query, QueryError, parse_query};
pub use read::{PacketError, decode};
pub use words::{BodyType, Identity, PacketType, Transport};
pub use write::{datetime, encode, encode_poll};
