//! The public client, and the commands built on it, against a real server over real sockets.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use tidings_client::{Client, Event, Events, Incoming};
use tidings_server::config::{Listen, Settings};
use tidings_server::store::Durability;
use tidings_server::{Running, Server};
use tokio::process::Command;

const TRANSPORTS: [&str; 3] = ["tcp", "udp", "ws"];

async fn server(data: &std::path::Path) -> Running {
    let any: Option<SocketAddr> = Some(([127, 0, 0, 1], 0).into());
    let mut settings = Settings {
        data: data.to_owned(),
        listen: Listen {
            tcp: any,
            udp: any,
            ws: any,
            http: None,
            agents: None,
            ocim: None,
        },
        ..Settings::default()
    };
    settings.delivery.durability = Durability::Memory;
    Server::start(settings).await.unwrap()
}

fn url(server: &Running, transport: &str) -> String {
    let addresses = server.addresses();
    match transport {
        "tcp" => format!("tcp://{}", addresses.tcp.unwrap()),
        "udp" => format!("udp://{}", addresses.udp.unwrap()),
        _ => format!("ws://{}/websocket", addresses.ws.unwrap()),
    }
}

async fn client(url: &str, user: &str) -> (Client, Events) {
    Client::builder(url).user(user).connect().await.unwrap()
}

