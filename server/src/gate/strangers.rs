//! Who is there and not admitted. Pure: time comes in, and what must be closed goes out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use tidings_core::limits;
use tokio::time::Instant;

use crate::auth::network;

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// So many files are open as may be.
    Files {
        /// Connections that leave the store, the admin socket and the log their files.
        max: usize,
    },
    /// So many of one listener are not admitted.
    Listener,
    /// So many of one network are not admitted.
    Network,
}

#[derive(Debug)]
struct Stranger<C> {
    /// Where he stands among those who wait.
    at: u64,
    door: usize,
    network: IpAddr,
    since: Instant,
    close: Option<C>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Connections, admitted or not.
    open: usize,
    strangers: usize,
    stays: bool,
}

/// See the module. `C` closes a connection.
#[derive(Debug)]
pub(super) struct Strangers<C> {
    all: HashMap<u64, Stranger<C>>,
    /// Their numbers; who has waited longest comes first.
    order: BTreeMap<u64, u64>,
    /// The last number given to somebody, or to a place in the order.
    last: u64,
    /// Who had to go before it was known how he is closed.
    owed: HashSet<u64>,
    doors: Vec<Counts>,
    /// Strangers, by listener and network.
    networks: HashMap<(usize, IpAddr), usize>,
    /// Connections, admitted or not, all listeners together.
    open: usize,
    open_max: usize,
}

const PATIENCE: Duration = Duration::from_millis(limits::UNADMITTED_PATIENCE_MS);

impl<C> Strangers<C> {
    /// `files` that the process may have open.
    pub(super) fn new(files: Option<usize>) -> Strangers<C> {
        let reserved = |files: usize| limits::FILES_RESERVED.min(files / 2);
        Strangers {
            all: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            owed: HashSet::new(),
            doors: Vec::new(),
            networks: HashMap::new(),
            open: 0,
            open_max: files.map_or(usize::MAX, |files| files - reserved(files)),
        }
    }

    /// Adds a listener; returns its number.
    pub(super) fn add_door(&mut self, stays: bool) -> usize {
        self.doors.push(Counts {
            stays,
            ..Counts::default()
        });
        self.doors.len() - 1
    }

    pub(super) fn door_stays(&self, door: usize) -> bool {
        self.doors.get(door).is_some_and(|door| door.stays)
    }

    /// Descriptors that are one listener's whatever the others have.
    fn share(&self) -> usize {
        let fair = self.open_max / (2 * self.doors.len().max(1));
        limits::FILES_PER_LISTENER_RESERVED.min(fair)
    }

    fn has_files(&self, door: usize) -> bool {
        let share = self.share();
        let of = |counts: &Counts| share.saturating_sub(counts.open);
        let own = self.doors.get(door).map_or(0, of);
        let others = self.doors.iter().map(of).sum::<usize>() - own;
        own > 0 || self.open + others < self.open_max
    }

    /// Whether one more may be accepted. If not, why, and whom to close for that: who has waited
    /// longest, of the network that has most of them, if he had his time.
    pub(super) fn room(&mut self, door: usize, now: Instant) -> Result<(), (Full, Option<C>)> {
        if !self.has_files(door) {
            let max = self.open_max;
            // Only where more is taken than a listener's share does closing help this one.
            let share = self.share();
            let crowded = |at: usize, counts: &Counts| at == door || counts.open > share;
            let helps: Vec<bool> = (0..)
                .zip(&self.doors)
                .map(|(at, c)| crowded(at, c))
                .collect();
            let victim = self.evict_of_most(now, |at| helps.get(at).copied().unwrap_or(false));
            return Err((Full::Files { max }, victim));
        }
        let strangers = self.doors.get(door).map_or(0, |counts| counts.strangers);
        if strangers >= limits::UNADMITTED_PER_LISTENER_MAX {
            let victim = self.evict_of_most(now, |at| at == door);
            return Err((Full::Listener, victim));
        }
        Ok(())
    }

    /// One more is there. Returns his serial number, and whom of his network to close for him.
    pub(super) fn enter(
        &mut self,
        door: usize,
        address: IpAddr,
        now: Instant,
    ) -> Result<(u64, Option<C>), Full> {
        let network = network(address);
        let is_of_it = |stranger: &Stranger<C>| stranger.network == network;
        let doors = 0..self.doors.len();
        let of_network = |at| self.networks.get(&(at, network)).copied().unwrap_or(0);
        let count: usize = doors.map(of_network).sum();
        let mut victim = None;
        // Behind a proxy on this machine is everybody.
        if count >= limits::UNADMITTED_PER_NETWORK_MAX && !network.is_loopback() {
            let serial = self.first(now, is_of_it).ok_or(Full::Network)?;
            victim = self.evict(serial);
        }
        self.open += 1;
        if let Some(counts) = self.doors.get_mut(door) {
            counts.open += 1;
        }
        self.last += 1;
        let serial = self.last;
        self.put(
            serial,
            Stranger {
                at: serial,
                door,
                network,
                since: now,
                close: None,
            },
        );
        Ok((serial, victim))
    }

