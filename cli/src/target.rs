//! Which server a client's command speaks to, as whom, and why it believes the server.

use std::path::PathBuf;

use tidings_client::{Builder, Client, ConnectError};

/// What `send`, `listen` and `chat` share.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// tcp://HOST:PORT, udp://HOST:PORT, ws://HOST:PORT/websocket; with TLS tls:// or wss://
    #[arg(long, env = "TIDINGS_SERVER", value_name = "URL")]
    pub(crate) server: String,
    /// Who logs in
    #[arg(long, env = "TIDINGS_USER", value_name = "USER")]
    pub(crate) user: String,
    /// His token or password
    #[arg(
        long,
        env = "TIDINGS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// With TLS: believe the authorities in this PEM file, or the certificate that is in it
    #[arg(long, env = "TIDINGS_CA", value_name = "FILE", conflicts_with = "pin")]
    ca: Option<PathBuf>,
    /// With TLS: believe the certificate with this SHA-256 and no other
    #[arg(long, env = "TIDINGS_PIN", value_name = "SHA256")]
    pin: Option<String>,
}

impl TargetArgs {
    /// A client of this server.
    pub(crate) fn client(&self) -> Result<Builder, ConnectError> {
        let mut builder = Client::builder(&self.server).user(&self.user);
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        if let Some(path) = &self.ca {
            builder = builder.tls_authorities(path)?;
        }
        if let Some(fingerprint) = &self.pin {
            builder = builder.tls_pin(fingerprint)?;
        }
        Ok(builder)
    }
}
