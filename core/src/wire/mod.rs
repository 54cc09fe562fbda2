//! Wire formats: pure functions between bytes and frames, one folder per protocol.
//!
//! Here: framing, JSON forms, numbers of types and codes. Not here: sockets, session state, what a
//! frame means. Called by the transports and links of server and client.

pub mod code;
pub(crate) mod json;
pub mod mobileimsdk;
pub mod ocim;
pub mod websocket;
