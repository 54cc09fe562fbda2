//! What can be wrong with a configuration, said so that the operator can mend it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// Which.
        path: PathBuf,
        /// On which line, from 1.
        line: usize,
    },
    /// By an environment variable.
    Environment {
        /// Which.
        name: String,
    },
    /// On the command line.
    CommandLine {
        /// Which option.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { name } => write!(f, "environment variable {name}"),
            Origin::CommandLine { name } => write!(f, "option {name}"),
        }
    }
}

/// What is wrong with a configuration. One line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// As the system says it.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{origin}: not TOML: {reason}")]
    Syntax {
        /// Where it goes wrong.
        origin: Origin,
        /// What is wrong there.
        reason: String,
    },
    /// No such key.
    #[error("{origin}: unknown key {key}; there are: {known}")]
    UnknownKey {
        /// As it was written.
        key: String,
        /// Where.
        origin: Origin,
        /// The keys that could have been meant.
        known: String,
    },
    /// No such variable.
    #[error(
        "environment variable {name}: unknown{}; variables are named after keys, as \
         TIDINGS_LISTEN_TCP after listen.tcp",
        nearest.as_ref().map(|key| format!(": is {key} meant?")).unwrap_or_default()
    )]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The key's variable that is most like it.
        nearest: Option<String>,
    },
    /// A value that the key does not take.
    #[error("{origin}: {key} = {value}: allowed is {allowed}")]
    BadValue {
        /// The key.
        key: String,
        /// The value, as it was written.
        value: String,
        /// What could have stood there.
        allowed: String,
        /// Where.
        origin: Origin,
    },
    /// No transport is on.
    #[error("listen.tcp, listen.udp and listen.ws are all off: switch one on")]
    NothingListens,
    /// Open logins on an address that other machines reach.
    #[error(
        "{key} = {address} can be reached by other machines, and auth.mode = \"open\" lets anybody \
         log in as anyone: listen on 127.0.0.1, or set auth.allow_open_on_public = true if the \
         network is trusted"
    )]
    OpenOnPublic {
        /// Which listener.
        key: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// The demo's passwords on an address that other machines reach.
    #[error(
        "{key} = {address} can be reached by other machines, and --demo makes agents whose passwords \
         everybody knows: listen on 127.0.0.1, or start without --demo"
    )]
    DemoOnPublic {
        /// Which listener.
        key: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// A setting that another one demands, or two that exclude each other.
    #[error("{key}: {problem}")]
    Together {
        /// Which key to look at.
        key: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A group that cannot be.
    #[error("groups: group `{group}` {problem}")]
    Group {
        /// Its name.
        group: String,
        /// What is wrong with it.
        problem: String,
    },
}
