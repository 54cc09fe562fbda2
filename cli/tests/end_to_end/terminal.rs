//! What a hostile server says reaches no terminal as it is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::server::tidings;

/// Clears the screen, sets the title, fakes a line of ours, turns the direction.
const NASTY: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\ntidings: logged in\u{9b}1m\u{202e}";

fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    serde_json::from_slice(&frame).ok()
}

fn write(stream: &mut TcpStream, kind: i32, data: &Value, fp: Option<&str>) {
    let frame = json!({
        "bridge": false, "type": kind, "dataContent": data.to_string(), "from": "0", "to": "alice",
        "fp": fp, "QoS": false, "typeu": -1, "sm": 0,
    });
    let frame = frame.to_string();
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    // The client may have gone.
    let _ = stream.write_all(&length);
    let _ = stream.write_all(frame.as_bytes());
}

/// A server that lets anybody in, refuses what is sent, and then throws him out, all with such words.
fn hostile() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Some(frame) = read(&mut stream) {
                match frame["type"].as_i64() {
                    Some(0) => {
                        let answer = json!({ "code": 0, "firstLoginTime": 7 });
                        write(&mut stream, 50, &answer, None);
                        let error = json!({ "errorCode": 317, "errorMsg": NASTY });
                        write(&mut stream, 52, &error, None);
                        let kick = json!({ "code": 2, "reason": NASTY });
                        write(&mut stream, 54, &kick, None);
                    }
                    _ => break,
                }
            }
        }
    });
    address
}

#[test]
fn s_escape_sequences_of_a_server_are_written_out() {
    let server = format!("tcp://{}", hostile());
    for arguments in [
        &["listen"][..],
        &["send", "--to", "bob", "hello"],
        &["chat", "--plain", "bob"],
    ] {
        let mut command = tidings();
        command.args(&arguments[..1]);
        command.args(["--server", &server, "--user", "alice", "--token", "x"]);
        command.args(&arguments[1..]);
        // Held open, so that a chat goes on until it is thrown out.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("owned"),
            "{arguments:?} heard nothing: {said}"
        );
        let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(obeyed), "{arguments:?}: {said:?}");
        for line in said.lines().filter(|line| line.contains("owned")) {
            assert!(line.starts_with("tidings: "), "{line}");
        }
    }
}
