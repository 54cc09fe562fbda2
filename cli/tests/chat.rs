//! `tidings chat` against a real server: line by line, and full-screen in a pseudo-terminal.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tidings_client::{Client, Event, Events, Incoming};
use tidings_server::config::{Listen, Settings};
use tidings_server::store::Durability;
use tidings_server::{Running, Server};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Far longer than anything takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server for TCP, on any port.
async fn server(data: &std::path::Path) -> Running {
    let tcp: Option<SocketAddr> = Some(([127, 0, 0, 1], 0).into());
    let mut settings = Settings {
        data: data.to_owned(),
        listen: Listen {
            tcp,
            udp: None,
            ws: None,
            http: None,
            agents: None,
            ocim: None,
        },
        ..Settings::default()
    };
    settings.delivery.durability = Durability::Os;
    Server::start(settings).await.unwrap()
}

/// A server that can be killed and started again: a process of its own. Answers with its port, too.
async fn killable(data: &std::path::Path, port: u16) -> (Child, u16) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args([
            "serve", "--udp", "off", "--ws", "off", "--http", "off", "--agents", "off",
        ])
        .args(["--tcp", &format!("127.0.0.1:{port}")])
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap());
    let ready = line(&mut lines).await;
    let port = ready.trim_end().rsplit(':').next().unwrap().parse();
    (server, port.unwrap())
}

fn port(server: &Running) -> u16 {
    server.addresses().tcp.unwrap().port()
}

fn url(port: u16) -> String {
    format!("tcp://127.0.0.1:{port}")
}

async fn client(port: u16, user: &str) -> (Client, Events) {
    let builder = Client::builder(url(port)).user(user);
    builder.connect().await.unwrap()
}

