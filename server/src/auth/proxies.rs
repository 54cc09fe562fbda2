//! From where a request comes: the other end of its connection, or, if that is a proxy that the
//! operator named, whom the proxy says.

use std::net::IpAddr;

use axum::http::HeaderMap;
use parking_lot::RwLock;

use super::registry::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies of `auth.trusted_proxies`.
#[derive(Debug, Default)]
pub(super) struct Proxies(RwLock<Vec<Network>>);

impl Proxies {
    pub(super) fn set(&self, trusted: &[Network]) {
        *self.0.write() = trusted.to_vec();
    }

    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        self.0
            .read()
            .iter()
            .any(|network| network.contains(address))
    }

    /// The client behind a request that came from `socket`: the last of `X-Forwarded-For` who is no
    /// proxy of ours. Each proxy appends whom it heard, so that what stands before an address that
    /// we do not trust may be invented.
    pub(super) fn peer(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut peer = socket;
        if !self.is_trusted(peer) {
            return peer;
        }
        let values = headers.get_all(FORWARDED_FOR).into_iter();
        let lines: Vec<&str> = values.map(|value| value.to_str().unwrap_or("?")).collect();
        for told in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address(told) else {
                break; // whoever wrote that, the address before it is all we know
            };
            peer = address;
            if !self.is_trusted(peer) {
                break;
            }
        }
        peer
    }
}

/// An address, with a port or without.
fn address(told: &str) -> Option<IpAddr> {
    let told = told.trim();
    let with_port = told
        .parse::<std::net::SocketAddr>()
        .map(|socket| socket.ip());
    let plain = told.trim_start_matches('[').trim_end_matches(']');
    with_port.or_else(|_| plain.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxies_that_are_named_are_believed() {
        let proxies = Proxies::default();
        let named = ["127.0.0.1", "10.0.0.0/8"];
        let named: Vec<Network> = named.iter().map(|text| text.parse().unwrap()).collect();
        let peer = |proxies: &Proxies, socket: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            proxies.peer(socket.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(peer(&proxies, "127.0.0.1", &["192.0.2.1"]), "127.0.0.1");
        proxies.set(&named);
        for (socket, lines, expected) in [
            ("127.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("198.51.100.1", &["192.0.2.1"], "198.51.100.1"),
            // What a client invents stands before what the proxy heard.
            ("127.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (
                "127.0.0.1",
                &["203.0.113.9, 192.0.2.1, 10.1.1.1"],
                "192.0.2.1",
            ),
            (
                "127.0.0.1",
                &["203.0.113.9", "192.0.2.1, 10.1.1.1"],
                "192.0.2.1",
            ),
            ("127.0.0.1", &["nonsense, 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["nonsense"], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("::ffff:127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(
                peer(&proxies, socket, lines),
                expected,
                "{socket} {lines:?}"
            );
        }
    }
}
