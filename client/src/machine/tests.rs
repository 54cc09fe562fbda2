//! The machine against a server that the test plays, in virtual time.

mod model;

use std::borrow::Cow;

use tidings_core::time::Time;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;
use tidings_core::wire::mobileimsdk::login;

use super::*;

pub(super) fn config() -> Config {
    Config {
        user: "alice".into(),
        token: None,
        extra: None,
        declared: None,
        heartbeat_ms: 10_000,
        loss_ms: 15_000,
        connect_ms: 5_000,
        login_ms: 10_000,
        login_resend_ms: None,
        backoff_ms_max: 10_000,
        resend_ms: 5_000,
        retries: Some(2),
        window: 4,
        window_per_receiver: 4,
        events_max: 8,
        remembered_max: 16,
        outbox_messages_max: 100,
        outbox_bytes_max: 1 << 20,
        frame_bytes_max: 6144,
        durable: false,
    }
}

pub(super) fn frame(kind: i32, data: &str) -> Frame<'static> {
    Frame {
        kind,
        data: Some(Cow::Owned(data.to_owned())),
        from: Some("0".into()),
        to: Some("alice".into()),
        ..Frame::default()
    }
}

pub(super) fn incoming(id: &str) -> Frame<'static> {
    Frame {
        from: Some("bob".into()),
        fp: Some(Cow::Owned(id.to_owned())),
        qos: true,
        ..frame(code::COMMON_DATA, id)
    }
}

pub(super) fn outgoing(id: &str, to: &str) -> Outgoing {
    Outgoing {
        id: id.into(),
        to: to.into(),
        typeu: -1,
        qos: true,
        text: id.to_owned(),
    }
}

/// A machine and its clock.
struct Bench {
    machine: Machine,
    now: Time,
}

impl Bench {
    fn new(config: Config) -> Bench {
        Bench {
            machine: Machine::new(config, 1, Restored::default()),
            now: Time(1_000_000),
        }
    }

    fn online(config: Config) -> Bench {
        let mut bench = Bench::new(config);
        bench.on(Input::LogIn { token: None });
        bench.log_in(7);
        bench
    }

    fn on(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.on(self.now, input, &mut actions);
        actions
    }

    fn frame(&mut self, frame: Frame<'static>) -> Vec<Action> {
        self.on(Input::Frame(frame, None))
    }

    /// The link comes up and the server says yes.
    fn log_in(&mut self, first_login_time: i64) -> Vec<Action> {
        let login = self.on(Input::Connected);
        assert_eq!(kinds(&login), [code::LOGIN]);
        let answer = login::encode_login_answer(0, first_login_time, false);
        self.frame(frame(code::LOGIN_ANSWER, &answer))
    }

    /// Time goes on to the next deadline.
    fn wait(&mut self) -> Vec<Action> {
        let next = self.machine.deadline().expect("nothing to wait for");
        assert!(next >= self.now, "a deadline in the past");
        self.now = next;
        self.on(Input::Tick)
    }

    fn send(&mut self, id: &str, to: &str) -> Vec<Action> {
        let message = outgoing(id, to);
        self.on(Input::Send { ticket: 1, message })
    }
}

fn kinds(actions: &[Action]) -> Vec<i32> {
    let frames = actions.iter().filter_map(|action| match action {
        Action::Transmit(frame) => Some(frame.kind),
        _ => None,
    });
    frames.collect()
}

/// Texts of the messages transmitted.
fn texts(actions: &[Action]) -> Vec<String> {
    let frames = actions.iter().filter_map(|action| match action {
        Action::Transmit(frame) if frame.kind == code::COMMON_DATA => frame.data.as_deref(),
        _ => None,
    });
    frames.map(str::to_owned).collect()
}

fn events(actions: &[Action]) -> Vec<Event> {
    let events = actions.iter().filter_map(|action| match action {
        Action::Event(_, event) => Some(event.clone()),
        _ => None,
    });
    events.collect()
}

fn last_event(actions: &[Action]) -> u64 {
    let numbers = actions.iter().rev().find_map(|action| match action {
        Action::Event(number, _) => Some(*number),
        _ => None,
    });
    numbers.expect("no event")
}

