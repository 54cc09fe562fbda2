//! RFC 6455, both roles, without extensions.
//!
//! Here: the opening handshake as text, frames as bytes. Not here: sockets, timers, what a message
//! says. Called by the WebSocket transport of the server and by the client library.
