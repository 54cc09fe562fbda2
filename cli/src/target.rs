//! Which server a client's command speaks to, as whom, and why it believes the server.

use std::path::PathBuf;

use tidings_client::{Builder, Client};

use crate::secret;

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
    /// His token or password is the first line of this file; - is standard input
    #[arg(
        long,
        env = "TIDINGS_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token"
    )]
    token_file: Option<PathBuf>,
    /// Ask for his token or password, without showing it
    #[arg(long, conflicts_with_all = ["token", "token_file"])]
    ask_token: bool,
    /// With TLS: believe the authorities in this PEM file, or the certificate that is in it
    #[arg(long, env = "TIDINGS_CA", value_name = "FILE", conflicts_with = "pin")]
    ca: Option<PathBuf>,
    /// With TLS: believe the certificate with this SHA-256 and no other
    #[arg(long, env = "TIDINGS_PIN", value_name = "SHA256")]
    pin: Option<String>,
}

impl TargetArgs {
    /// A client of this server.
    pub(crate) fn client(&self) -> anyhow::Result<Builder> {
        let mut builder = Client::builder(&self.server).user(&self.user);
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(secret::from_file(path)?),
            (None, None) if self.ask_token => Some(secret::asked("Token or password")?),
            (None, None) => None,
        };
        if let Some(token) = token {
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