#[test]
fn without_acknowledgement_a_message_is_sent_three_times_and_lost_after_fifteen_seconds() {
    let mut bench = Bench::online(config());
    let start = bench.now;
    assert_eq!(texts(&bench.send("m", "bob")), ["m"]);
    let mut sent = Vec::new();
    loop {
        let actions = bench.wait();
        if !texts(&actions).is_empty() {
            sent.push(bench.now.since_ms(start));
        }
        if events(&actions) == [Event::Lost { id: "m".into() }] {
            break;
        }
        bench.frame(frame(code::KEEPALIVE_ANSWER, "{}"));
    }
    assert_eq!(sent, [5_000, 10_000]);
    assert_eq!(bench.now.since_ms(start), 15_000);
    assert_eq!(bench.machine.unacknowledged(), 0);
}

#[test]
fn with_an_outbox_file_a_message_is_never_given_up() {
    let mut bench = Bench::online(Config {
        retries: None,
        ..config()
    });
    bench.send("m", "bob");
    let mut sent = 0;
    for _ in 0..1000 {
        let actions = bench.wait();
        sent += texts(&actions).len();
        assert_eq!(events(&actions), []);
        bench.frame(frame(code::KEEPALIVE_ANSWER, "{}"));
    }
    assert!(sent > 50);
}

#[test]
fn the_window_holds_and_moves_with_acknowledgements() {
    let mut bench = Bench::online(config());
    let mut sent = Vec::new();
    for number in 0..6 {
        sent.extend(texts(&bench.send(&number.to_string(), "bob")));
    }
    assert_eq!(sent, ["0", "1", "2", "3"]);
    assert_eq!(texts(&bench.frame(frame(code::RECEIVED, "2"))), ["4"]);
    assert_eq!(texts(&bench.frame(frame(code::RECEIVED, "0"))), ["5"]);
    assert_eq!(
        events(&bench.frame(frame(code::RECEIVED, "0"))),
        [],
        "known"
    );
}

#[test]
fn one_in_flight_to_each_receiver_where_the_transport_loses() {
    let mut bench = Bench::online(Config {
        window_per_receiver: 1,
        ..config()
    });
    assert_eq!(texts(&bench.send("a1", "a")), ["a1"]);
    assert!(texts(&bench.send("a2", "a")).is_empty());
    assert_eq!(texts(&bench.send("b1", "b")), ["b1"]);
    assert!(texts(&bench.send("a3", "a")).is_empty());
    assert_eq!(texts(&bench.frame(frame(code::RECEIVED, "a1"))), ["a2"]);
    assert_eq!(texts(&bench.frame(frame(code::RECEIVED, "a2"))), ["a3"]);
}

#[test]
fn after_a_lost_link_everything_goes_again_in_its_old_order() {
    let mut bench = Bench::online(config());
    for number in 0..6 {
        bench.send(&number.to_string(), "bob");
    }
    bench.frame(frame(code::RECEIVED, "1"));
    let lost = bench.on(Input::Closed("cable".to_owned()));
    let reason = "cable".to_owned();
    assert_eq!(events(&lost), [Event::LinkLost { reason }]);
    assert_eq!(bench.wait(), [Action::Connect]);
    let again = bench.log_in(99);
    assert_eq!(texts(&again), ["0", "2", "3", "4"]);
}

#[test]
fn the_back_off_grows_up_to_its_limit_and_the_first_time_of_login_stays() {
    let mut bench = Bench::online(config());
    bench.on(Input::Closed(String::new()));
    let mut rests = Vec::new();
    for _ in 0..12 {
        let before = bench.now;
        assert_eq!(bench.wait(), [Action::Connect]);
        rests.push(bench.now.since_ms(before));
        bench.on(Input::Closed(String::new()));
        bench.on(Input::Taken(u64::MAX));
    }
    assert!(rests[0] <= 250, "{rests:?}");
    assert!(rests.iter().all(|rest| *rest <= 10_000), "{rests:?}");
    assert!(rests[11] >= 5_000, "{rests:?}");
    bench.wait();
    let login = bench.on(Input::Connected);
    let Some(Action::Transmit(login)) = login.first() else {
        panic!("no login");
    };
    let login = login::decode_login(login.data.as_deref().unwrap()).unwrap();
    assert_eq!(login.first_login_time, 7);
}

#[test]
fn silence_ends_a_link_and_any_frame_breaks_it() {
    let mut bench = Bench::online(config());
    assert_eq!(kinds(&bench.wait()), [code::KEEPALIVE]);
    bench.now = bench.now + 4_000;
    bench.frame(frame(code::KEEPALIVE_ANSWER, "{}"));
    assert_eq!(kinds(&bench.wait()), [code::KEEPALIVE]);
    let lost = bench.wait();
    assert!(lost.contains(&Action::Close));
    assert!(matches!(*events(&lost), [Event::LinkLost { .. }]));
}

