//! The embeddable Tidings server: sockets, disk, HTTP around the pure machines of `tidings-core`.

pub mod config;
pub mod store;

// Placeholder of the agreed interface until the driver is merged.

use std::net::SocketAddr;

/// A server.
#[derive(Debug)]
pub struct Server;

/// A running server.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
}

/// Where a running server listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// TCP.
    pub tcp: Option<SocketAddr>,
    /// UDP.
    pub udp: Option<SocketAddr>,
    /// WebSocket.
    pub ws: Option<SocketAddr>,
    /// HTTP.
    pub http: Option<SocketAddr>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is not there.
    #[error("this build has no server yet")]
    NotYet,
}

impl Server {
    /// Starts.
    ///
    /// # Errors
    /// Always, for now.
    pub async fn start(_settings: config::Settings) -> Result<Running, StartError> {
        Err(StartError::NotYet)
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops.
    pub async fn stop(self) {}
}
