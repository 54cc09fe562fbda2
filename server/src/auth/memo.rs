//! Which credentials were right lately, by fingerprint: the credentials themselves are not kept.

use std::collections::HashMap;

use parking_lot::Mutex;
use tidings_core::time::Time;

use super::crypt::{Digest, MacKey};

#[derive(Debug, Default)]
struct Seen {
    version: u64,
    young: HashMap<Digest, Time>,
    old: HashMap<Digest, Time>,
}

/// Bounded: at most twice `max` fingerprints, the last `max` of them always. The fingerprint's key
/// is this process's own, so that nothing can be made of a copy of its memory elsewhere.
#[derive(Debug)]
pub(super) struct Memo {
    key: MacKey,
    max: usize,
    seen: Mutex<Seen>,
}

impl Memo {
    pub(super) fn new(max: usize) -> Memo {
        Memo {
            key: MacKey::random(),
            max,
            seen: Mutex::default(),
        }
    }

    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> Digest {
        self.key.sign(parts)
    }

    /// When these credentials were right last, if that was under the same `version`.
    pub(super) fn seen(&self, version: u64, fingerprint: &Digest) -> Option<Time> {
        let seen = self.seen.lock();
        if seen.version != version {
            return None;
        }
        let young = seen.young.get(fingerprint);
        young.or_else(|| seen.old.get(fingerprint)).copied()
    }

    /// They are right. `version` is what it was before they were looked at.
    pub(super) fn remember(&self, version: u64, now: Time, fingerprint: Digest) {
        let mut seen = self.seen.lock();
        if seen.version != version {
            if seen.version > version {
                return; // something has changed meanwhile
            }
            *seen = Seen {
                version,
                ..Seen::default()
            };
        }
        if seen.young.len() >= self.max && !seen.young.contains_key(&fingerprint) {
            seen.old = std::mem::take(&mut seen.young);
        }
        seen.young.insert(fingerprint, now);
    }

    /// They are wrong, whatever they were.
    pub(super) fn forget(&self, fingerprint: &Digest) {
        let mut seen = self.seen.lock();
        seen.young.remove(fingerprint);
        seen.old.remove(fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_on_change() {
        let memo = Memo::new(10);
        let print = |n: u32| memo.fingerprint(&[&n.to_be_bytes()]);
        for n in 0..100 {
            memo.remember(0, Time(1), print(n));
        }
        let held = {
            let seen = memo.seen.lock();
            seen.young.len() + seen.old.len()
        };
        assert!(held <= 20, "{held}");
        assert_eq!(memo.seen(0, &print(99)), Some(Time(1)));
        assert_eq!(memo.seen(0, &print(0)), None);
        assert_eq!(memo.seen(1, &print(99)), None);
        memo.remember(1, Time(2), print(7));
        assert_eq!(memo.seen(1, &print(7)), Some(Time(2)));
        assert_eq!(memo.seen(1, &print(99)), None);
        memo.remember(0, Time(3), print(8));
        assert_eq!(memo.seen(1, &print(8)), None);
        memo.forget(&print(7));
        assert_eq!(memo.seen(1, &print(7)), None);
    }
}