#[test]
fn nothing_connects_in_time_nothing_answers_in_time() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.on(Input::LogIn { token: None }), [Action::Connect]);
    assert!(bench.wait().contains(&Action::Close));
    assert_eq!(bench.wait(), [Action::Connect]);
    bench.on(Input::Connected);
    let lost = bench.wait();
    let reason = "no answer to the login".to_owned();
    assert_eq!(events(&lost), [Event::LinkLost { reason }]);
}

#[test]
fn a_message_is_shown_once_and_acknowledged_once_taken_and_whenever_it_comes_again() {
    let mut bench = Bench::online(config());
    let shown = bench.frame(incoming("m1"));
    assert_eq!(events(&shown).len(), 1);
    assert!(kinds(&shown).is_empty());
    assert_eq!(bench.frame(incoming("m1")), []);
    assert_eq!(
        kinds(&bench.on(Input::Taken(last_event(&shown)))),
        [code::RECEIVED]
    );
    let again = bench.frame(incoming("m1"));
    assert_eq!(
        (kinds(&again), events(&again)),
        (vec![code::RECEIVED], vec![])
    );
    // The same id of another sender is another message.
    let other = Frame {
        from: Some("carol".into()),
        ..incoming("m1")
    };
    assert_eq!(events(&bench.frame(other)).len(), 1);
}

#[test]
fn a_message_that_nobody_takes_is_not_acknowledged() {
    let mut bench = Bench::online(config());
    bench.frame(incoming("m1"));
    bench.on(Input::Deaf);
    assert_eq!(bench.frame(incoming("m1")), []);
    assert!(kinds(&bench.on(Input::Taken(u64::MAX))).is_empty());
}

#[test]
fn while_the_application_is_behind_nothing_is_late() {
    let mut bench = Bench::online(config());
    bench.send("m", "bob");
    let mut number = 0;
    while bench.machine.reading() {
        number += 1;
        bench.frame(incoming(&number.to_string()));
    }
    for _ in 0..20 {
        let actions = bench.wait();
        assert_eq!(kinds(&actions), [code::KEEPALIVE], "signs of life only");
        assert_eq!(events(&actions), []);
    }
    bench.on(Input::Taken(u64::MAX));
    assert!(bench.machine.reading());
    assert!(bench.machine.deadline() >= Some(bench.now));
    assert_eq!(events(&bench.on(Input::Tick)), []);
    assert_eq!(events(&bench.frame(frame(code::RECEIVED, "m"))).len(), 1);
}

#[test]
fn links_are_not_made_while_nobody_would_hear_of_their_end() {
    let mut bench = Bench::online(config());
    while bench.machine.reading() {
        bench.on(Input::Closed(String::new()));
        if bench.machine.reading() {
            bench.wait();
        }
    }
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.on(Input::Tick), []);
    bench.now = bench.now + 60_000;
    assert_eq!(bench.on(Input::Taken(u64::MAX)), [Action::Connect]);
}

#[test]
fn kicked_refused_and_logged_out_clients_stay_out() {
    let kick = frame(code::KICKOUT, &login::encode_kickout(2, None));
    for ending in [Input::Frame(kick, None), Input::LogOut] {
        let mut bench = Bench::online(config());
        bench.send("m", "bob");
        assert!(bench.on(ending).contains(&Action::Close));
        assert!(bench.machine.ended());
        assert_eq!(bench.machine.deadline(), None);
        assert!(matches!(
            *bench.send("n", "bob"),
            [Action::Rejected(1, SendError::Ended(_))]
        ));
        let fresh = bench.on(Input::LogIn { token: None });
        assert_eq!(fresh, [Action::Connect]);
        assert_eq!(texts(&bench.log_in(8)), ["m"]);
    }
    let mut bench = Bench::new(config());
    bench.on(Input::LogIn { token: None });
    bench.on(Input::Connected);
    let refusal = login::encode_login_answer(1025, -1, false);
    let refused = bench.frame(frame(code::LOGIN_ANSWER, &refusal));
    assert_eq!(events(&refused), [Event::Refused { code: 1025 }]);
    assert!(bench.machine.ended());
}

