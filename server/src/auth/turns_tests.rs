use super::*;

fn from(address: &str) -> Source {
    Source::Network(network(address.parse().unwrap()))
}

fn push(turns: &mut Turns<u32>, now: u64, address: &str, account: &str, job: u32) -> Option<u32> {
    turns.push(Time(now), from(address), Name::from(account), job)
}

/// Everything that may be looked at now, in order.
fn drain(turns: &mut Turns<u32>, failures: &mut Failures, now: u64) -> (Vec<u32>, Next<u32>) {
    let mut jobs = Vec::new();
    loop {
        match turns.next(Time(now), failures) {
            Next::Job(_, _, job) => jobs.push(job),
            other => return (jobs, other),
        }
    }
}

#[test]
fn s12_networks_take_turns_and_so_do_their_accounts() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    for job in 0..4 {
        push(&mut turns, 1, "192.0.2.1", "alice", job);
    }
    push(&mut turns, 1, "192.0.2.1", "bob", 10);
    push(&mut turns, 1, "2001:db8::1", "carol", 20);
    push(&mut turns, 1, "2001:db8::2", "carol", 21);
    let (order, next) = drain(&mut turns, &mut failures, 1);
    assert_eq!(order, [0, 20, 10, 21, 1, 2, 3]);
    assert_eq!(next, Next::Empty);
}

/// However many connections there are: what is looked at is the burst, and then one after each
/// pause, before anybody knows whether it was right.
#[test]
fn s12_guesses_wait_before_they_are_looked_at() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    let (burst, refill) = (
        limits::GUESSES_PER_ACCOUNT,
        limits::GUESSES_PER_ACCOUNT_REFILL_MS,
    );
    for job in 0..burst + 2 {
        push(&mut turns, 1000, "192.0.2.1", "alice", job);
    }
    let (order, next) = drain(&mut turns, &mut failures, 1000);
    assert_eq!(order, (0..burst).collect::<Vec<_>>());
    assert_eq!(next, Next::Wait(Time(1000 + refill)));
    // Another account from there, and the same from elsewhere, do not wait with it.
    push(&mut turns, 1000, "192.0.2.1", "bob", 100);
    push(&mut turns, 1000, "192.0.2.2", "alice", 101);
    assert_eq!(drain(&mut turns, &mut failures, 1000).0, [101, 100]);
    let early = drain(&mut turns, &mut failures, 1000 + refill - 1);
    assert!(early.0.is_empty());
    for n in 0..2 {
        let (order, _) = drain(
            &mut turns,
            &mut failures,
            1000 + (u64::from(n) + 1) * refill,
        );
        assert_eq!(order, [burst + n]);
    }
}

#[test]
fn one_network_that_tries_many_accounts_is_slowed_too() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    let burst = limits::GUESSES_PER_NETWORK;
    for job in 0..burst + 5 {
        push(&mut turns, 1, "192.0.2.1", &format!("user{job}"), job);
    }
    let (order, next) = drain(&mut turns, &mut failures, 1);
    assert_eq!(order.len(), burst as usize);
    assert_eq!(
        next,
        Next::Wait(Time(1 + limits::GUESSES_PER_NETWORK_REFILL_MS))
    );
}

#[test]
fn what_was_right_does_not_slow_those_behind_it() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    let source = from("192.0.2.1");
    for job in 0..500 {
        push(&mut turns, 1, "192.0.2.1", &format!("user{job}"), job);
    }
    let mut served = 0;
    loop {
        let (_, account, _) = match turns.next(Time(1), &mut failures) {
            Next::Job(source, account, job) => (source, account, job),
            Next::Empty => break,
            other => panic!("{other:?} after {served}"),
        };
        served += 1;
        failures.forgive(Time(1), &source, &account);
        turns.look_again(&source);
    }
    assert_eq!(served, 500);
}

/// Whoever is full of failures loses his place, not the one who comes for the first time.
#[test]
fn s12_nobody_is_turned_away_because_of_others() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    let mut turned_away = 0;
    for job in 0..limits::GUESSES_WAITING_MAX as u32 + 1000 {
        let account = format!("user{job}");
        turned_away += usize::from(push(&mut turns, 1, "192.0.2.1", &account, job).is_some());
    }
    assert_eq!(turned_away, 1000);
    assert_eq!(turns.waiting, limits::GUESSES_WAITING_MAX);
    drain(&mut turns, &mut failures, 1);
    // Others come, as many as there are places but those of the flood: nobody of them is refused.
    for n in 0..limits::GUESSES_WAITING_MAX as u32 - 100 {
        let address = format!("198.51.{}.{}", n / 200, n % 200);
        let out = push(&mut turns, 1, &address, "alice", 1_000_000 + n);
        assert!(out.is_none_or(|out| out < 1_000_000), "{out:?}");
    }
    // And they are served first, but for the share of those who have failed.
    let (order, _) = drain(&mut turns, &mut failures, 1);
    assert!(order.iter().all(|job| *job >= 1_000_000));
    assert_eq!(order.len(), limits::GUESSES_WAITING_MAX - 100);
}

#[test]
fn one_account_from_one_network_has_few_places() {
    let mut turns = Turns::new();
    for job in 0..limits::GUESSES_WAITING_PER_ACCOUNT_MAX as u32 {
        assert_eq!(push(&mut turns, 1, "192.0.2.1", "alice", job), None);
    }
    assert_eq!(push(&mut turns, 1, "192.0.2.1", "alice", 99), Some(99));
    assert_eq!(push(&mut turns, 1, "192.0.2.1", "bob", 100), None);
    assert_eq!(push(&mut turns, 1, "192.0.2.2", "alice", 101), None);
}

#[test]
fn what_nobody_waits_for_any_more_costs_nothing() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    push(&mut turns, 1, "192.0.2.1", "alice", 1);
    let late = Time(2 + limits::LOGIN_MS_MAX);
    assert_eq!(turns.next(late, &mut failures), Next::Late(1));
    assert_eq!(turns.next(late, &mut failures), Next::Empty);
    assert!(turns.lines.is_empty() && turns.parked.is_empty());
}

#[test]
fn those_who_share_a_proxy_are_told_apart_by_account_and_not_slowed() {
    let (mut turns, mut failures) = (Turns::new(), Failures::new());
    for job in 0..100 {
        let account = Name::from(format!("user{}", job % 10));
        turns.push(Time(1), Source::Account(account.clone()), account, job);
    }
    assert_eq!(drain(&mut turns, &mut failures, 1).0.len(), 100);
}
