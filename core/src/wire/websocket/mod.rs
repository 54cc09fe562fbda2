//! RFC 6455, both roles, without extensions.
//!
//! Here: the opening handshake as text, frames as bytes. Not here: sockets, timers, random masks,
//! what a message says. Called by the WebSocket transport of the server and by the client library.

mod error;
mod frame;
pub mod handshake;
mod mask;
#[cfg(test)]
mod tests;
mod utf8;
mod write;

pub use error::ProtocolError;
pub use frame::{Decoder, Event, Role};
pub use write::{HEADER_BYTES_MAX, Opcode, encode_close, encode_frame, encode_header};