async fn message(events: &mut Events) -> Incoming {
    let next = async {
        loop {
            match events.next().await.unwrap() {
                Event::Message(message) => return message,
                Event::Refused { .. } | Event::Kicked { .. } => panic!("the login ended"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, next).await.unwrap()
}

fn chat(port: u16, user: &str, peers: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    let url = url(port);
    command
        .args(["chat", "--server", &url, "--user", user])
        .args(peers)
        .kill_on_drop(true);
    command
}

fn piped(mut command: Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn line(from: &mut BufReader<impl AsyncRead + Unpin>) -> String {
    let mut line = String::new();
    timeout(PATIENCE, from.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    line
}

/// Reads lines until one contains `words`.
async fn line_with(from: &mut BufReader<impl AsyncRead + Unpin>, words: &str) {
    loop {
        let line = line(from).await;
        assert!(!line.is_empty(), "ended before {words:?}");
        if line.contains(words) {
            return;
        }
    }
}

async fn exit_code(mut child: Child) -> Option<i32> {
    timeout(PATIENCE, child.wait())
        .await
        .unwrap()
        .unwrap()
        .code()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_lines_out_and_an_end_once_all_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let (bob, mut events) = client(port(&server), "bob").await;
    let mut alice = piped(chat(port(&server), "alice", &["bob"]));
    let mut lines = BufReader::new(alice.stdout.take().unwrap());
    bob.send("alice", "two\nlines 你好").await.unwrap();
    assert_eq!(line(&mut lines).await, "bob: two\\nlines 你好\n");
    let mut input = alice.stdin.take().unwrap();
    input
        .write_all("to: you\r\n\n再见".as_bytes())
        .await
        .unwrap();
    drop(input);
    assert_eq!(message(&mut events).await.text, "to: you");
    assert_eq!(message(&mut events).await.text, "再见");
    assert_eq!(exit_code(alice).await, Some(0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_word_says_to_whom() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let mut alice = piped(chat(port(&server), "alice", &[]));
    let mut input = alice.stdin.take().unwrap();
    let lines = b"bob: one\nno receiver\n#nobody: two\ncarol: three\n";
    input.write_all(lines).await.unwrap();
    drop(input);
    let mut told = BufReader::new(alice.stderr.take().unwrap());
    line_with(&mut told, "line 2 was not sent: its first word").await;
    line_with(&mut told, "line 3 was not sent").await;
    assert_eq!(exit_code(alice).await, Some(1));
    for (user, text) in [("bob", "one"), ("carol", "three")] {
        let (_client, mut events) = client(port(&server), user).await;
        assert_eq!(message(&mut events).await.text, text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_waits_for_a_server_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, port) = killable(folder.path(), 0).await;
    first.kill().await.unwrap();
    let mut alice = piped(chat(port, "alice", &["bob"]));
    alice
        .stdin
        .take()
        .unwrap()
        .write_all(b"patience\n")
        .await
        .unwrap();
    let mut told = BufReader::new(alice.stderr.take().unwrap());
    line_with(&mut told, "trying again").await;
    let _second = killable(folder.path(), port).await;
    line_with(&mut told, "line 1 is stored").await;
    assert_eq!(exit_code(alice).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let mut alice = piped(chat(port(&server), "alice", &["bob"]));
    let _input = alice.stdin.take();
    let mut told = BufReader::new(alice.stderr.take().unwrap());
    line_with(&mut told, "logged in").await;
    let (_other, _events) = client(port(&server), "alice").await;
    line_with(&mut told, "ended the login with code 1").await;
    assert_eq!(exit_code(alice).await, Some(1));
    let wrong = piped(chat(port(&server), "alice", &["-1"]));
    assert_eq!(exit_code(wrong).await, Some(2));
    server.stop().await;
}

#[cfg(unix)]
mod full_screen {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
    use tokio::sync::mpsc;

    use super::*;

    /// A chat in a terminal of its own.
    struct Terminal {
        chat: Child,
        keys: File,
        /// The chat's end; held open so that its state can be seen afterwards.
        tty: File,
        output: mpsc::UnboundedReceiver<Vec<u8>>,
        seen: String,
    }

    impl Terminal {
        fn start(mut chat: Command) -> Terminal {
            let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&outer).unwrap();
            unlockpt(&outer).unwrap();
            let size = Winsize {
                ws_row: 24,
                ws_col: 80,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            tcsetwinsize(&outer, size).unwrap();
            let name = ptsname(&outer, Vec::new()).unwrap();
            let tty = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(OFlags::NOCTTY.bits().cast_signed())
                .open(name.to_str().unwrap())
                .unwrap();
            let end = || Stdio::from(tty.try_clone().unwrap());
            let chat = chat
                .stdin(end())
                .stdout(end())
                .stderr(end())
                .spawn()
                .unwrap();
            let keys = File::from(outer);
            let mut screen = keys.try_clone().unwrap();
            let (written, output) = mpsc::unbounded_channel();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read) = screen.read(&mut bytes) {
                    if written.send(bytes[..read].to_vec()).is_err() {
                        break;
                    }
                }
            });
            Terminal {
                chat,
                keys,
                tty,
                output,
                seen: String::new(),
            }
        }

        fn press(&mut self, keys: &str) {
            self.keys.write_all(keys.as_bytes()).unwrap();
        }

        /// Waits until the screen was told `words`. They hold no character that stood in its place
        /// before, blanks above all: such cells are skipped.
        async fn shows(&mut self, words: &str) {
            let mut bytes = Vec::new();
            while !self.seen.contains(words) {
                let more = timeout(PATIENCE, self.output.recv()).await;
                let more = more.unwrap_or_else(|_| panic!("no {words:?} in {:?}", self.seen));
                bytes.extend(more.unwrap());
                if let Ok(text) = str::from_utf8(&bytes) {
                    self.seen.push_str(text);
                    bytes.clear();
                }
            }
        }

        fn is_raw(&self) -> bool {
            let modes = tcgetattr(&self.tty).unwrap().local_modes;
            !modes.contains(LocalModes::ICANON | LocalModes::ECHO)
        }

        /// It ended well, and the terminal is as it was.
        async fn ended(mut self) {
            let status = timeout(PATIENCE, self.chat.wait()).await;
            assert!(status.unwrap().unwrap().success());
            self.shows("\u{1b}[?1049l").await;
            assert!(!self.is_raw());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_conversation_through_a_restart_of_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, port) = killable(folder.path(), 0).await;
        let (bob, mut events) = client(port, "bob").await;
        let mut alice = Terminal::start(chat(port, "alice", &["bob"]));
        alice.shows("connected").await;
        assert!(alice.is_raw());
        alice.press("hello, 世界!\r");
        assert_eq!(message(&mut events).await.text, "hello, 世界!");
        alice.shows("✓✓").await;
        first.kill().await.unwrap();
        alice.shows("reconnecting").await;
        alice.press("later\r");
        alice.seen.clear();
        let _second = killable(folder.path(), port).await;
        assert_eq!(message(&mut events).await.text, "later");
        alice.shows("✓✓").await;
        bob.send("alice", "GREETINGS\u{1b}[2J").await.unwrap();
        alice.shows("GREETINGS\\u{1b}[2J").await;
        alice.press("/quit\r");
        alice.ended().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_signal_gives_the_terminal_back() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path()).await;
        let mut alice = Terminal::start(chat(port(&server), "alice", &[]));
        alice.shows("connected").await;
        let process = alice.chat.id().unwrap().to_string();
        let killed = Command::new("kill").arg(process).status().await.unwrap();
        assert!(killed.success());
        alice.ended().await;
        let mut alice = Terminal::start(chat(port(&server), "alice", &[]));
        alice.shows("connected").await;
        alice.press("\u{3}");
        alice.ended().await;
        server.stop().await;
    }
}
