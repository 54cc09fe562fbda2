//! The table of limits is the one in the documentation, and what an outside input can meet is met: at
//! the limit, and one past it. What needs more than a frame or a call is tested beside its code.

#![cfg(unix)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use crate::support::{TestServer, connect, login_over, read_frame, write_frame};
use serde_json::{Value, json};
use tidings_core::limits;
use tidings_core::wire::code;
use tidings_server::admin::{self, Task};
use tidings_server::config::check;
use tidings_server::store::Durability;

const SOURCE: &str = include_str!("../../../core/src/limits.rs");

/// A product or a shift of numbers.
fn value(text: &str) -> u64 {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap();
    match text.split_once("<<") {
        Some((number_, bits)) => number(number_) << number(bits),
        None => text.split('*').map(number).product(),
    }
}

fn unit(name: &str) -> &'static str {
    let has = |part: &str| name.split('_').any(|word| word == part);
    match () {
        () if has("BYTES") => "bytes",
        () if has("MS") => "ms",
        () if has("S") => "s",
        () if has("DAYS") => "days",
        () => "",
    }
}

/// docs/limits.md, from the lines of limits.rs.
fn document() -> String {
    let mut page = String::from(
        "# Limits\n\n\
         Every bound of the server, generated from `core/src/limits.rs`:\n\
         `UPDATE_DOCS=1 cargo test -p tidings-server --test limits`. An error that a limit causes names\n\
         it, the value, and what to do. Codes: [protocol.md](protocol.md#4-codes).\n",
    );
    let (mut said, mut beyond): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in SOURCE.lines() {
        if let Some(section) = line.strip_prefix("// # ") {
            let _ = write!(
                page,
                "\n## {section}\n\n| limit | value | unit | what | beyond |\n|---|---|---|---|---|\n"
            );
        } else if let Some(words) = line.strip_prefix("/// Beyond: ") {
            beyond.push(words);
        } else if let Some(words) = line.strip_prefix("/// ") {
            match beyond.is_empty() {
                true => said.push(words),
                false => beyond.push(words),
            }
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let (name, rest) = rest.split_once(':').unwrap();
            let (_, text) = rest.split_once('=').unwrap();
            let value = value(text.trim_end_matches(';'));
            assert!(!said.is_empty(), "{name} says nothing");
            let tidy = |words: &[&str]| words.join(" ").replace("[`", "`").replace("`]", "`");
            let beyond = match beyond.is_empty() {
                true => "–".to_owned(),
                false => tidy(&std::mem::take(&mut beyond)),
            };
            let (said, unit) = (tidy(&std::mem::take(&mut said)), unit(name));
            let _ = writeln!(page, "| `{name}` | {value} | {unit} | {said} | {beyond} |");
        }
    }
    page
}

#[test]
fn the_committed_table_is_the_one_of_the_source() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == document(),
        "run with UPDATE_DOCS=1 to write docs/limits.md again"
    );
}

fn message(to: &str, id: &str, text: &str) -> String {
    json!({
        "bridge": false, "type": 2, "dataContent": text, "from": "alice", "to": to, "fp": id,
        "QoS": true, "typeu": -1, "sm": -1,
    })
    .to_string()
}

/// 0 if it was acknowledged, or the code of the error.
fn answer(stream: &mut TcpStream, frame: &str) -> i64 {
    write_frame(stream, frame);
    let answer: Value = serde_json::from_slice(&read_frame(stream)).unwrap();
    match answer["type"].as_i64() {
        Some(4) => 0,
        Some(52) => {
            let data: Value =
                serde_json::from_str(answer["dataContent"].as_str().unwrap()).unwrap();
            data["errorCode"].as_i64().unwrap()
        }
        _ => panic!("{answer}"),
    }
}

