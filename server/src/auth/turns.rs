//! In which order credentials are verified that cost something to verify: a hash, a request. Pure:
//! time comes in, and what is to be done goes out.
//!
//! Networks take turns, and within a network its accounts do; so a flood from one place keeps nobody
//! else waiting, and is slowed itself: who has failed too often, from one network or on one account
//! from one network, waits *before* the next guess is looked at, however many connections he opens.
//! Nobody is turned away because of others: what does not fit is taken from whoever has most waiting.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use tidings_core::bucket::{Buckets, Rate};
use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::time::Time;

/// Of so many turns one is for those who have failed before, if somebody else waits as well.
const LATER_EVERY: u32 = 4;

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

/// Whose turn it can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// Everybody in this network.
    Network(IpAddr),
    /// One account, through a proxy behind which networks cannot be told apart, or from inside this
    /// process.
    Account(Name),
}

/// Failures that are remembered.
#[derive(Debug)]
pub(super) struct Failures {
    networks: Buckets<IpAddr>,
    accounts: Buckets<(IpAddr, Name)>,
}

impl Failures {
    pub(super) fn new() -> Failures {
        let per_network = Rate {
            burst: limits::GUESSES_PER_NETWORK,
            refill_ms: limits::GUESSES_PER_NETWORK_REFILL_MS,
        };
        let per_account = Rate {
            burst: limits::GUESSES_PER_ACCOUNT,
            refill_ms: limits::GUESSES_PER_ACCOUNT_REFILL_MS,
        };
        Failures {
            networks: Buckets::new(per_network, limits::FAILURES_REMEMBERED_MAX),
            accounts: Buckets::new(per_account, limits::FAILURES_REMEMBERED_MAX),
        }
    }

    /// When the next look at something from there is free.
    fn network_at(&self, now: Time, source: &Source) -> Time {
        match source {
            Source::Network(network) => self.networks.free_at(now, network),
            Source::Account(_) => now,
        }
    }

    fn account_at(&self, now: Time, source: &Source, account: &Name) -> Time {
        match source {
            Source::Network(network) => self.accounts.free_at(now, &(*network, account.clone())),
            Source::Account(_) => now,
        }
    }

    /// A guess until it is known to be none: what is looked at meanwhile counts with it.
    fn begin(&mut self, now: Time, source: &Source, account: &Name) {
        if let Source::Network(network) = source {
            self.networks.take(now, *network, 0);
            self.accounts.take(now, (*network, account.clone()), 0);
        }
    }

    /// It was no guess.
    pub(super) fn forgive(&mut self, now: Time, source: &Source, account: &Name) {
        if let Source::Network(network) = source {
            self.networks.give_back(now, *network);
            self.accounts.give_back(now, (*network, account.clone()));
        }
    }
}

/// What waits of one source.
#[derive(Debug)]
struct Line<J> {
    /// In the order of their turns.
    accounts: VecDeque<(Name, VecDeque<(Time, J)>)>,
    waiting: usize,
    /// Until then nothing of it may be looked at.
    parked: Option<Time>,
    /// It had to be parked.
    later: bool,
}

