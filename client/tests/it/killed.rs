//! A client process with an outbox file is killed again and again, and its links are cut: every
//! message that the application handed over arrives once, in order.

use std::process::Stdio;

use crate::support::{Peer, TcpServer, ack, answer};
use tidings_client::{Client, Message, SendError};
use tidings_core::wire::code;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

const URL: &str = "KILLED_URL";
const OUTBOX: &str = "KILLED_OUTBOX";
const FIRST: &str = "KILLED_FIRST";
const ROUNDS: u64 = 12;

/// The application that is killed. It says on its standard error what it has handed over.
#[tokio::test]
#[ignore = "run by the other test, as a process of its own"]
async fn application() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let outbox = std::env::var(OUTBOX).unwrap();
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let builder = Client::builder(url).user("alice").outbox(outbox).window(8);
    let (client, mut events) = builder.connect().await.unwrap();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    for number in first.. {
        // After a restart the application cannot know whether it had handed over the next one.
        let message = Message::new("bob", number.to_string()).id(format!("m{number}"));
        match client.send_message(message).await {
            Ok(_) | Err(SendError::DuplicateId) => eprintln!("handed over {number}"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn start(url: &str, outbox: &std::path::Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "killed::application", "--nocapture"])
        .env(URL, url)
        .env(OUTBOX, outbox)
        .env(FIRST, first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Stores each message once and tells; cuts every link after some frames.
async fn serve(server: TcpServer, stored: mpsc::UnboundedSender<u64>) {
    let mut known = std::collections::HashSet::new();
    for link in 0_u64.. {
        let mut peer = server.accept().await;
        let mut left = 20 + link * 31 % 97;
        while let Some(frame) = peer.receive().await {
            match frame.kind {
                code::LOGIN => {
                    let payload = r#"{"code":0,"firstLoginTime":1}"#;
                    let answer = answer(code::LOGIN_ANSWER, &frame, payload);
                    let _ = peer.try_send(&answer).await;
                }
                code::COMMON_DATA => {
                    let number = frame.data.as_deref().unwrap().parse().unwrap();
                    if known.insert(frame.fp.clone()) {
                        stored.send(number).unwrap();
                    }
                    let _ = peer.try_send(&ack(&frame)).await;
                }
                _ => {}
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_handed_over_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("alice.outbox");
    let (server, url) = TcpServer::bind().await;
    let (tell, mut stored) = mpsc::unbounded_channel();
    tokio::spawn(serve(server, tell));
    let mut next = 0;
    for round in 0..ROUNDS {
        let mut child = start(&url, &outbox, next);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut left = 1 + round * 17 % 60;
        while left > 0 {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the application ended");
            if let Some(number) = line.strip_prefix("handed over ") {
                next = number.parse::<u64>().unwrap() + 1;
                left -= 1;
            }
        }
        // SIGKILL, in the middle of whatever it does.
        child.kill().await.unwrap();
    }
    let _last = start(&url, &outbox, next);
    for expected in 0..next {
        assert_eq!(stored.recv().await, Some(expected));
    }
}