async fn logged_in(events: &mut Events) {
    loop {
        match events.next().await.unwrap() {
            Event::LoggedIn { extended } => return assert!(extended),
            Event::LinkLost { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn message(events: &mut Events) -> Incoming {
    loop {
        match events.next().await.unwrap() {
            Event::Message(message) => return message,
            Event::Refused { .. } | Event::Kicked { .. } => panic!("the login ended"),
            _ => {}
        }
    }
}

async fn acknowledged(events: &mut Events, sent: &str) -> Option<u64> {
    loop {
        match events.next().await.unwrap() {
            Event::Acknowledged { id, seq } if *id == *sent => return seq,
            Event::Lost { id } => panic!("lost {id}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pairs_of_transports_receiver_there_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    for from in TRANSPORTS {
        for to in TRANSPORTS {
            let (alice, bob) = (format!("alice-{from}-{to}"), format!("bob-{from}-{to}"));
            let (sender, mut sent) = client(&url(&server, from), &alice).await;
            let first = sender.send(&bob, "while you were out").await.unwrap();
            assert_eq!(acknowledged(&mut sent, &first).await, Some(1));
            let (receiver, mut received) = client(&url(&server, to), &bob).await;
            let stored = message(&mut received).await;
            assert_eq!(stored.text, "while you were out");
            assert_eq!((&*stored.from, stored.seq), (&*alice, Some(1)));
            assert_eq!(stored.id, first);
            let second = sender.send(&bob, "and now").await.unwrap();
            let live = message(&mut received).await;
            assert_eq!((&*live.text, live.seq), ("and now", Some(2)));
            acknowledged(&mut sent, &second).await;
            receiver.close().await;
            sender.close().await;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_oneself() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let (alice, mut events) = client(&url(&server, "tcp"), "alice").await;
    logged_in(&mut events).await;
    alice.send("alice", "note").await.unwrap();
    assert_eq!(message(&mut events).await.text, "note");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_arrive_once_and_in_order_over_each_transport() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    for transport in TRANSPORTS {
        let url = url(&server, transport);
        let (alice, bob) = (format!("alice-{transport}"), format!("bob-{transport}"));
        let (sender, mut sent) = client(&url, &alice).await;
        let (_receiver, mut received) = client(&url, &bob).await;
        let total = 2000;
        let sending = tokio::spawn(async move {
            for number in 0..total {
                sender.send(&bob, number.to_string()).await.unwrap();
            }
            let mut left = total;
            while left > 0 {
                match sent.next().await.unwrap() {
                    Event::Acknowledged { .. } => left -= 1,
                    Event::Lost { id } => panic!("lost {id}"),
                    _ => {}
                }
            }
        });
        for number in 0..total {
            assert_eq!(
                message(&mut received).await.text,
                number.to_string(),
                "{transport}"
            );
        }
        sending.await.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_ends_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let (_first, mut events) = client(&url(&server, "tcp"), "alice").await;
    logged_in(&mut events).await;
    let (_second, mut others) = client(&url(&server, "ws"), "alice").await;
    logged_in(&mut others).await;
    let kicked = events.next().await.unwrap();
    assert!(
        matches!(kicked, Event::Kicked { code: 1, .. }),
        "{kicked:?}"
    );
    server.stop().await;
}

fn tidings(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn ran(arguments: &[&str]) -> Output {
    tidings(arguments).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_send_and_listen() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let (tcp, udp) = (url(&server, "tcp"), url(&server, "udp"));
    let listen = [
        "listen", "--server", &udp, "--user", "bob", "--count", "2", "--json",
    ];
    let listening = tidings(&listen).spawn().unwrap();
    let send = ["send", "--server", &tcp, "--user", "alice", "--to", "bob"];
    let sent = ran(&[&send[..], &["hello\nthere"]].concat()).await;
    assert!(sent.status.success(), "{sent:?}");
    let path = folder.path().join("letter");
    std::fs::write(&path, "from a file").unwrap();
    let sent = ran(&[&send[..], &["--file", path.to_str().unwrap()]].concat()).await;
    assert!(sent.status.success(), "{sent:?}");
    let heard = listening.wait_with_output().await.unwrap();
    assert!(heard.status.success(), "{heard:?}");
    let lines = String::from_utf8(heard.stdout).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["text"], "hello\nthere");
    assert_eq!(lines[0]["from"], "alice");
    assert_eq!(lines[0]["seq"], 1);
    assert_eq!(lines[1]["text"], "from a file");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let tcp = url(&server, "tcp");
    let send = ["send", "--server", &tcp, "--user", "alice", "--to", "bob"];
    let long = "x".repeat(7000);
    let refused = ran(&[&send[..], &[&long]].concat()).await;
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("6144"), "{told}");
    let nowhere = [
        "send", "--server", &tcp, "--user", "alice", "--to", "#nobody", "x",
    ];
    let refused = ran(&nowhere).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    for wrong in [
        &[
            "send",
            "--server",
            "http://h:1",
            "--user",
            "a",
            "--to",
            "b",
            "x",
        ][..],
        &["send", "--server", &tcp, "--user", "0", "--to", "b", "x"],
        &["send", "--server", &tcp, "--user", "a", "--to", "b"],
        &["listen", "--server", &tcp],
    ] {
        assert_eq!(ran(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    server.stop().await;
    let send = [&send[..], &["--timeout", "0", "x"]].concat();
    let late = ran(&send).await;
    assert_eq!(late.status.code(), Some(1));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn listen_ends_politely_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let tcp = url(&server, "tcp");
    let mut listening = tidings(&["listen", "--server", &tcp, "--user", "bob"])
        .spawn()
        .unwrap();
    let mut told = tokio::io::BufReader::new(listening.stderr.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut told, &mut line)
        .await
        .unwrap();
    assert_eq!(line, "tidings: logged in\n");
    let process = listening.id().unwrap().to_string();
    let killed = Command::new("kill").arg(process).status().await.unwrap();
    assert!(killed.success());
    let end = tokio::time::timeout(Duration::from_secs(60), listening.wait()).await;
    assert!(end.unwrap().unwrap().success());
    server.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn listen_can_be_told_to_end_while_nobody_reads_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let tcp = url(&server, "tcp");
    let (alice, mut sent) = client(&tcp, "alice").await;
    let mut listening = tidings(&["listen", "--server", &tcp, "--user", "bob"])
        .spawn()
        .unwrap();
    // More than a pipe holds.
    let text = "x".repeat(5000);
    for _ in 0..100 {
        let id = alice.send("bob", text.clone()).await.unwrap();
        acknowledged(&mut sent, &id).await;
    }
    // The first line is out: from here on it is busy with writing.
    let mut first = [0; 100];
    let mut lines = listening.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut lines, &mut first)
        .await
        .unwrap();
    let process = listening.id().unwrap().to_string();
    let killed = Command::new("kill").arg(process).status().await.unwrap();
    assert!(killed.success());
    let end = tokio::time::timeout(Duration::from_secs(60), listening.wait()).await;
    assert!(end.unwrap().unwrap().success());
    server.stop().await;
}