#[test]
fn messages_at_the_limit_and_one_past_it() {
    let server = TestServer::start(|_| {});
    let mut stream = connect(server.tcp());
    assert_eq!(login_over(&mut stream, "alice", ""), 0);
    let of = |length: usize| "x".repeat(length);
    let nested = |depth: usize| {
        let more = "[".repeat(depth) + &"]".repeat(depth);
        let frame = message("bob", "nested", "text");
        frame.replacen('{', &format!("{{\"more\":{more},"), 1)
    };
    let (name, id) = (limits::NAME_BYTES_MAX, limits::MESSAGE_ID_BYTES_MAX);
    let overhead = message("bob", "frame", "").len();
    let text = limits::FRAME_BYTES_MAX - overhead - 32;
    let cases = [
        ("NAME_BYTES_MAX", message(&of(name), "n", ""), 0),
        (
            "NAME_BYTES_MAX",
            message(&of(name + 1), "n+", ""),
            code::REFUSED_ADDRESS,
        ),
        ("MESSAGE_ID_BYTES_MAX", message("bob", &of(id), ""), 0),
        (
            "MESSAGE_ID_BYTES_MAX",
            message("bob", &of(id + 1), ""),
            code::REFUSED_NO_ID,
        ),
        ("JSON_DEPTH_MAX", nested(limits::JSON_DEPTH_MAX), 0),
        (
            "JSON_DEPTH_MAX",
            nested(limits::JSON_DEPTH_MAX + 1),
            code::REFUSED_FRAME,
        ),
        ("FRAME_BYTES_MAX", message("bob", "frame", &of(text)), 0),
    ];
    for (limit, frame, expected) in cases {
        assert_eq!(answer(&mut stream, &frame), i64::from(expected), "{limit}");
    }
    // c2: what its sender wrote counts, not what our time makes of it; one byte more closes the link.
    let padded = |length: usize| {
        let frame = message("bob", "padded", "");
        let text = of(length - frame.len());
        message("bob", "padded", &text)
    };
    let whole = padded(limits::FRAME_BYTES_MAX);
    assert_eq!(whole.len(), limits::FRAME_BYTES_MAX);
    assert_eq!(answer(&mut stream, &whole), 0);
    write_frame(&mut stream, &padded(limits::FRAME_BYTES_MAX + 1));
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
}

#[test]
fn settings_at_the_limit_and_one_past_it() {
    let leeway = limits::TOKEN_LEEWAY_S_MAX;
    let (days, window) = (limits::RETENTION_DAYS_MIN, limits::WINDOW_MESSAGES_MAX);
    let frame = limits::WEBSOCKET_MESSAGE_BYTES_MAX;
    for (key, inside, outside) in [
        (
            "auth.jwt.leeway_s",
            leeway.to_string(),
            (leeway + 1).to_string(),
        ),
        (
            "delivery.retention_days",
            days.to_string(),
            (days - 1).to_string(),
        ),
        (
            "delivery.udp_window",
            window.to_string(),
            (window + 1).to_string(),
        ),
        (
            "delivery.frame_bytes_max",
            frame.to_string(),
            (frame + 1).to_string(),
        ),
    ] {
        assert_eq!(check(key, &inside), Ok(()), "{key}");
        assert!(check(key, &outside).is_err(), "{key}");
    }
}

/// The answer to a line on the socket; `None` if there is none any more.
fn say(stream: &mut UnixStream, line: &str) -> Option<Value> {
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).ok()
}

#[test]
fn the_admin_socket_at_the_limit_and_one_past_it() {
    let server = TestServer::start(|settings| settings.delivery.durability = Durability::Os);
    let path = server.data.path().join("admin.sock");
    let max = limits::ADMIN_LINE_BYTES_MAX;
    let command = json!({"command": "group_list"}).to_string();
    let line = |length: usize| command.clone() + &" ".repeat(length - command.len()) + "\n";
    let mut stream = UnixStream::connect(&path).unwrap();
    assert!(say(&mut stream, &line(max)).unwrap()["ok"].is_object());
    let refused = say(&mut stream, &line(max + 1)).unwrap();
    let words = refused["error"].as_str().unwrap();
    assert!(
        words.contains(&format!("ADMIN_LINE_BYTES_MAX = {max}")),
        "{words}"
    );
    let reason = |length| Task::Kick {
        user: "nobody".to_owned(),
        reason: Some("r".repeat(length)),
    };
    let perform = |task| admin::perform(server.data.path(), task);
    perform(reason(limits::REASON_BYTES_MAX)).unwrap();
    let words = perform(reason(limits::REASON_BYTES_MAX + 1)).unwrap_err();
    assert!(words.to_string().contains("REASON_BYTES_MAX"), "{words}");

    let members = |count: usize| Task::GroupSet {
        group: "g".to_owned(),
        members: (0..count).map(|at| format!("u{at}")).collect(),
    };
    perform(members(limits::GROUP_MEMBERS_MAX)).unwrap();
    let words = perform(members(limits::GROUP_MEMBERS_MAX + 1)).unwrap_err();
    assert!(words.to_string().contains("at most 10000"), "{words}");
}

#[test]
fn lists_of_the_admin_socket_go_on() {
    let server = TestServer::start(|_| {});
    let handle = server.running.as_ref().unwrap().handle();
    let count = limits::ADMIN_PAGE_MAX + 1;
    server.runtime.block_on(async {
        for at in 0..count {
            handle
                .set_group(&format!("#g{at:04}"), &["alice"])
                .await
                .unwrap();
        }
    });
    let page = |after: &str| {
        let after = after.to_owned();
        admin::perform(server.data.path(), Task::GroupList { after }).unwrap()
    };
    let first = page("");
    assert_eq!(
        first["groups"].as_array().unwrap().len(),
        limits::ADMIN_PAGE_MAX
    );
    let rest = page(first["next"].as_str().unwrap());
    assert_eq!(rest["groups"].as_array().unwrap().len(), 1);
    assert!(rest["next"].is_null());
}
