//! Tidings: server.
