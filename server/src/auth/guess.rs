//! Slows guessing. A login is verified first, so that a right token is never refused or delayed
//! because of others' failures; only the answer to a wrong one is held back.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::bucket::{Buckets, Rate};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::time::Time;

/// Who shares a bucket: one IPv4 address, or the /64 that an IPv6 customer gets.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let prefix = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug)]
struct Failures {
    addresses: Buckets<IpAddr>,
    users: Buckets<Name>,
}

/// What is known of failed logins.
#[derive(Debug)]
pub(super) struct Guesses {
    failures: Mutex<Failures>,
    held_back: Arc<AtomicUsize>,
}

/// One refusal that is held back; gives its place free when dropped.
#[derive(Debug)]
pub(super) struct Delay {
    wait: Duration,
    held_back: Arc<AtomicUsize>,
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.held_back.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Delay {
    /// Lets the time pass.
    pub(super) async fn pass(self) {
        tokio::time::sleep(self.wait).await;
    }
}

impl Guesses {
    pub(super) fn new() -> Guesses {
        let per_address = Rate {
            burst: limits::FAILED_LOGINS_PER_ADDRESS,
            refill_ms: limits::FAILED_LOGINS_PER_ADDRESS_REFILL_MS,
        };
        let per_user = Rate {
            burst: limits::FAILED_LOGINS_PER_USER,
            refill_ms: limits::FAILED_LOGINS_PER_USER_REFILL_MS,
        };
        let failures = Failures {
            addresses: Buckets::new(per_address, limits::FAILURES_REMEMBERED_MAX),
            users: Buckets::new(per_user, limits::FAILURES_REMEMBERED_MAX),
        };
        Guesses {
            failures: Mutex::new(failures),
            held_back: Arc::default(),
        }
    }

    /// A login failed; returns the delay of its refusal. This machine itself is spared: a proxy, a
    /// test, a client library that is being written.
    pub(super) fn failed(&self, now: Time, address: Option<IpAddr>, user: &Name) -> Option<Delay> {
        let address = address.filter(|a| !a.to_canonical().is_loopback())?;
        let mut failures = self.failures.lock();
        let max = limits::REFUSAL_DELAY_MS_MAX;
        let wait = failures.addresses.take(now, network(address), max);
        let wait = wait.max(failures.users.take(now, user.clone(), max));
        drop(failures);
        if wait == 0 {
            return None;
        }
        let before = self.held_back.fetch_add(1, Ordering::Relaxed);
        let delay = Delay {
            wait: Duration::from_millis(wait),
            held_back: self.held_back.clone(),
        };
        // Beyond the bound the answer goes out at once: holding on to more would let a flood of
        // failures take the memory of those who are right. (Dropping gives the place free.)
        (before < limits::REFUSALS_DELAYED_MAX).then_some(delay)
    }

    /// True if many logins from there failed lately: it is served after others.
    pub(super) fn is_suspicious(&self, now: Time, address: Option<IpAddr>) -> bool {
        let Some(address) = address.filter(|a| !a.to_canonical().is_loopback()) else {
            return false;
        };
        let failures = self.failures.lock();
        failures.addresses.is_drained(now, &network(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(guesses: &Guesses, address: &str, user: &str) -> Option<Duration> {
        let address = address.parse().unwrap();
        let delay = guesses.failed(Time(1), Some(address), &Name::from(user));
        delay.map(|delay| delay.wait)
    }

    #[test]
    fn failures_of_one_user_are_delayed_more_and_more() {
        let guesses = Guesses::new();
        let at = |n: u32| format!("192.0.2.{n}");
        for n in 0..limits::FAILED_LOGINS_PER_USER {
            assert_eq!(wait(&guesses, &at(n), "alice"), None);
        }
        let refill = limits::FAILED_LOGINS_PER_USER_REFILL_MS;
        let first = wait(&guesses, &at(100), "alice");
        assert_eq!(first, Some(Duration::from_millis(refill)));
        for n in 0..50 {
            let delay = wait(&guesses, &at(n), "alice").unwrap();
            assert!(delay <= Duration::from_millis(limits::REFUSAL_DELAY_MS_MAX));
        }
        assert_eq!(wait(&guesses, &at(101), "bob"), None);
    }

    #[test]
    fn failures_of_one_address_count_together_and_ipv6_by_network() {
        let guesses = Guesses::new();
        for n in 0..limits::FAILED_LOGINS_PER_ADDRESS {
            let address = format!("2001:db8::{n:x}");
            assert_eq!(wait(&guesses, &address, &format!("u{n}")), None);
        }
        let address: IpAddr = "2001:db8::ffff".parse().unwrap();
        assert!(guesses.is_suspicious(Time(1), Some(address)));
        assert!(wait(&guesses, "2001:db8::1", "other").is_some());
        assert_eq!(wait(&guesses, "2001:db8:0:1::1", "another"), None);
    }

    #[test]
    fn loopback_is_spared() {
        let guesses = Guesses::new();
        for _ in 0..1000 {
            assert_eq!(wait(&guesses, "127.0.0.1", "alice"), None);
            assert_eq!(wait(&guesses, "::1", "alice"), None);
            assert_eq!(wait(&guesses, "::ffff:127.0.0.1", "alice"), None);
        }
    }

    #[test]
    fn refusals_held_back_are_bounded() {
        let guesses = Guesses::new();
        let mut held = Vec::new();
        let mut at_once = 0;
        let address = Some("192.0.2.1".parse().unwrap());
        let free = limits::FAILED_LOGINS_PER_USER as usize;
        for _ in 0..free + limits::REFUSALS_DELAYED_MAX + 100 {
            match guesses.failed(Time(1), address, &Name::from("alice")) {
                Some(delay) => held.push(delay),
                None => at_once += 1,
            }
        }
        assert_eq!(held.len(), limits::REFUSALS_DELAYED_MAX);
        assert_eq!(at_once, free + 100);
        drop(held);
        assert_eq!(guesses.held_back.load(Ordering::Relaxed), 0);
    }
}
