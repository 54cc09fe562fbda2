//! What a UDP address has paid for, until it proves that it is real.

use crate::limits;

/// Where a datagram comes from, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// A number for its network; `None` if nobody can be flooded there: this machine itself.
    pub network: Option<u128>,
    /// Bytes of IP and UDP headers around each datagram.
    pub header_bytes: u16,
}

impl Default for Path {
    /// IPv4 on this machine.
    fn default() -> Path {
        Path {
            network: None,
            header_bytes: 20 + 8,
        }
    }
}

/// An address that has proved nothing.
#[derive(Debug)]
pub(crate) struct Unproven {
    pub(crate) path: Path,
    /// Bytes that may still be sent to it.
    pub(crate) credit: u64,
}

impl Unproven {
    pub(crate) fn new(path: Path) -> Unproven {
        Unproven { path, credit: 0 }
    }

    /// A datagram with so many bytes came from it.
    pub(crate) fn heard(&mut self, bytes: usize) {
        let bytes = bytes as u64 + u64::from(self.path.header_bytes);
        let earned = bytes.saturating_mul(limits::UNPROVEN_FACTOR);
        self.credit = self.credit.saturating_add(earned);
    }

    pub(crate) fn cost(&self, bytes: usize) -> u64 {
        bytes as u64 + u64::from(self.path.header_bytes)
    }
}
