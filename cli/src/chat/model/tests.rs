use crossterm::event::{KeyCode, KeyModifiers};

use super::*;

const NOW: i64 = 1_714_566_896_789;

fn model(peers: &[&str]) -> Model {
    let peers: Vec<String> = peers.iter().map(|peer| (*peer).to_owned()).collect();
    Model::new("alice", "tcp://h:1", &peers, Size::new(80, 24))
}

fn press(model: &mut Model, code: KeyCode) -> Option<Effect> {
    let key = KeyEvent::new(code, KeyModifiers::NONE);
    model.on(NOW, Input::Key(key))
}

fn control(model: &mut Model, letter: char) -> Option<Effect> {
    let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    model.on(NOW, Input::Key(key))
}

/// Types a line and presses Enter.
fn enter(model: &mut Model, text: &str) -> Option<Effect> {
    for typed in text.chars() {
        assert_eq!(press(model, KeyCode::Char(typed)), None);
    }
    press(model, KeyCode::Enter)
}

fn told(model: &mut Model, event: Event) {
    assert_eq!(model.on(NOW, Input::Client(event)), None);
}

fn handed(model: &mut Model, number: u64, outcome: Result<&str, &str>) {
    let input = Input::Handed {
        peer: "bob".to_owned(),
        number,
        outcome: outcome.map(str::to_owned).map_err(str::to_owned),
    };
    assert_eq!(model.on(NOW, input), None);
}

fn incoming(from: &str, to: &str, id: &str, text: &str) -> Event {
    Event::Message(Incoming {
        from: from.into(),
        to: to.into(),
        id: id.into(),
        seq: None,
        time_ms: None,
        typeu: -1,
        text: text.to_owned(),
    })
}

fn marks(model: &Model) -> Vec<Mark> {
    let entries = model.opened().unwrap().entries.iter();
    entries.map(|entry| entry.mark.clone()).collect()
}

#[test]
fn a_message_is_typed_sent_stored() {
    let mut model = model(&["bob"]);
    let sent = enter(&mut model, "hi 你好");
    let expected = Effect::Send {
        peer: "bob".to_owned(),
        number: 1,
        text: "hi 你好".to_owned(),
    };
    assert_eq!(sent, Some(expected));
    assert_eq!(marks(&model), [Mark::Typed]);
    handed(&mut model, 1, Ok("m1"));
    assert_eq!(
        (marks(&model), model.unacknowledged()),
        (vec![Mark::Sent], 1)
    );
    let (id, seq) = ("m1".into(), Some(1));
    told(&mut model, Event::Acknowledged { id, seq });
    assert_eq!(
        (marks(&model), model.unacknowledged()),
        (vec![Mark::Stored], 0)
    );
}

#[test]
fn what_is_refused_says_why() {
    let mut model = model(&["bob"]);
    enter(&mut model, "one");
    handed(&mut model, 1, Err("too long"));
    enter(&mut model, "two");
    handed(&mut model, 2, Ok("m2"));
    let text = "message m2 to bob: nobody has this name".to_owned();
    told(&mut model, Event::Error { code: 313, text });
    assert!(model.notice.as_ref().unwrap().contains("nobody"));
    told(&mut model, Event::Lost { id: "m2".into() });
    let why = "the message to bob: nobody has this name (code 313)";
    let failed = [Mark::Failed("too long".into()), Mark::Failed(why.into())];
    assert_eq!(marks(&model), failed);
    assert_eq!((model.unacknowledged(), &model.notice), (0, &None));
}

#[test]
fn a_complaint_about_something_else_is_no_reason() {
    let mut model = model(&["bob"]);
    enter(&mut model, "one");
    handed(&mut model, 1, Ok("m1"));
    let (code, text) = (317, "cannot be read".to_owned());
    told(&mut model, Event::Error { code, text });
    told(&mut model, incoming("bob", "alice", "b1", "hi"));
    told(&mut model, Event::Lost { id: "m1".into() });
    assert_eq!(
        marks(&model)[0],
        Mark::Failed("no answer from the server".into())
    );
}

#[test]
fn messages_find_their_conversation_and_count_as_unread() {
    let mut model = model(&["bob"]);
    told(&mut model, incoming("carol", "alice", "c1", "hi"));
    told(&mut model, incoming("dave", "#room", "d1", "all"));
    told(&mut model, incoming("carol", "alice", "c2", "?"));
    told(&mut model, incoming("alice", "bob", "a1", "from my phone"));
    told(&mut model, incoming("bob", "alice", "b1", "yes"));
    let seen = |talk: &Talk| (talk.peer.clone(), talk.entries.len(), talk.unread);
    let talks: Vec<_> = model.talks.iter().map(seen).collect();
    let expected = [("bob", 2, 0), ("carol", 2, 2), ("#room", 1, 1)];
    let expected = expected.map(|(peer, all, unread)| (peer.to_owned(), all, unread));
    assert_eq!(talks, expected);
    assert_eq!(marks(&model), [Mark::Stored, Mark::Received]);
    assert_eq!(model.talks[0].heard_ms, Some(NOW));
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.opened().unwrap().peer, "carol");
    assert_eq!(model.talks[1].unread, 0);
    press(&mut model, KeyCode::BackTab);
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.opened().unwrap().peer, "#room");
}