impl<J> Default for Line<J> {
    fn default() -> Line<J> {
        Line {
            accounts: VecDeque::new(),
            waiting: 0,
            parked: None,
            later: false,
        }
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<J> {
    /// This is looked at now.
    Job(Source, Name, J),
    /// This has waited for so long that nobody waits for its answer any more.
    Late(J),
    /// Nothing before then, unless something comes.
    Wait(Time),
    /// Nothing waits.
    Empty,
}

/// What waits, by source. `J` is what is to be verified.
#[derive(Debug)]
pub(super) struct Turns<J> {
    lines: HashMap<Source, Line<J>>,
    /// Whose turn comes, in order; those who had to be parked apart.
    soon: VecDeque<Source>,
    later: VecDeque<Source>,
    parked: BTreeSet<(Time, Source)>,
    waiting: usize,
    taken: u32,
}

impl<J> Turns<J> {
    pub(super) fn new() -> Turns<J> {
        Turns {
            lines: HashMap::new(),
            soon: VecDeque::new(),
            later: VecDeque::new(),
            parked: BTreeSet::new(),
            waiting: 0,
            taken: 0,
        }
    }

    /// Waits for its turn. Returns what has no place any more: of the source that has most waiting,
    /// which may be this one.
    pub(super) fn push(&mut self, now: Time, source: Source, account: Name, job: J) -> Option<J> {
        let of_account = self.lines.get(&source).and_then(|line| {
            let mut accounts = line.accounts.iter();
            accounts.find(|(name, _)| *name == account)
        });
        if of_account.is_some_and(|(_, jobs)| jobs.len() >= limits::GUESSES_WAITING_PER_ACCOUNT_MAX)
        {
            return Some(job);
        }
        let mut out = None;
        if self.waiting >= limits::GUESSES_WAITING_MAX {
            out = self.evict(&source);
            if out.is_none() {
                return Some(job);
            }
        }
        if !self.lines.contains_key(&source) {
            self.soon.push_back(source.clone());
        }
        let line = self.lines.entry(source.clone()).or_default();
        let known = line.accounts.iter().position(|(name, _)| *name == account);
        let at = known.unwrap_or_else(|| {
            line.accounts.push_back((account, VecDeque::new()));
            line.accounts.len() - 1
        });
        if let Some((_, jobs)) = line.accounts.get_mut(at) {
            jobs.push_back((now, job));
            line.waiting += 1;
            self.waiting += 1;
        }
        if known.is_none() {
            self.look_again(&source); // this account may go on earlier than the others
        }
        out
    }

    /// The newest of whoever has most waiting, those who have failed before others; `None` if that
    /// is `newcomer`, who then has no place.
    fn evict(&mut self, newcomer: &Source) -> Option<J> {
        let weight = |line: &Line<J>| (line.later, line.waiting);
        let own = self.lines.get(newcomer).map_or((false, 0), weight);
        let most = self.lines.iter().max_by_key(|(_, line)| weight(line));
        let (victim, _) = most.filter(|(_, line)| weight(line) > own)?;
        let victim = victim.clone();
        let line = self.lines.get_mut(&victim)?;
        let longest = line.accounts.iter_mut().max_by_key(|(_, jobs)| jobs.len());
        let (_, job) = longest?.1.pop_back()?;
        line.accounts.retain(|(_, jobs)| !jobs.is_empty());
        line.waiting -= 1;
        self.waiting -= 1;
        if line.waiting == 0 {
            self.drop_line(&victim);
            self.soon.retain(|source| *source != victim);
            self.later.retain(|source| *source != victim);
        }
        Some(job)
    }

    fn drop_line(&mut self, source: &Source) {
        if let Some(line) = self.lines.remove(source)
            && let Some(at) = line.parked
        {
            self.parked.remove(&(at, source.clone()));
        }
    }

    /// Something of this source may go on earlier than was thought: another account came, or what
    /// was looked at is known to be no guess.
    pub(super) fn look_again(&mut self, source: &Source) {
        if let Some(line) = self.lines.get_mut(source)
            && let Some(at) = line.parked.take()
        {
            self.parked.remove(&(at, source.clone()));
            self.later.push_back(source.clone());
        }
    }

    /// Those whose time has come get in line again.
    fn unpark(&mut self, now: Time) {
        while let Some((at, _)) = self.parked.first()
            && *at <= now
            && let Some((_, source)) = self.parked.pop_first()
        {
            if let Some(line) = self.lines.get_mut(&source) {
                line.parked = None;
                self.later.push_back(source);
            }
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self, now: Time, failures: &mut Failures) -> Next<J> {
        self.unpark(now);
        let later_first = self.taken % LATER_EVERY == LATER_EVERY - 1;
        for later in [later_first, !later_first] {
            while let Some(source) = self.pop(later) {
                if let Some(next) = self.try_source(now, source, failures) {
                    return next;
                }
            }
        }
        match self.parked.first() {
            Some((at, _)) => Next::Wait(*at),
            None => Next::Empty,
        }
    }

    fn pop(&mut self, later: bool) -> Option<Source> {
        match later {
            true => self.later.pop_front(),
            false => self.soon.pop_front(),
        }
    }

    /// The next of one source that may be looked at; `None` if there is none, and it is parked.
    fn try_source(
        &mut self,
        now: Time,
        source: Source,
        failures: &mut Failures,
    ) -> Option<Next<J>> {
        let line = self.lines.get_mut(&source)?;
        let mut free_at = failures.network_at(now, &source);
        let mut found = None;
        if free_at <= now {
            free_at = Time(u64::MAX);
            for (at, (account, _)) in line.accounts.iter().enumerate() {
                let of_account = failures.account_at(now, &source, account);
                if of_account <= now {
                    found = Some(at);
                    break;
                }
                free_at = free_at.min(of_account);
            }
        }
        let Some((account, mut jobs)) = found.and_then(|at| line.accounts.remove(at)) else {
            line.parked = Some(free_at);
            line.later = true;
            self.parked.insert((free_at, source));
            return None;
        };
        let (since, job) = jobs.pop_front()?;
        line.waiting -= 1;
        self.waiting -= 1;
        if !jobs.is_empty() {
            line.accounts.push_back((account.clone(), jobs));
        }
        match (line.waiting, line.later) {
            (0, _) => self.drop_line(&source),
            (_, true) => self.later.push_back(source.clone()),
            (_, false) => self.soon.push_back(source.clone()),
        }
        if now.since_ms(since) > limits::LOGIN_MS_MAX {
            return Some(Next::Late(job));
        }
        self.taken = self.taken.wrapping_add(1);
        failures.begin(now, &source, &account);
        Some(Next::Job(source, account, job))
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
