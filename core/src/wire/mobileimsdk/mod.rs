//! The MobileIMSDK v6 protocol: one JSON object per frame.
//!
//! Here: frames, the payloads of login, error and kick-out, the length prefix of TCP. Not here:
//! what a frame means to a session, WebSocket framing (`wire/websocket`). Called by the transports
//! and links of server and client. `docs/protocol.md` has the rules.

mod encode;
mod fast;
mod frame;
pub mod login;
mod message;
pub mod tcp;
#[cfg(test)]
mod tests;

pub use crate::wire::json::DecodeError;
pub use encode::{encode, encode_extended};
pub use frame::{Extended, Frame, decode, decode_extended, decode_str};
pub use message::{Form, Lengths, encode_message, lengths};
