//! What goes wrong, in words that help.

use std::io;

use crate::bench::args::Endpoint;

/// Faults of a run that did not end it.
#[derive(Debug, Default, Clone)]
pub(in crate::bench) struct Faults {
    /// Connections that ended in mid-run.
    pub(in crate::bench) links_lost: u64,
    /// Errors that the server sent (type 52).
    pub(in crate::bench) errors: u64,
    /// The first of all.
    pub(in crate::bench) first: Option<String>,
}

impl Faults {
    pub(super) fn link_lost(&mut self, text: String) {
        self.links_lost += 1;
        self.first.get_or_insert(text);
    }

    pub(super) fn refused(&mut self, user: &str, data: &str) {
        self.errors += 1;
        self.first
            .get_or_insert_with(|| format!("the server told {user}: {data}"));
    }

    pub(in crate::bench) fn merge(&mut self, other: &Faults) {
        self.links_lost += other.links_lost;
        self.errors += other.errors;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}

/// Why a connection could not be made, and what can be done.
pub(super) fn connecting(endpoint: &Endpoint, error: &io::Error) -> anyhow::Error {
    // EMFILE, ENFILE: the standard library has no kind for them.
    let advice = match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::ConnectionRefused, _) => "; is the server running there?",
        (_, Some(23 | 24)) => {
            "; raise the limit of open files (ulimit -n), or use fewer connections per process"
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            "; no local port is left: wait a minute, or widen net.ipv4.ip_local_port_range"
        }
        _ => "",
    };
    anyhow::anyhow!("cannot connect to {endpoint}: {error}{advice}")
}

/// A login that was refused.
pub(super) fn refused(user: &str, code: i32) -> anyhow::Error {
    anyhow::anyhow!("the login of {user} was refused with code {code}; see --token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_named() {
        let endpoint: Endpoint = "tcp://127.0.0.1:1".parse().expect("url");
        let error = connecting(&endpoint, &io::Error::from_raw_os_error(24));
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        let error = connecting(&endpoint, &io::ErrorKind::ConnectionRefused.into());
        assert!(
            error.to_string().contains("is the server running"),
            "{error}"
        );
    }
}