#[test]
fn a_server_that_cannot_store_now_is_asked_again_later() {
    let mut bench = Bench::new(config());
    bench.on(Input::LogIn { token: None });
    bench.on(Input::Connected);
    let refusal = login::encode_login_answer(code::REFUSED_STORE, -1, false);
    bench.frame(frame(code::LOGIN_ANSWER, &refusal));
    assert!(!bench.machine.ended());
    assert_eq!(bench.wait(), [Action::Connect]);
}

#[test]
fn a_login_that_the_server_forgot_is_made_again() {
    let mut bench = Bench::online(config());
    let unknown = login::encode_error(code::NOT_LOGGED_IN, "{}");
    let actions = bench.frame(frame(code::ERROR, &unknown));
    assert!(actions.contains(&Action::Close));
    assert_eq!(bench.wait(), [Action::Connect]);
}

#[test]
fn a_message_refused_for_good_is_lost_and_one_refused_for_now_is_not() {
    let mut bench = Bench::online(config());
    bench.send("m1", "bob");
    bench.send("m2", "bob");
    let full = login::encode_error(code::REFUSED_FULL, "message m1 to bob: full");
    assert_eq!(events(&bench.frame(frame(code::ERROR, &full))).len(), 1);
    assert_eq!(bench.machine.unacknowledged(), 2);
    let long = login::encode_error(code::REFUSED_TOO_LARGE, "message m1 would be too long");
    let actions = bench.frame(frame(code::ERROR, &long));
    assert_eq!(
        events(&actions).last(),
        Some(&Event::Lost { id: "m1".into() })
    );
    let nameless = login::encode_error(code::REFUSED_ADDRESS, "no such group");
    let actions = bench.frame(frame(code::ERROR, &nameless));
    assert_eq!(
        events(&actions).last(),
        Some(&Event::Lost { id: "m2".into() })
    );
}

fn journaled(actions: &[Action]) -> Vec<u64> {
    let numbers = actions.iter().filter_map(|action| match action {
        Action::Journal(number, _) => Some(*number),
        _ => None,
    });
    numbers.collect()
}

#[test]
fn nothing_is_promised_before_it_is_on_disk() {
    let mut bench = Bench::online(Config {
        durable: true,
        retries: None,
        ..config()
    });
    let sent = bench.send("m", "bob");
    assert_eq!((journaled(&sent), sent.len()), (vec![1], 1));
    let stored = bench.on(Input::Journaled(1));
    assert!(stored.contains(&Action::Accepted(1)));
    assert_eq!(texts(&stored), ["m"]);
    let shown = bench.frame(incoming("i"));
    let taken = bench.on(Input::Taken(last_event(&shown)));
    assert_eq!((journaled(&taken), taken.len()), (vec![2], 1));
    assert_eq!(bench.frame(incoming("i")), [], "its record is under way");
    assert_eq!(kinds(&bench.on(Input::Journaled(2))), [code::RECEIVED]);
    // A disk that fails: the sender hears of it, the message is forgotten.
    bench.send("n", "bob");
    let failed = bench.on(Input::JournalFailed(3, "full".to_owned()));
    assert_eq!(
        failed,
        [Action::Rejected(1, SendError::Disk("full".to_owned()))]
    );
    assert_eq!(bench.machine.unacknowledged(), 1);
}

#[test]
fn a_message_without_qos_goes_at_once_or_not_at_all() {
    let mut bench = Bench::new(config());
    let mut message = outgoing("m", "bob");
    message.qos = false;
    let early = bench.on(Input::LogIn { token: None });
    assert_eq!(early, [Action::Connect]);
    let ticket = 1;
    let input = Input::Send {
        ticket,
        message: message.clone(),
    };
    assert_eq!(
        bench.on(input),
        [Action::Rejected(1, SendError::NotLoggedIn)]
    );
    bench.log_in(1);
    let actions = bench.on(Input::Send { ticket, message });
    assert_eq!(texts(&actions), ["m"]);
    assert_eq!(bench.machine.unacknowledged(), 0);
}

#[test]
fn a_message_that_overtakes_the_answer_to_the_login_is_taken() {
    let mut bench = Bench::new(config());
    bench.on(Input::LogIn { token: None });
    bench.on(Input::Connected);
    let shown = bench.frame(incoming("m1"));
    assert_eq!(events(&shown).len(), 1);
    let taken = bench.on(Input::Taken(last_event(&shown)));
    assert_eq!(kinds(&taken), [code::RECEIVED]);
}
