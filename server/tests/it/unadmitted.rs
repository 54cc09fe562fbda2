//! What a peer costs that has not shown who it is: on every listener little, for a while, and nothing
//! to others.

#![allow(clippy::unwrap_used)] // in a test a panic is the report
#![allow(clippy::field_reassign_with_default)] // settings read better one by one

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::limits;
use tidings_server::hooks::LoginRequest;
use tidings_server::{Listener, Server};
use tokio::sync::Notify;

use crate::support::{
    PATIENCE, TestServer, code_of, connect, login_frame, login_over, login_tcp, read_frame, until,
    write_frame,
};
use crate::tls;

/// Whether the other side has closed.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = (&*stream).read(&mut [0; 1024]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Many connections that say this much and no more.
fn crowd(address: SocketAddr, count: usize, say: &[u8]) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = connect(address);
        stream.write_all(say).unwrap();
        stream
    };
    (0..count).map(one).collect()
}

/// A first message of TLS that is whole.
fn client_hello() -> Vec<u8> {
    let mut session = tls::client();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn s1_silence_stops_no_handshake_anywhere() {
    let (server, certificate) = tls::server();
    let hello = client_hello();
    // As many as one listener holds; more wait in the kernel. Silent, with a beginning, with a whole
    // first message and nothing after it.
    let crowds = [
        crowd(server.http(), 300, b""),
        crowd(server.http(), 300, &hello[..1]),
        crowd(server.http(), 300, &hello),
        crowd(server.ws(), 300, &hello[..100]),
    ];
    let mut stream = tls::secure(server.tcp(), &certificate).unwrap();
    assert_eq!(login_over(&mut stream, "alice", ""), 0);
    drop(tls::secure(server.ws(), &certificate).unwrap());
    drop(tls::secure(server.http(), &certificate).unwrap());
    // Nobody's place was needed for that: most are still there.
    let closed = crowds.iter().flatten().filter(|s| is_closed(s)).count();
    assert!(closed < 600, "{closed} of 1200 were closed first");
}

#[test]
fn s1_a_first_message_has_a_bound() {
    let (server, _) = tls::server();
    let mut stream = connect(server.tcp());
    // A handshake record whose message says that it has 60,000 bytes more.
    let mut bytes = vec![22, 3, 1, 0x40, 0, 1, 0, 0xea, 0x60, 3, 3];
    bytes.resize(5 + 0x4000, 0);
    let mut second = vec![22, 3, 1, 0x40, 0];
    second.resize(5 + 0x4000, 0);
    bytes.extend(second);
    assert!(bytes.len() > limits::TLS_HELLO_BYTES_MAX);
    let _ = stream.write_all(&bytes); // it may be closed by then
    until("it is closed", || is_closed(&stream));
}

/// The head of the answer, and whether the connection ended with it.
fn answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn s2_admission_comes_before_the_body() {
    let server = TestServer::start(|_| {});
    let calls = [
        "POST /api/v1/messages",
        "PUT /api/v1/groups/g",
        "PUT /api/v1/desk/tenants/t",
        "POST /api/v1/desk/tenants/t/conversations/1/notes",
        "PUT /api/v1/users/alice/block",
    ];
    for call in calls {
        for key in [
            "",
            "Authorization: Bearer tdk_wrong\r\n",
            "Authorization: Basic !\r\n",
        ] {
            let mut stream = connect(server.http());
            let head = format!(
                "{call} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                 Content-Length: 1000000\r\n{key}\r\n{{"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // The rest of the body never comes.
            let answer = answer(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 401"), "{call} {key}: {answer}");
        }
    }
}

#[test]
fn s2_a_head_has_a_bound_and_a_refused_body_is_not_awaited() {
    let server = TestServer::start(|_| {});
    let mut stream = connect(server.http());
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ".to_vec();
    head.resize(limits::HTTP_HEAD_BYTES_MAX + 1, b'a');
    stream.write_all(&head).unwrap();
    let refused = answer(&mut stream);
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    // OCIM: without a token that is known less is taken than with one.
    for (bytes, status) in [
        (limits::UNADMITTED_BODY_BYTES_MAX, "401"),
        (limits::UNADMITTED_BODY_BYTES_MAX + 1, "413"),
    ] {
        let mut stream = connect(server.http());
        let head = format!("POST /poll.io HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; bytes]).unwrap();
        let refused = answer(&mut stream);
        assert!(
            refused.starts_with(&format!("HTTP/1.1 {status}")),
            "{refused}"
        );
    }
}

#[test]
fn s2_connections_of_one_listener_have_a_bound_that_newcomers_pass() {
    let server = TestServer::start(|settings| settings.ocim.first_data_ms = 600_000);
    let silent = crowd(
        server.http(),
        limits::UNADMITTED_PER_LISTENER_MAX + 50,
        b"G",
    );
    // Those who waited longest go for those who come.
    let mut stream = connect(server.http());
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 200"));
    until("room was made", || silent.iter().any(is_closed));
    assert_eq!(
        server.login("alice", ""),
        0,
        "another listener never waited"
    );
}

fn frame_of(length: usize) -> String {
    let of =
        |text: &str| json!({"type": 5, "dataContent": text, "from": "a", "to": "0"}).to_string();
    of(&"x".repeat(length - of("").len()))
}

/// A WebSocket frame, masked with zeros.
fn websocket_frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xfe];
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn upgrade(server: &TestServer) -> TcpStream {
    let mut stream = connect(server.ws());
    stream
        .write_all(
            b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 101"));
    stream
}

#[test]
fn s3_frames_are_small_before_a_login() {
    let max = limits::UNADMITTED_FRAME_BYTES_MAX;
    let server = TestServer::start(|settings| settings.delivery.frame_bytes_max = 4 * max);
    let mut stream = connect(server.tcp());
    // The echo, which is a little longer, must fit as well.
    write_frame(&mut stream, &frame_of(max));
    write_frame(&mut stream, &frame_of(max - 100));
    assert!(read_frame(&mut stream).len() < max);
    write_frame(&mut stream, &frame_of(max + 1));
    until("it is closed", || is_closed(&stream));
    let mut stream = connect(server.tcp());
    assert_eq!(login_over(&mut stream, "alice", ""), 0);
    let text = "x".repeat(3 * max);
    let message = json!({
        "type": 2, "dataContent": text, "from": "alice", "to": "0", "fp": "m1", "QoS": true,
    });
    write_frame(&mut stream, &message.to_string());
    let answer = String::from_utf8(read_frame(&mut stream)).unwrap();
    assert!(answer.contains("\"dataContent\":\"m1\""), "{answer}");

    let mut stream = upgrade(&server);
    stream.write_all(&websocket_frame(&frame_of(max))).unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[..2], [0x81, 126], "the echo");
    let length = u16::from_be_bytes([head[2], head[3]]).into();
    stream.read_exact(&mut vec![0; length]).unwrap();
    stream
        .write_all(&websocket_frame(&frame_of(max + 1)))
        .unwrap();
    let mut close = [0; 4];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(
        (close[0], u16::from_be_bytes([close[2], close[3]])),
        (0x88, 1009)
    );
}

/// Decides about logins when it is told to.
struct Slow {
    asked: Arc<Notify>,
    decide: Arc<Notify>,
}

impl Listener for Slow {
    async fn verify_login(&self, _login: &LoginRequest) -> i32 {
        self.asked.notify_one();
        self.decide.notified().await;
        0
    }
}

/// What follows a login that is not decided is not read: it waits in the network, and is answered in
/// order when the login is.
#[test]
fn s3_what_follows_a_login_waits_in_the_network() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (asked, decide) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let listener = Slow {
        asked: asked.clone(),
        decide: decide.clone(),
    };
    let mut settings = crate::embed::settings();
    settings.listen.tcp = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.hooks.timeout_ms = 60_000;
    let running = runtime
        .block_on(Server::builder(settings).listener(listener).start())
        .unwrap();
    let mut stream = connect(running.addresses().tcp.unwrap());
    write_frame(&mut stream, &login_frame("alice", ""));
    runtime.block_on(asked.notified());
    // More than any buffer of ours, until the network holds no more.
    stream.set_nonblocking(true).unwrap();
    let one = frame_of(6000);
    let mut bytes = u32::try_from(one.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(one.as_bytes());
    let (mut sent, mut stuck) = (0, 0);
    while stuck < 20 {
        let at = sent % bytes.len();
        match stream.write(&bytes[at..]) {
            Ok(count) => (sent, stuck) = (sent + count, 0),
            Err(_) => {
                stuck += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(sent < 64 << 20, "it reads on and on");
    }
    stream.set_nonblocking(false).unwrap();
    let frames = sent / bytes.len();
    assert!(frames > limits::HELD_FRAMES_MAX, "{frames}");
    decide.notify_one();
    let mut reader = stream.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        assert_eq!(code_of(&read_frame(&mut reader)), 0);
        for _ in 0..frames {
            let echo: Value = serde_json::from_slice(&read_frame(&mut reader)).unwrap();
            assert_eq!(echo["type"], 53);
        }
    });
    // The rest of the last one.
    let at = sent % bytes.len();
    stream.write_all(&bytes[at..]).unwrap();
    answers.join().unwrap();
    runtime.block_on(running.stop());
}

#[test]
fn s3_an_echo_before_login_that_is_not_read_stops_the_reading() {
    let server = TestServer::start(|_| {});
    let mut stream = connect(server.tcp());
    stream.set_nonblocking(true).unwrap();
    let one = frame_of(6000);
    let mut bytes = u32::try_from(one.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(one.as_bytes());
    let (mut sent, mut stuck) = (0, 0);
    while stuck < 20 {
        let at = sent % bytes.len();
        match stream.write(&bytes[at..]) {
            Ok(count) => (sent, stuck) = (sent + count, 0),
            Err(_) => {
                stuck += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    // Nothing that was read is lost: all of it is answered once somebody listens.
    stream.set_nonblocking(false).unwrap();
    let frames = sent / bytes.len();
    for _ in 0..frames {
        let echo: Value = serde_json::from_slice(&read_frame(&mut stream)).unwrap();
        assert_eq!(echo["type"], 53);
    }
}

/// Clients that come back at once keep no server from stopping.
#[test]
fn b27_a_stop_waits_for_nobody_who_reconnects() {
    let mut server = TestServer::start(|settings| settings.shutdown_ms = 600_000);
    let (tcp, ws) = (server.tcp(), server.ws());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reconnecting = std::thread::spawn(move || {
        let mut held = Vec::new();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            // A login that is sent and not closed by us, and an upgrade that never comes.
            if let Ok(mut stream) = TcpStream::connect(tcp) {
                let frame = login_frame("alice", "");
                let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
                let _ = stream.write_all(&[&length, frame.as_bytes()].concat());
                held.push(stream);
            }
            held.extend(TcpStream::connect(ws));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(login_tcp(tcp, "bob", ""), 0);
    let running = server.running.take().unwrap();
    let stopping = async { tokio::time::timeout(PATIENCE, running.stop()).await };
    let outcome = server.runtime.block_on(stopping);
    stop.send(()).unwrap();
    reconnecting.join().unwrap();
    assert!(outcome.is_ok(), "it waits for shutdown_ms");
}
