//! Conversations with the wire, byte for byte: what MobileIMSDK's own server answers to the same
//! stimuli, but where the design closes what that server leaves open (each such place says so).

use tempfile::TempDir;

use crate::support::raw::{
    Got, Raw, TRANSPORTS, Transport, acknowledgement, keepalive, login, message,
    message_without_qos, quote, websocket_frame,
};
use crate::support::server::Server;

/// A server that answers like a reference server without `serverTimestamp`: `sm` is −1.
pub(crate) fn server() -> (TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let config = "[delivery]\nserver_timestamp = false\n";
    let server = Server::configured(dir.path(), config, &["--durability", "os"]);
    (dir, server)
}

/// The same frame, its login time replaced by `T`.
pub(crate) fn masked(frame: &str) -> String {
    let mark = r#"\"firstLoginTime\":"#;
    let Some(at) = frame.find(mark).map(|at| at + mark.len()) else {
        return frame.to_owned();
    };
    let digits = frame[at..].find(|c: char| !c.is_ascii_digit()).unwrap();
    assert!(digits > 10 || frame[at..].starts_with('-'), "{frame}");
    format!("{}T{}", &frame[..at], &frame[at + digits..])
}

pub(crate) fn control(kind: i32, to: &str, data: &str) -> String {
    format!(
        r#"{{"bridge":false,"type":{kind},"dataContent":{},"from":"0","to":{},"QoS":false,"typeu":-1,"sm":-1}}"#,
        quote(data),
        quote(to)
    )
}