#[test]
fn a_note_to_oneself_stands_there_once() {
    let mut model = model(&["alice"]);
    enter(&mut model, "note");
    let (peer, number) = ("alice".to_owned(), 1);
    let outcome = Ok("n1".to_owned());
    model.on(
        NOW,
        Input::Handed {
            peer,
            number,
            outcome,
        },
    );
    told(&mut model, incoming("alice", "alice", "n1", "note"));
    let (id, seq) = ("n1".into(), None);
    told(&mut model, Event::Acknowledged { id, seq });
    assert_eq!(marks(&model), [Mark::Stored]);
}

#[test]
fn nobody_switches_the_conversation_but_the_user() {
    let mut model = model(&[]);
    told(&mut model, incoming("bob", "alice", "b1", "hi"));
    assert_eq!(model.open, None);
    assert_eq!(enter(&mut model, "hello"), None);
    assert!(model.notice.is_some());
    control(&mut model, 'n');
    assert_eq!(enter(&mut model, "-1"), None);
    assert!(model.notice.as_ref().unwrap().starts_with("the name"));
    control(&mut model, 'n');
    assert_eq!(enter(&mut model, "carol"), None);
    assert_eq!(model.opened().unwrap().peer, "carol");
    press(&mut model, KeyCode::Char('x'));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.opened().unwrap().draft.text(), "x");
}

#[test]
fn leaving_with_something_on_its_way_asks_once() {
    let mut model = model(&["bob"]);
    assert_eq!(control(&mut model, 'd'), Some(Effect::Quit));
    enter(&mut model, "one");
    handed(&mut model, 1, Ok("m1"));
    assert_eq!(control(&mut model, 'c'), None);
    assert!(model.notice.as_ref().unwrap().starts_with("1 message is"));
    enter(&mut model, "two");
    handed(&mut model, 2, Ok("m2"));
    assert_eq!(enter(&mut model, "/quit"), None);
    assert_eq!(enter(&mut model, "/quit"), Some(Effect::Quit));
    for id in ["m1", "m2"] {
        let (id, seq) = (id.into(), None);
        told(&mut model, Event::Acknowledged { id, seq });
    }
    assert_eq!(model.notice, None);
}

#[test]
fn commands_and_slashes() {
    let mut model = model(&["bob"]);
    assert_eq!(enter(&mut model, "/nonsense"), None);
    assert!(model.notice.as_ref().unwrap().contains("/nonsense"));
    assert_eq!(enter(&mut model, "/help"), None);
    assert!(model.help);
    assert_eq!(enter(&mut model, "/login"), None);
    assert!(!model.help);
    told(
        &mut model,
        Event::Kicked {
            code: 1,
            reason: None,
        },
    );
    assert_eq!(enter(&mut model, "/login"), Some(Effect::LogIn));
    assert_eq!(model.link, Link::Connecting);
    assert_eq!(enter(&mut model, "/new carol"), None);
    assert_eq!(model.opened().unwrap().peer, "carol");
    match enter(&mut model, "//etc") {
        Some(Effect::Send { text, .. }) => assert_eq!(text, "/etc"),
        other => panic!("{other:?}"),
    }
    assert_eq!(enter(&mut model, "   "), None);
}

#[test]
fn a_paste_is_no_row_of_messages() {
    let mut model = model(&["bob"]);
    model.on(NOW, Input::Paste("one\r\ntwo\rthree".to_owned()));
    match press(&mut model, KeyCode::Enter) {
        Some(Effect::Send { text, .. }) => assert_eq!(text, "one\ntwo\nthree"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_reads_further_up_goes_on_reading_there() {
    let mut model = model(&["bob"]);
    for number in 0..100 {
        told(
            &mut model,
            incoming("bob", "alice", &number.to_string(), "line"),
        );
    }
    let view = |model: &Model| {
        let columns = rows::areas(model.size).messages;
        let seen = rows::visible(model.opened().unwrap(), columns.width, columns.height);
        seen.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    press(&mut model, KeyCode::PageUp);
    let before = view(&model);
    told(&mut model, incoming("bob", "alice", "new", "two\nrows"));
    assert_eq!(view(&model), before);
    assert_eq!(model.talks[0].unread, 1);
    for _ in 0..20 {
        press(&mut model, KeyCode::PageUp);
    }
    assert!(view(&model)[0].contains("2024-05-01"));
    model.on(NOW, Input::Resize(Size::new(80, 200)));
    assert_eq!((model.talks[0].back, model.talks[0].unread), (0, 0));
    assert_eq!(view(&model).len(), 103);
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut model = model(&["bob"]);
    for number in 0..TALKS_MAX * 2 {
        told(
            &mut model,
            incoming(&format!("user {number}"), "alice", "x", "hi"),
        );
    }
    assert_eq!(model.talks.len(), TALKS_MAX);
    assert_eq!(model.opened().unwrap().peer, "bob");
    for number in 0..ENTRIES_MAX {
        told(
            &mut model,
            incoming("bob", "alice", &number.to_string(), "hi"),
        );
    }
    let kept: usize = model.talks.iter().map(|talk| talk.entries.len()).sum();
    assert_eq!(kept, ENTRIES_MAX);
    assert_eq!(model.opened().unwrap().entries.len(), ENTRIES_MAX);
}

#[test]
fn the_wait_is_counted_in_begun_seconds() {
    let mut model = model(&[]);
    model.on(NOW, Input::Resting(Some(Duration::from_millis(1200))));
    assert_eq!(model.resting_s, Some(2));
    model.on(NOW, Input::Resting(None));
    assert_eq!(model.resting_s, None);
}
