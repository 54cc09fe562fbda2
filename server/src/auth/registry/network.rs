//! Networks: an address, or all that begin alike.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/48`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    fn new(address: IpAddr, bits: u8) -> Option<Network> {
        let first = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(bits.min(32)))
                    .unwrap_or(0);
                (bits <= 32).then(|| IpAddr::V4((u32::from(v4) & mask).into()))?
            }
            IpAddr::V6(v6) => {
                let shift = 128 - u32::from(bits.min(128));
                let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                (bits <= 128).then(|| IpAddr::V6((u128::from(v6) & mask).into()))?
            }
        };
        Some(Network { first, bits })
    }

    /// True if the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Network::new(address, self.bits) == Some(*self)
    }

    fn is_single(&self) -> bool {
        self.bits == if self.first.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
            let address = address.to_canonical();
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
            Network::new(address, bits)
        });
        parsed.ok_or_else(|| format!("{text} is no address, and no network as 192.0.2.0/24"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_single() {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}/{}", self.first, self.bits),
        }
    }
}

/// Networks, of which a few lengths are in use at most.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    all: HashSet<Network>,
    lengths: Vec<u8>,
}

impl Networks {
    pub(crate) fn insert(&mut self, network: Network) {
        self.all.insert(network);
        if !self.lengths.contains(&network.bits) {
            self.lengths.push(network.bits);
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let of = |bits: &u8| Network::new(address, *bits);
        self.lengths
            .iter()
            .filter_map(of)
            .any(|network| self.all.contains(&network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let mut networks = Networks::default();
        for text in ["192.0.2.7", "198.51.100.99/24", "2001:db8:1::5/48"] {
            networks.insert(text.parse().unwrap());
        }
        let holds = |text: &str| networks.contains(text.parse().unwrap());
        for inside in [
            "192.0.2.7",
            "::ffff:192.0.2.7",
            "198.51.100.0",
            "2001:db8:1:9::1",
        ] {
            assert!(holds(inside), "{inside}");
        }
        for outside in ["192.0.2.8", "198.51.101.1", "2001:db8:2::1", "::1"] {
            assert!(!holds(outside), "{outside}");
        }
    }

    #[test]
    fn text_both_ways() {
        for (text, shown) in [
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1"),
            ("::/0", "::/0"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), shown);
        }
        for wrong in [
            "",
            "alice",
            "192.0.2.1/33",
            "192.0.2.1/x",
            "::/129",
            "192.0.2.1/24/2",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