pub(crate) fn login_answer(user: &str) -> String {
    control(50, user, r#"{"code":0,"firstLoginTime":T}"#)
}

pub(crate) fn kickout(user: &str) -> String {
    control(54, user, r#"{"code":1,"reason":""}"#)
}

pub(crate) fn error(code: i32, text: &str) -> String {
    let data = format!(r#"{{"errorCode":{code},"errorMsg":{}}}"#, quote(text));
    control(52, "-1", &data)
}

/// The server's acknowledgement of `id` to `user`, in the name of the receiver.
pub(crate) fn acked(id: &str, by: &str, user: &str) -> String {
    acknowledgement(by, user, id)
}

/// Fails unless exactly this comes next.
pub(crate) fn hear(raw: &mut Raw, name: &str, expected: &str) {
    assert_eq!(masked(&raw.frame()), expected, "{:?} {name}", raw.transport);
}

/// Fails unless the server ends the connection next; on WebSocket with a close frame and this code.
pub(crate) fn hear_end(raw: &mut Raw, name: &str, code: u16) {
    let transport = raw.transport;
    if transport == Transport::Ws {
        let Got::Control(8, payload) = raw.next() else {
            panic!("{transport:?} {name}: no close frame");
        };
        let got = u16::from_be_bytes([payload[0], payload[1]]);
        let words = String::from_utf8_lossy(&payload[2..]);
        assert_eq!(got, code, "{transport:?} {name}: {words}");
        if code == 1000 {
            assert_eq!(words, "Bye", "{transport:?} {name}");
        }
        raw.send_bytes(&websocket_frame(0x88, &payload));
    }
    assert_eq!(raw.next(), Got::End, "{transport:?} {name}");
}

/// Fails if anything comes before the answer to a question that is asked now.
pub(crate) fn hear_nothing(raw: &mut Raw, name: &str, user: Option<&str>) {
    match (user, raw.transport) {
        (Some(user), _) => {
            // A message to the server: its acknowledgement follows those of all before it.
            let id = format!("quiet {name}");
            raw.send(&message(user, "0", &id, ""));
            hear(raw, name, &acked(&id, "0", user));
        }
        (None, Transport::Udp) => {
            raw.send(&keepalive("x"));
            hear(raw, name, &error(301, "log in first"));
        }
        (None, _) => {
            raw.send(r#"{"type":5,"from":"q","to":"q","sm":-1}"#);
            let echo =
                r#"{"bridge":false,"type":53,"from":"q","to":"q","QoS":false,"typeu":0,"sm":-1}"#;
            hear(raw, name, echo);
        }
    }
}

#[test]
fn before_a_login_nothing_but_login_and_echo() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        for (name, frame) in [
            ("common", message("x", "y", "f1", "hi")),
            ("keepalive", keepalive("x")),
            ("ack", acknowledgement("x", "y", "fp")),
        ] {
            let mut raw = Raw::connect(transport, &server.at);
            raw.send(&frame);
            if transport == Transport::Udp {
                // Ours: short, so that nobody is flooded in our name.
                hear(&mut raw, name, &error(301, "log in first"));
                hear_nothing(&mut raw, name, None);
            } else {
                hear(&mut raw, name, &error(301, &frame));
                hear_end(&mut raw, name, 1000);
            }
        }
        let echo = r#"{"bridge":false,"type":5,"dataContent":"echo<>","from":"x","to":"y","fp":"f","QoS":true,"typeu":7,"sm":-1}"#;
        let mut raw = Raw::connect(transport, &server.at);
        raw.send(echo);
        if transport != Transport::Udp {
            hear(&mut raw, "echo", &echo.replace("\"type\":5", "\"type\":53"));
        }
        hear_nothing(&mut raw, "echo", None); // ours: UDP does not echo for strangers
        raw.send(
            r#"{"bridge":false,"type":99,"from":"x","to":"0","QoS":false,"typeu":-1,"sm":-1}"#,
        );
        hear_nothing(&mut raw, "unknown type", None);
        raw.send(r#"{"type":3,"from":"x","to":"0"}"#);
        match transport {
            Transport::Udp => hear_nothing(&mut raw, "logout", None),
            _ => hear_end(&mut raw, "logout", 1000),
        }
    }
}

#[test]
fn before_a_login_what_is_no_login_ends_the_connection() {
    let (_dir, server) = server();
    let login_with = |data: &str| {
        format!(
            r#"{{"type":0,"dataContent":{},"from":"x","to":"0"}}"#,
            quote(data)
        )
    };
    for transport in TRANSPORTS {
        for (name, frame) in [
            ("malformed", "{\"type\":2,".to_owned()),
            ("null", "null".to_owned()),
            ("empty", String::new()),
            ("type absent", "{}".to_owned()),
            (
                "no dataContent",
                r#"{"type":0,"from":"x","to":"0"}"#.to_owned(),
            ),
            ("login {}", login_with("{}")),
            (
                "login null",
                login_with(r#"{"loginUserId":null,"loginToken":"t"}"#),
            ),
        ] {
            let mut raw = Raw::connect(transport, &server.at);
            raw.send(&frame);
            match transport {
                Transport::Udp => hear_nothing(&mut raw, name, None),
                _ => hear_end(&mut raw, name, 1000),
            }
        }
    }
}

#[test]
fn a_session_from_login_to_logout() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let user = &format!("u{transport:?}");
        let mut raw = Raw::connect(transport, &server.at);
        raw.send(&login(user, 0));
        hear(&mut raw, "login", &login_answer(user));
        raw.send(&keepalive(user));
        hear(&mut raw, "keepalive", &control(51, user, "{}"));
        for name in ["c2s qos", "c2s qos again"] {
            raw.send(&message(user, "0", "fpA", "hi"));
            hear(&mut raw, name, &acked("fpA", "0", user));
        }
        raw.send(&message_without_qos(user, "0", "fpB", "hi"));
        hear_nothing(&mut raw, "c2s noqos", Some(user));
        raw.send(
            r#"{"bridge":false,"type":99,"from":"x","to":"0","QoS":false,"typeu":-1,"sm":-1}"#,
        );
        hear_nothing(&mut raw, "unknown type", Some(user));
        let echo = r#"{"bridge":false,"type":5,"dataContent":"ä<>","from":"x","to":"y","fp":"f","QoS":true,"typeu":7,"sm":-1}"#;
        raw.send(echo);
        hear(&mut raw, "echo", &echo.replace("\"type\":5", "\"type\":53"));
        let logout =
            r#"{"bridge":false,"type":3,"from":"U","to":"0","QoS":false,"typeu":-1,"sm":-1}"#;
        raw.send(&logout.replace('U', user));
        match transport {
            Transport::Udp => hear_nothing(&mut raw, "after logout", None),
            _ => hear_end(&mut raw, "logout", 1000),
        }
    }
}

#[test]
fn leniency() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let user = &format!("v{transport:?}");
        let mut raw = Raw::connect(transport, &server.at);
        raw.login(user);
        for (name, frame) in [
            (
                "q1",
                r#"{"type":"2","QoS":"true","dataContent":123,"from":5,"to":"0","fp":"q1"}"#,
            ),
            (
                "q2",
                r#"{"type":2.0,"dataContent":"x","to":"0","fp":"q2","QoS":true}"#,
            ),
            (
                "q3",
                r#"{"type":2,"dataContent":null,"to":0,"fp":"q3","QoS":true,"retryCount":null}"#,
            ),
            (
                "q4",
                "{\n  \"to\" : \"0\",\n  \"QoS\" : true,\n  \"type\" : 2,\n  \"dataContent\" : \"a\\/b\",\n  \"fp\" : \"q4\"\n}",
            ),
            (
                "q5",
                r#"{'type':2,fp:'q5',to:'0',QoS:true,dataContent:'x'}"#,
            ),
            (
                "q6",
                r#"{"type":2,"to":"0","fp":"q6","QoS":true,"new":{"a":[1,{"b":null}]}}"#,
            ),
            (
                "q7",
                "\u{feff}{\"type\":2,\"to\":\"0\",\"fp\":\"q7\",\"QoS\":true,\"dataContent\":\"x\"}",
            ),
            // Ours: a superset.
            (
                "q8",
                r#"{"type":2,"to":"0","fp":"q8","QoS":1,"dataContent":"x"}"#,
            ),
        ] {
            raw.send(frame);
            // Ours: the acknowledgement names who is logged in, not what `from` said.
            hear(&mut raw, name, &acked(name, "0", user));
        }
    }
}

