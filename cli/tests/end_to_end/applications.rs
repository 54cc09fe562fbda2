//! An application on our client library, with an outbox file, and its server, each killed at random
//! moments and started again: what the application handed over arrives once, in order.

use std::process::Stdio;
use std::time::Duration;

use tidings_client::{Client, Event, Events, Message, SendError};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;

use crate::support::dice::Dice;
use crate::support::server::Server;
use crate::support::{PATIENCE, knob};

const URL: &str = "APPLICATION_URL";
const OUTBOX: &str = "APPLICATION_OUTBOX";
const FIRST: &str = "APPLICATION_FIRST";
/// Messages that the application hands over between two deaths, at most.
const HANDED_OVER_MAX: usize = 120;

/// The application. It says on its standard error what it has handed over.
#[tokio::test]
#[ignore = "run by the other test, as a process of its own"]
async fn application() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let outbox = std::env::var(OUTBOX).unwrap();
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let builder = Client::builder(url).user("alice").outbox(outbox);
    let builder = builder.backoff_max(Duration::from_millis(200));
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

/// The process, and how far it has come.
struct Application {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Application {
    fn start(url: &str, outbox: &std::path::Path, first: u64) -> Application {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "applications::application"])
            .arg("--nocapture")
            .env(URL, url)
            .env(OUTBOX, outbox)
            .env(FIRST, first.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Application { child, lines }
    }

    /// Waits until it has handed over `count` more; returns the number after the last.
    async fn hand_over(&mut self, count: usize) -> u64 {
        let (mut next, mut left) = (0, count);
        while left > 0 {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap().unwrap().expect("the application ended");
            if let Some(number) = line.strip_prefix("handed over ") {
                next = number.parse::<u64>().unwrap() + 1;
                left -= 1;
            }
        }
        next
    }
}

/// Passes on what Bob's application is shown.
async fn listen(mut events: Events, shown: mpsc::UnboundedSender<u64>) {
    while let Some(event) = events.next().await {
        if let Event::Message(message) = event
            && shown.send(message.text.parse().unwrap()).is_err()
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_handed_over_arrives_once_whoever_is_killed() {
    let rounds = knob("TIDINGS_TEST_KILL_ROUNDS", 5) * 2;
    let mut dice = Dice::new(knob("TIDINGS_TEST_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("alice.outbox");
    let mut server = Some(Server::start(folder.path(), &["--log-level", "warn"]));
    let address = server.as_ref().unwrap().at.tcp.unwrap().to_string();
    let again = ["--log-level", "warn", "--tcp", &address];
    let url = format!("tcp://{address}");
    let bob = Client::builder(&url)
        .user("bob")
        .backoff_max(Duration::from_millis(200));
    let (_bob, events) = bob.connect().await.unwrap();
    let (show, mut shown) = mpsc::unbounded_channel();
    tokio::spawn(listen(events, show));
    let mut application = Application::start(&url, &outbox, 0);
    let mut next = 0;
    for round in 0..rounds {
        next = application.hand_over(1 + dice.below(HANDED_OVER_MAX)).await;
        let (kill_server, kill_application) =
            *dice.pick(&[(true, false), (false, true), (true, true)]);
        println!(
            "round {round}: {next} handed over; killed: server {kill_server}, application {kill_application}"
        );
        if kill_server {
            server.take().into_iter().for_each(Server::kill);
        }
        if kill_application {
            application.child.kill().await.unwrap();
            application = Application::start(&url, &outbox, next);
        }
        if kill_server {
            // Meanwhile it hands over to its outbox.
            next = application.hand_over(1 + dice.below(20)).await;
            server = Some(Server::start(folder.path(), &again));
        }
    }
    for expected in 0..next {
        let number = tokio::time::timeout(PATIENCE, shown.recv()).await.unwrap();
        assert_eq!(number, Some(expected));
    }
}
