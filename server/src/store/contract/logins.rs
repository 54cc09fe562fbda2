//! Devices and the logins that were issued.

use super::*;

/// Everything that was sent before he ever logged in is owed to him.
pub fn the_first_device_starts_at_the_beginning(fixture: &mut dyn Fixture) {
    let first = send(fixture.store(), "alice", "bob", "1");
    send(fixture.store(), "alice", "bob", "2");
    fixture.settle();
    let device = login(fixture.store(), "bob", "phone").device;
    assert_eq!(
        behind(fixture.store(), "bob", device),
        [(0, 2, first.position)]
    );
    fixture.reopen();
    let again = login(fixture.store(), "bob", "phone").device;
    if fixture.reopen() {
        assert_eq!(again, device);
        assert_eq!(
            behind(fixture.store(), "bob", device),
            [(0, 2, first.position)]
        );
    }
}

/// What was there before is history for it; what comes later is owed.
pub fn a_further_device_starts_at_the_heads(fixture: &mut dyn Fixture) {
    login(fixture.store(), "bob", "phone");
    fixture
        .store()
        .set_group("#g", &[name("bob"), name("alice")])
        .unwrap();
    send(fixture.store(), "alice", "bob", "1");
    send(fixture.store(), "alice", "#g", "1");
    fixture.settle();
    send(fixture.store(), "bob", "carol", "2");
    let tablet = login(fixture.store(), "bob", "tablet").device;
    assert_eq!(behind(fixture.store(), "bob", tablet), []);
    let later = send(fixture.store(), "alice", "bob", "3");
    let new = send(fixture.store(), "dave", "bob", "4");
    let group = send(fixture.store(), "alice", "#g", "5");
    let expected = [
        (1, 2, later.position),
        (0, 1, new.position),
        (1, 2, group.position),
    ];
    for _ in 0..3 {
        assert_eq!(behind(fixture.store(), "bob", tablet), expected);
        fixture.settle();
        fixture.reopen();
        if !fixture.reopen() {
            break;
        }
    }
}

/// The records before it are before the heads, those after it are not.
pub fn a_login_in_the_middle_of_a_batch(fixture: &mut dyn Fixture) {
    login(fixture.store(), "bob", "phone");
    send(fixture.store(), "alice", "bob", "0");
    let batch = [
        draft("alice", "bob", "1"),
        draft("new", "bob", "2"),
        login_at("bob", "tablet", "tablet", 0, 9),
        login_at("bob", "tablet", "tablet", 0, 9),
        draft("alice", "bob", "3"),
    ];
    let mut verdicts = commit(fixture.store(), &batch);
    let last = stored(verdicts.remove(4));
    let again = granted(verdicts.remove(3));
    let tablet = granted(verdicts.remove(2));
    assert_eq!(tablet.device, again.device);
    assert!(tablet.first_login_time < again.first_login_time);
    assert_eq!(
        behind(fixture.store(), "bob", tablet.device),
        [(2, 3, last.position)]
    );
}

/// A value that we issued is answered with itself, also after a restart.
pub fn an_issued_login_is_recognised(fixture: &mut dyn Fixture) {
    let first = login(fixture.store(), "bob", "phone");
    assert!(!first.issued_before);
    for now_ms in [5, 50_000, 500_000_000_000] {
        let record = login_at("bob", "phone", "default", first.first_login_time, now_ms);
        let again = granted(commit(fixture.store(), &[record]).remove(0));
        assert!(again.issued_before);
        assert_eq!(again.first_login_time, first.first_login_time);
        assert_eq!(again.device, first.device);
        if !fixture.reopen() {
            continue;
        }
    }
}

/// A value that we did not issue, and one issued to somebody else.
pub fn an_invented_login_counts_as_none(fixture: &mut dyn Fixture) {
    let alice = login(fixture.store(), "alice", "default").first_login_time;
    for presented in [alice, 1, -1, 0, i64::MAX, i64::MIN] {
        let record = login_at("bob", "default", "default", presented, alice - 1);
        let grant = granted(commit(fixture.store(), &[record]).remove(0));
        assert!(!grant.issued_before || presented == grant.first_login_time);
        assert!(grant.first_login_time > 0);
        assert!(grant.first_login_time < i64::MAX);
    }
}

/// Per user, over all classes.
pub fn issued_times_rise_even_if_the_clock_falls(fixture: &mut dyn Fixture) {
    let mut last = 0;
    for (at, now_ms) in [1_000, 1_000, 10, -5, 900, 2_000, 1_999]
        .into_iter()
        .enumerate()
    {
        let class = if at % 2 == 0 { "phone" } else { "web" };
        let record = login_at("bob", class, class, 0, now_ms);
        let grant = granted(commit(fixture.store(), &[record]).remove(0));
        assert!(grant.first_login_time > last);
        last = grant.first_login_time;
        fixture.reopen();
        last = if fixture.reopen() {
            last
        } else {
            last.min(grant.first_login_time)
        };
    }
}

/// A value issued to a phone says nothing about a browser.
pub fn classes_do_not_share_logins(fixture: &mut dyn Fixture) {
    let phone = granted(commit(fixture.store(), &[login_at("bob", "p", "phone", 0, 9)]).remove(0));
    let record = login_at("bob", "w", "web", phone.first_login_time, 9);
    let web = granted(commit(fixture.store(), &[record]).remove(0));
    assert!(!web.issued_before);
    assert_ne!(phone.device, web.device);
}

/// The oldest is forgotten.
pub fn only_so_many_logins_are_remembered(fixture: &mut dyn Fixture) {
    let first = login(fixture.store(), "bob", "default").first_login_time;
    let mut last = first;
    for _ in 0..tidings_core::limits::ISSUED_LOGINS_MAX {
        last = login(fixture.store(), "bob", "default").first_login_time;
    }
    let present = |value| login_at("bob", "default", "default", value, 1_000);
    let verdicts = commit(fixture.store(), &[present(last), present(first)]);
    assert!(matches!(&verdicts[0], Verdict::Login(grant) if grant.issued_before));
    assert!(matches!(&verdicts[1], Verdict::Login(grant) if !grant.issued_before));
}

/// A user has a bounded number of devices; the one seen longest ago goes.
pub fn devices_make_room(fixture: &mut dyn Fixture) {
    let most = tidings_core::limits::DEVICES_PER_USER_MAX;
    let one = |at: usize| login_at("bob", &format!("d{at}"), "web", 0, 1_000 + at as i64);
    let all: Vec<_> = (0..=most).map(one).collect();
    let grants: Vec<_> = commit(fixture.store(), &all)
        .into_iter()
        .map(granted)
        .collect();
    let again = granted(commit(fixture.store(), &[one(1)]).remove(0));
    assert_eq!(again.device, grants[1].device);
    let returned = granted(commit(fixture.store(), &[one(0)]).remove(0));
    assert!(grants.iter().all(|grant| grant.device != returned.device));
}