/// Ours: one bad frame gets an error and costs nothing; the reference server closes the session.
#[test]
fn a_bad_frame_costs_its_sender_an_error() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let user = &format!("w{transport:?}");
        let mut raw = Raw::connect(transport, &server.at);
        raw.login(user);
        for (name, frame) in [
            (
                "trailing comma",
                r#"{"type":2,"to":"0","fp":"q","QoS":true,"dataContent":"x",}"#,
            ),
            (
                "object",
                r#"{"type":2,"to":"0","fp":"q","QoS":true,"dataContent":{}}"#,
            ),
            (
                "junk",
                r#"{"type":2,"to":"0","fp":"q","QoS":true,"dataContent":"x"} x"#,
            ),
            ("malformed", r#"{"type":2,"#),
            ("null", "null"),
        ] {
            raw.send(frame);
            if transport != Transport::Udp {
                let answer = raw.frame();
                assert!(answer.contains(r#"\"errorCode\":317,"#), "{name}: {answer}");
            }
            hear_nothing(&mut raw, name, Some(user));
        }
        for (name, frame, code) in [
            (
                "no id",
                r#"{"type":2,"to":"0","QoS":true,"dataContent":"x"}"#,
                310,
            ),
            (
                "no to",
                r#"{"type":2,"fp":"q","QoS":true,"dataContent":"x"}"#,
                313,
            ),
            (
                "to -1",
                r#"{"type":2,"to":"-1","fp":"q","QoS":true,"dataContent":"x"}"#,
                313,
            ),
            (
                "no team",
                r#"{"type":2,"to":"@t","fp":"q","QoS":true,"dataContent":"x"}"#,
                313,
            ),
            (
                "no group",
                r##"{"type":2,"to":"#g","fp":"q","QoS":true,"dataContent":"x"}"##,
                313,
            ),
        ] {
            raw.send(frame);
            let answer = raw.frame();
            let expected = format!(r#"\"errorCode\":{code},"#);
            assert!(answer.contains(&expected), "{transport:?} {name}: {answer}");
            hear_nothing(&mut raw, name, Some(user));
        }
        raw.send(&message(user, "0", "same", "one"));
        hear(&mut raw, "first", &acked("same", "0", user));
        raw.send(&message(user, "0", "same", "two"));
        let answer = raw.frame();
        assert!(answer.contains(r#"\"errorCode\":311,"#), "{answer}");
    }
}

#[test]
fn from_user_to_user() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let (alice, bob) = (&format!("a{transport:?}"), &format!("b{transport:?}"));
        let mut sender = Raw::connect(transport, &server.at);
        sender.login(alice);
        let mut receiver = Raw::connect(transport, &server.at);
        receiver.login(bob);

        sender.send(&message(alice, bob, "m1", "hi \"bob\"\n<&='ü😀"));
        // The frame arrives as it was sent; the sender is told in the receiver's name.
        hear(
            &mut receiver,
            "m1",
            &message(alice, bob, "m1", "hi \"bob\"\n<&='ü😀"),
        );
        hear(&mut sender, "ack m1", &acked("m1", bob, alice));
        receiver.send(&acknowledgement(bob, alice, "m1"));
        hear_nothing(&mut receiver, "ack of m1", Some(bob));
        hear_nothing(&mut sender, "ack of m1", Some(alice));

        // Ours: `from` is who is logged in, whatever the frame says.
        for (id, said) in [("s1", "ceo"), ("s2", "0")] {
            sender.send(&message(said, bob, id, "spoof"));
            hear(&mut receiver, id, &message(alice, bob, id, "spoof"));
            hear(&mut sender, id, &acked(id, bob, alice));
            receiver.send(&acknowledgement(bob, alice, id));
        }
        sender.send(&message_without_qos(alice, bob, "nq", "m"));
        hear(
            &mut receiver,
            "noqos",
            &message_without_qos(alice, bob, "nq", "m"),
        );
        hear_nothing(&mut sender, "noqos", Some(alice));

        // Ours: a second copy is acknowledged and not relayed; without an id it is refused.
        sender.send(&message(alice, bob, "m1", "hi \"bob\"\n<&='ü😀"));
        hear(&mut sender, "m1 again", &acked("m1", bob, alice));
        hear_nothing(&mut receiver, "m1 again", Some(bob));

        sender.send(&message(alice, alice, "self", "me"));
        hear_either(
            &mut sender,
            &message(alice, alice, "self", "me"),
            &acked("self", alice, alice),
        );
        sender.send(&acknowledgement(alice, alice, "self"));
        hear_nothing(&mut sender, "self", Some(alice));
    }
}

/// Both, in any order.
fn hear_either(raw: &mut Raw, one: &str, other: &str) {
    let mut got = [raw.frame(), raw.frame()];
    let mut expected = [one.to_owned(), other.to_owned()];
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

#[test]
fn a_second_login_on_a_link_changes_who_it_is() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let (one, other) = (&format!("one{transport:?}"), &format!("two{transport:?}"));
        let mut raw = Raw::connect(transport, &server.at);
        raw.login(one);
        raw.send(&login(other, 0));
        hear(&mut raw, "second login", &login_answer(other));
        raw.send(&message(one, "0", "x", ""));
        hear(&mut raw, "message", &acked("x", "0", other));
        let mut third = Raw::connect(transport, &server.at);
        third.login("third");
        third.send(&message("third", one, "y", ""));
        hear(&mut third, "to the first", &acked("y", one, "third"));
        hear_nothing(&mut raw, "to the first", Some(other));
    }
}

/// Ours: the server's own name, and everything that means something else, is no user id.
#[test]
fn reserved_names_do_not_log_in() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        for name in ["0", "-1", "#group", "@team", "a\u{7}b", &"x".repeat(65)] {
            let mut raw = Raw::connect(transport, &server.at);
            raw.send(&login(name, 0));
            let refused = control(50, "-1", r#"{"code":313,"firstLoginTime":T}"#);
            let answer = raw
                .frame()
                .replace("\\\"firstLoginTime\\\":-1", "\\\"firstLoginTime\\\":T");
            assert_eq!(answer, refused);
            match transport {
                Transport::Udp => hear_nothing(&mut raw, name, None),
                _ => hear_end(&mut raw, name, 1000),
            }
        }
        Raw::connect(transport, &server.at).login(&"x".repeat(64));
    }
}

