//! The embeddable Tidings server: sockets, disk, HTTP around the pure machines of `tidings-core`.

pub mod store;
