//! A server in this process and raw clients of each transport, for the tests of the door.

#![allow(dead_code)] // each test file uses a part
#![allow(clippy::unwrap_used)] // in a test a panic is the report
#![allow(clippy::field_reassign_with_default)] // settings read better one by one

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_server::config::Settings;
use tidings_server::store::Durability;
use tidings_server::{Running, Server};

/// How long anything may take before a test gives up. Nothing is asserted about durations.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with free ports and nothing on disk but what `data` gets.
pub(crate) struct TestServer {
    pub(crate) running: Option<Running>,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) data: tempfile::TempDir,
}

impl TestServer {
    /// Starts one; `change` sets what the test is about.
    pub(crate) fn start(change: impl FnOnce(&mut Settings)) -> TestServer {
        Self::try_start(tempfile::tempdir().unwrap(), change).unwrap()
    }

    /// The same, in a directory that is there already; the error's text if it does not start.
    pub(crate) fn try_start(
        data: tempfile::TempDir,
        change: impl FnOnce(&mut Settings),
    ) -> Result<TestServer, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut settings = Settings::default();
        settings.data = data.path().to_owned();
        settings.delivery.durability = Durability::Memory;
        settings.listen.tcp = free;
        settings.listen.udp = free;
        settings.listen.ws = free;
        settings.listen.http = free;
        settings.listen.agents = None;
        settings.shutdown_ms = 2_000;
        change(&mut settings);
        settings.validate().map_err(|e| e.to_string())?;
        let started = runtime.block_on(Server::start(settings));
        let running = Some(started.map_err(|e| e.to_string())?);
        Ok(TestServer {
            running,
            runtime,
            data,
        })
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses().tcp.unwrap()
    }

    pub(crate) fn udp(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses().udp.unwrap()
    }

    pub(crate) fn ws(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses().ws.unwrap()
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses().http.unwrap()
    }

    /// The code of a login over TCP.
    pub(crate) fn login(&self, user: &str, token: &str) -> i32 {
        login_tcp(self.tcp(), user, token)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

/// A LOGIN frame.
pub(crate) fn login_frame(user: &str, token: &str) -> String {
    let data =
        json!({"loginUserId": user, "loginToken": token, "extra": "more", "firstLoginTime": 0});
    json!({
        "bridge": false, "type": 0, "dataContent": data.to_string(), "from": user, "to": "0",
        "QoS": false, "typeu": -1, "sm": -1,
    })
    .to_string()
}

/// The code in a login answer.
pub(crate) fn code_of(frame: &[u8]) -> i32 {
    let frame: Value = serde_json::from_slice(frame).unwrap();
    assert_eq!(frame["type"], 50, "not a login answer: {frame}");
    let data: Value = serde_json::from_str(frame["dataContent"].as_str().unwrap()).unwrap();
    i32::try_from(data["code"].as_i64().unwrap()).unwrap()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn write_frame(stream: &mut impl Write, frame: &str) {
    let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(frame.as_bytes());
    stream.write_all(&bytes).unwrap();
    stream.flush().unwrap();
}

pub(crate) fn read_frame(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Logs in over anything that carries length-prefixed frames.
pub(crate) fn login_over(stream: &mut (impl Read + Write), user: &str, token: &str) -> i32 {
    write_frame(stream, &login_frame(user, token));
    code_of(&read_frame(stream))
}

pub(crate) fn login_tcp(address: SocketAddr, user: &str, token: &str) -> i32 {
    login_over(&mut connect(address), user, token)
}

/// Sent again until it is answered: datagrams get lost.
pub(crate) fn login_udp(address: SocketAddr, user: &str, token: &str) -> i32 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let end = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    while Instant::now() < end {
        socket
            .send_to(login_frame(user, token).as_bytes(), address)
            .unwrap();
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            return code_of(&buffer[..length]);
        }
    }
    panic!("no answer over UDP");
}

/// Upgrades and logs in, over anything that carries bytes.
pub(crate) fn login_ws_over(stream: &mut (impl Read + Write), user: &str, token: &str) -> i32 {
    stream
        .write_all(
            b"GET /websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    let frame = login_frame(user, token);
    // Masked with zeros: the bytes stay as they are.
    let mut bytes = vec![0x81, 0xfe];
    bytes.extend_from_slice(&u16::try_from(frame.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(frame.as_bytes());
    stream.write_all(&bytes).unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x81);
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        short => usize::from(short),
    };
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    code_of(&answer)
}

pub(crate) fn login_ws(address: SocketAddr, user: &str, token: &str) -> i32 {
    login_ws_over(&mut connect(address), user, token)
}

/// Waits for something that happens in its own time.
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < end, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}