#[test]
fn duplicate_logins() {
    let (_dir, server) = server();
    for transport in TRANSPORTS {
        let user = &format!("dup{transport:?}");
        let connect = || Raw::connect(transport, &server.at);
        let time = |answer: &str| -> i64 {
            let (_, rest) = answer.split_once(r#"\"firstLoginTime\":"#).unwrap();
            rest[..rest.find('}').unwrap()].parse().unwrap()
        };
        let mut first = connect();
        let first_time = time(&first.login(user));
        let mut second = connect();
        let second_time = time(&second.login(user));
        assert!(second_time > first_time);
        hear(&mut first, "kicked", &kickout(user));
        match transport {
            // Ours: a kicked UDP session is logged out.
            Transport::Udp => {
                first.send(&message(user, "0", "kk", ""));
                hear(&mut first, "kicked", &error(301, "log in first"));
            }
            _ => hear_end(&mut first, "kicked", 1000),
        }
        // A client of before comes back by itself: it is stale.
        let mut stale = connect();
        stale.send(&login(user, first_time));
        hear(&mut stale, "stale", &login_answer(user));
        hear(&mut stale, "stale", &kickout(user));
        if transport != Transport::Udp {
            hear_end(&mut stale, "stale", 1000);
        }
        // The same login on another link: it takes the place, nobody is kicked.
        let mut same = connect();
        same.send(&login(user, second_time));
        let answer = same.frame();
        assert_eq!(time(&answer), second_time);
        if transport != Transport::Udp {
            hear_end(&mut second, "superseded", 1000);
        }
        // Ours: times that we did not issue are worth nothing.
        for invented in [9_999_999_999_999, 5, -7] {
            let mut other = connect();
            other.send(&login(user, invented));
            let answer = other.frame();
            assert!(
                time(&answer) > second_time && time(&answer) != invented,
                "{answer}"
            );
            hear(&mut same, "kicked", &kickout(user));
            same = other;
        }
        // Heartbeats are answered on the link that asks.
        same.send(&keepalive(user));
        hear(&mut same, "keepalive", &control(51, user, "{}"));
    }
}
