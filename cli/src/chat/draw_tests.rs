use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tidings_client::{Event, Incoming};

use super::*;
use crate::chat::model::Input;

const NOW: i64 = 1_714_566_896_789;

fn model(peers: &[&str], columns: u16, rows: u16) -> Model {
    let peers: Vec<String> = peers.iter().map(|peer| (*peer).to_owned()).collect();
    Model::new("alice", "tcp://h:1", &peers, Size::new(columns, rows))
}

fn incoming(model: &mut Model, from: &str, text: &str) {
    let message = Incoming {
        from: from.into(),
        to: "alice".into(),
        id: "".into(),
        seq: None,
        time_ms: None,
        typeu: -1,
        text: text.to_owned(),
    };
    model.on(NOW, Input::Client(Event::Message(message)));
}

fn send(model: &mut Model, peer: &str, number: u64, text: &str, outcome: Result<&str, &str>) {
    model.on(NOW, Input::Paste(text.to_owned()));
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    assert!(model.on(NOW, Input::Key(enter)).is_some());
    let input = Input::Handed {
        peer: peer.to_owned(),
        number,
        outcome: outcome.map(str::to_owned).map_err(str::to_owned),
    };
    model.on(NOW, input);
}

fn screen(model: &Model) -> Terminal<TestBackend> {
    let backend = TestBackend::new(model.size.width, model.size.height);
    let mut terminal = Terminal::new(backend).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal
}

/// The screen as rows of text, without what is blank at their ends. The cell after a wide character
/// belongs to it.
fn rows_of(model: &Model) -> Vec<String> {
    let terminal = screen(model);
    let buffer = terminal.backend().buffer();
    let row = |y| {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(text::width(symbol).max(1)).unwrap();
        }
        row.trim_end().to_owned()
    };
    (0..buffer.area.height).map(row).collect()
}

#[test]
fn a_whole_screen() {
    let mut model = model(&["小明", "carol"], 64, 12);
    model.on(NOW, Input::Client(Event::LoggedIn { extended: true }));
    incoming(
        &mut model,
        "小明",
        "你好，今天晚上一起吃饭吗？我知道一家不错的新餐厅",
    );
    incoming(&mut model, "carol", "ping\u{1b}[2J");
    send(&mut model, "小明", 3, "好！ 👩‍🚀", Ok("m1"));
    let (id, seq) = ("m1".into(), None);
    model.on(NOW, Input::Client(Event::Acknowledged { id, seq }));
    send(&mut model, "小明", 4, "on its way", Ok("m2"));
    send(&mut model, "小明", 5, "no", Err("too long"));
    model.on(NOW, Input::Paste("draft\nx".to_owned()));
    let expected = [
        " alice                │ 小明  last heard 12:34 UTC",
        "› 小明                │",
        "  no                  │             -- 2024-05-01 --",
        "  carol             1 │ 12:34    小明  你好，今天晚上一起吃饭",
        "  ping\\u{1b}[2J       │                吗？我知道一家不错的新",
        "                      │                餐厅",
        "                      │ 12:34 ✓✓ you   好！ 👩‍🚀",
        "                      │ 12:34  ✓ you   on its way",
        "                      │ 12:34  ✗ you   no",
    ];
    let rows = rows_of(&model);
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(rows[9], "─".repeat(64));
    assert_eq!(rows[10], "› draft⏎x");
    assert_eq!(
        rows[11],
        "connected to tcp://h:1   1 not stored yet · 1 unread · F1 help"
    );
    let mut terminal = screen(&model);
    terminal.backend_mut().assert_cursor_position((9, 10));
}

#[test]
fn every_state_of_the_link_has_words() {
    let mut model = model(&["bob"], 80, 24);
    let status = |model: &Model| rows_of(model)[23].clone();
    assert!(status(&model).starts_with("connecting to tcp://h:1"));
    let reason = "Connection refused".to_owned();
    model.on(NOW, Input::Client(Event::LinkLost { reason }));
    model.on(NOW, Input::Resting(Some(std::time::Duration::from_secs(3))));
    assert!(status(&model).starts_with("reconnecting in 3 s: Connection refused"));
    model.on(NOW, Input::Resting(None));
    assert!(status(&model).starts_with("reconnecting: "));
    model.on(NOW, Input::Client(Event::LoggedIn { extended: false }));
    assert!(status(&model).contains("✓✓ means handed on"));
    let (code, reason) = (1, None);
    model.on(NOW, Input::Client(Event::Kicked { code, reason }));
    assert!(status(&model).starts_with("kicked: the user logged in elsewhere; /login"));
    model.on(NOW, Input::Client(Event::Refused { code: 318 }));
    assert!(status(&model).starts_with("login refused (code 318)"));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for (columns, rows) in [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (5, 4),
        (20, 6),
        (59, 9),
        (60, 5),
        (300, 90),
    ] {
        let mut model = model(&["bob", "小明"], columns, rows);
        incoming(
            &mut model,
            "bob",
            "wide 你好 text that goes on and on\n\n👩‍🚀",
        );
        incoming(&mut model, "小明", "x");
        send(&mut model, "bob", 3, "text", Err("why"));
        model.on(NOW, Input::Paste("你好".repeat(40)));
        screen(&model);
        model.on(
            NOW,
            Input::Key(KeyEvent::new(KeyCode::PageUp, KeyModifiers::NONE)),
        );
        screen(&model);
        model.help = true;
        model.notice = Some("notice".to_owned());
        screen(&model);
    }
}

#[test]
fn help_fits_into_the_smallest_usual_screen() {
    assert!(HELP.lines().count() <= 21);
    assert!(HELP.lines().all(|line| text::width(line) <= 80));
}

#[test]
fn a_long_list_follows_the_open_conversation() {
    let peers: Vec<String> = (0..30).map(|number| format!("peer{number}")).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let mut model = model(&peers, 80, 24);
    let back = KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT);
    model.on(NOW, Input::Key(back));
    assert!(
        rows_of(&model)
            .iter()
            .any(|row| row.starts_with("› peer29"))
    );
}
