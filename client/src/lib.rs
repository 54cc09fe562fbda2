//! Tidings: client.