    /// Who of these has waited longest, if he had his time.
    fn first(&self, now: Instant, of: impl Fn(&Stranger<C>) -> bool) -> Option<u64> {
        let mut all = self.order.values();
        let serial = all.find(|serial| self.all.get(serial).is_some_and(&of))?;
        let since = self.all.get(serial)?.since;
        (now.duration_since(since) >= PATIENCE).then_some(*serial)
    }

    fn put(&mut self, serial: u64, stranger: Stranger<C>) {
        if let Some(counts) = self.doors.get_mut(stranger.door) {
            counts.strangers += 1;
        }
        let key = (stranger.door, stranger.network);
        *self.networks.entry(key).or_default() += 1;
        self.order.insert(stranger.at, serial);
        self.all.insert(serial, stranger);
    }

    fn take(&mut self, serial: u64) -> Option<Stranger<C>> {
        let stranger = self.all.remove(&serial)?;
        self.order.remove(&stranger.at);
        if let Some(counts) = self.doors.get_mut(stranger.door) {
            counts.strangers -= 1;
        }
        let key = (stranger.door, stranger.network);
        if let Some(count) = self.networks.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&key);
            }
        }
        Some(stranger)
    }

    /// He is no stranger any more: admitted, or gone. Of no effect the second time.
    pub(super) fn leave(&mut self, serial: u64) -> Option<C> {
        self.owed.remove(&serial);
        self.take(serial)?.close
    }

    /// He must go.
    fn evict(&mut self, serial: u64) -> Option<C> {
        let close = self.take(serial)?.close;
        if close.is_none() {
            self.owed.insert(serial);
        }
        close
    }

    /// His time begins anew.
    pub(super) fn renew(&mut self, serial: u64, now: Instant) {
        if let Some(stranger) = self.take(serial) {
            self.last += 1;
            let (at, since) = (self.last, now);
            self.put(
                serial,
                Stranger {
                    at,
                    since,
                    ..stranger
                },
            );
        }
    }

    /// A connection of this listener is closed.
    pub(super) fn gone(&mut self, door: usize) {
        self.open -= 1;
        if let Some(counts) = self.doors.get_mut(door) {
            counts.open -= 1;
        }
    }

    /// How a stranger is closed, instead of what was said before if `again`; given back if that is due
    /// already.
    pub(super) fn set_closer(&mut self, serial: u64, close: C, again: bool) -> Option<C> {
        if let Some(stranger) = self.all.get_mut(&serial) {
            if again || stranger.close.is_none() {
                stranger.close = Some(close);
            }
            return None;
        }
        self.owed.remove(&serial).then_some(close)
    }

    /// Since when the one who has waited longest has.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (_, serial) = self.order.first_key_value()?;
        self.all.get(serial).map(|stranger| stranger.since)
    }

    /// Whose time is over.
    pub(super) fn evict_older(&mut self, now: Instant, max: Duration) -> Vec<C> {
        let mut late = Vec::new();
        while let Some((_, serial)) = self.order.first_key_value() {
            let serial = *serial;
            let since = self.all.get(&serial).map(|stranger| stranger.since);
            if since.is_some_and(|since| now.duration_since(since) < max) {
                break;
            }
            late.extend(self.evict(serial));
        }
        late
    }

    /// Everybody, but for listeners that go on.
    pub(super) fn evict_all(&mut self) -> Vec<C> {
        let stays = |s: &Stranger<C>| self.doors.get(s.door).is_some_and(|door| door.stays);
        let of = |serial: &&u64| self.all.get(serial).is_some_and(|s| !stays(s));
        let all: Vec<u64> = self.order.values().filter(of).copied().collect();
        all.into_iter()
            .filter_map(|serial| self.evict(serial))
            .collect()
    }

    fn evict_of_most(&mut self, now: Instant, of: impl Fn(usize) -> bool) -> Option<C> {
        let crowds = self.networks.iter().filter(|((door, _), _)| of(*door));
        let (most, _) = crowds.max_by_key(|(_, count)| **count)?;
        let (door, network) = *most;
        let serial = self.first(now, |s| s.door == door && s.network == network)?;
        self.evict(serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: usize) -> IpAddr {
        let n = u32::try_from(n).unwrap();
        std::net::Ipv4Addr::from(0xc612_0000 + n).into()
    }

    /// Everybody closes by his number.
    fn enter(all: &mut Strangers<u64>, door: usize, from: IpAddr, now: Instant) -> Option<u64> {
        let (serial, _) = all.enter(door, from, now).ok()?;
        assert_eq!(all.set_closer(serial, serial, false), None);
        Some(serial)
    }

    #[test]
    fn one_network_has_a_share_and_who_waited_longest_makes_room() {
        let mut all = Strangers::new(None);
        let door = all.add_door(false);
        let start = Instant::now();
        let first = enter(&mut all, door, address(1), start).unwrap();
        for _ in 1..limits::UNADMITTED_PER_NETWORK_MAX {
            enter(&mut all, door, address(1), start).unwrap();
        }
        assert_eq!(all.enter(door, address(1), start), Err(Full::Network));
        assert!(enter(&mut all, door, address(2), start).is_some());
        let (_, victim) = all.enter(door, address(1), start + PATIENCE).unwrap();
        assert_eq!(victim, Some(first));
    }

    #[test]
    fn this_machine_may_be_a_proxy() {
        let mut all = Strangers::new(None);
        let door = all.add_door(false);
        let here = "127.0.0.1".parse().unwrap();
        for _ in 0..=limits::UNADMITTED_PER_NETWORK_MAX {
            assert!(enter(&mut all, door, here, Instant::now()).is_some());
        }
    }

    #[test]
    fn one_listener_waits_and_the_others_do_not() {
        let mut all = Strangers::new(None);
        let (door, other) = (all.add_door(false), all.add_door(false));
        let start = Instant::now();
        let crowd = limits::UNADMITTED_PER_LISTENER_MAX - 10;
        for n in 0..10 {
            enter(&mut all, door, address(n), start).unwrap();
        }
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let mut of_crowd = Vec::new();
        for _ in 0..crowd {
            of_crowd.push(enter(&mut all, door, here, start).unwrap());
        }
        assert_eq!(all.room(door, start), Err((Full::Listener, None)));
        assert_eq!(all.room(other, start), Ok(()));
        // Of the network that has most, though others have waited longer.
        let later = start + PATIENCE;
        assert_eq!(
            all.room(door, later),
            Err((Full::Listener, Some(of_crowd[0])))
        );
        assert_eq!(all.room(door, later), Ok(()));
    }

    #[test]
    fn a_listener_has_its_descriptors_whatever_the_others_take() {
        let mut all: Strangers<u64> = Strangers::new(Some(300));
        let (door, other) = (all.add_door(false), all.add_door(false));
        let now = Instant::now();
        let mut taken = 0;
        while all.room(door, now).is_ok() {
            let serial = enter(&mut all, door, address(taken), now).unwrap();
            all.leave(serial); // admitted: the connection stays
            taken += 1;
        }
        let max = 300 - limits::FILES_RESERVED;
        assert_eq!(taken, max - limits::FILES_PER_LISTENER_RESERVED);
        assert_eq!(all.room(door, now), Err((Full::Files { max }, None)));
        for n in 0..limits::FILES_PER_LISTENER_RESERVED {
            assert_eq!(all.room(other, now), Ok(()), "{n}");
            enter(&mut all, other, address(1000 + n), now).unwrap();
        }
        assert!(all.room(other, now).is_err());
        all.gone(door);
        assert_eq!(all.room(other, now), Ok(()));
    }

    #[test]
    fn time_begins_anew_with_an_answer_and_ends() {
        let mut all = Strangers::new(None);
        let (door, stays) = (all.add_door(false), all.add_door(true));
        let start = Instant::now();
        let one = enter(&mut all, door, address(1), start).unwrap();
        let two = enter(&mut all, door, address(2), start).unwrap();
        let three = enter(&mut all, stays, address(3), start).unwrap();
        let max = Duration::from_secs(30);
        all.renew(one, start + Duration::from_secs(1));
        assert_eq!(all.evict_older(start + max, max), [two, three]);
        assert_eq!(all.oldest(), Some(start + Duration::from_secs(1)));
        // Admitted or gone, nothing is closed twice.
        assert_eq!(all.set_closer(two, 7, true), None);
        assert_eq!(all.leave(one), Some(one));
        assert_eq!(all.leave(one), None);
        let four = enter(&mut all, door, address(4), start).unwrap();
        enter(&mut all, stays, address(5), start).unwrap();
        assert_eq!(all.evict_all(), [four]);
    }

    #[test]
    fn how_somebody_is_closed_may_be_known_too_late() {
        let mut all: Strangers<&str> = Strangers::new(None);
        let door = all.add_door(false);
        let start = Instant::now();
        let (one, _) = all.enter(door, address(1), start).unwrap();
        let (two, _) = all.enter(door, address(2), start).unwrap();
        assert!(all.evict_older(start + PATIENCE, PATIENCE).is_empty());
        assert_eq!(all.set_closer(one, "close", false), Some("close"));
        all.leave(two);
        assert_eq!(all.set_closer(two, "gone already", false), None);
        let (three, _) = all.enter(door, address(3), start).unwrap();
        all.set_closer(three, "the link", true);
        all.set_closer(three, "the task before it", false);
        assert_eq!(all.leave(three), Some("the link"));
        assert!(all.owed.is_empty());
    }
}
