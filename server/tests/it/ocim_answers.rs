//! Whether what a poll was answered has arrived: a thousand messages for a page that does not know
//! `ack`, over every kind of connection, with connections that break. Nothing is lost, and nothing is
//! told twice to a page that had it.

use std::net::SocketAddr;

use crate::ocim::page::{Jar, Page};
use crate::ocim::{Answer, http, kind, start};
use tidings_server::Running;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MESSAGES: usize = 1_000;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// One more message for the page, whenever it is ready for it.
fn producer(running: &Running, user: String) -> tokio::task::JoinHandle<()> {
    let handle = running.handle();
    tokio::spawn(async move {
        for number in 0..MESSAGES {
            let sent = handle.send(&*user, "text").from("friend");
            sent.id(number.to_string()).await.unwrap();
        }
    })
}

/// What a page shows of an answer.
fn shown(answer: &Answer, seen: &mut Vec<usize>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for packet in answer.json().as_array().into_iter().flatten() {
        if kind(packet) == "MESSAGE/TEXT" {
            seen.push(packet["pid"].as_str().unwrap().parse().unwrap());
        }
    }
}

#[track_caller]
fn exactly_once(seen: &[usize]) {
    let wrong = seen.iter().enumerate().find(|(at, number)| at != *number);
    assert_eq!(
        wrong,
        None,
        "{:?}",
        &seen[wrong.map_or(0, |(at, _)| at.saturating_sub(3))..]
    );
    assert_eq!(seen.len(), MESSAGES);
}

/// A page and its messages on their way.
async fn page(running: &Running) -> Page {
    let page = Page::open(http(running), &Jar::default()).await;
    let visitor = running.handle().online()[0].user.to_string();
    producer(running, visitor);
    page
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Ends a connection as a browser that is killed does: what it has not read is lost.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_new_connection_for_each_poll() {
    let running = start(|_| {}).await;
    let page = page(&running).await;
    let mut seen = Vec::new();
    while seen.len() < MESSAGES {
        let mut stream = connect(page.address).await;
        shown(&page.poll_over(&mut stream).await.unwrap(), &mut seen);
    }
    exactly_once(&seen);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_one_connection_for_all_polls() {
    let running = start(|_| {}).await;
    let page = page(&running).await;
    let mut seen = Vec::new();
    let mut stream = connect(page.address).await;
    while seen.len() < MESSAGES {
        shown(&page.poll_over(&mut stream).await.unwrap(), &mut seen);
    }
    exactly_once(&seen);
    running.stop().await;
}

/// No cookie but the session's, as a page of another site with a token of its own would have it: the
/// connections alone say what arrived.
#[tokio::test(flavor = "multi_thread")]
async fn p4_connections_that_are_reset_before_the_answer_was_read() {
    let running = start(|_| {}).await;
    let page = page(&running).await;
    let (mut seen, mut dice) = (Vec::new(), Dice(1));
    while seen.len() < MESSAGES {
        let alone = Page {
            jar: Jar::default(),
            ..page.clone()
        };
        alone.jar.put(
            "tidings-customer",
            &page.jar.get("tidings-customer").unwrap(),
        );
        let mut stream = connect(page.address).await;
        if dice.roll(3) > 0 {
            let answer = alone.poll_over(&mut stream).await.unwrap();
            shown(&answer, &mut seen);
            continue;
        }
        alone.ask_over(&mut stream).await;
        match dice.roll(3) {
            0 => {}
            // The head, or a part of it, is read; the rest is there and is not.
            1 => drop(stream.read(&mut [0; 100]).await.unwrap()),
            _ => stream.readable().await.unwrap(),
        }
        reset(stream);
    }
    exactly_once(&seen);
    running.stop().await;
}

/// A small reverse proxy: a connection of its own to the server for each request, the whole answer
/// before anything is passed on; and now and then the page's connection breaks just then.
async fn proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut dice = Dice(2);
        loop {
            let (page, _) = listener.accept().await.unwrap();
            tokio::spawn(passed(page, server, dice.roll(4) == 0));
        }
    });
    address
}

async fn passed(mut page: TcpStream, server: SocketAddr, breaks: bool) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if page.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let mut upstream = connect(server).await;
    let head = String::from_utf8(request).unwrap();
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    upstream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await.unwrap();
    match breaks && !answer.is_empty() {
        true => reset(page),
        false => page.write_all(&answer).await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_answers_that_a_proxy_took_and_lost() {
    let running = start(|_| {}).await;
    let mut page = page(&running).await;
    // From the first message on it is known that this browser keeps cookies.
    page.say("p1", "hello").await.is_ok();
    page.address = proxy(http(&running)).await;
    let mut seen = Vec::new();
    let mut lost = 0;
    while seen.len() < MESSAGES {
        let mut stream = connect(page.address).await;
        match page.poll_over(&mut stream).await {
            Some(answer) => shown(&answer, &mut seen),
            None => lost += 1,
        }
    }
    exactly_once(&seen);
    assert!(lost > 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_two_tabs_of_one_browser_see_everything_once_and_are_quiet() {
    let running = start(|_| {}).await;
    let jar = Jar::default();
    let tabs = [
        Page::open(http(&running), &jar).await,
        Page::open(http(&running), &jar).await,
    ];
    let visitor = running.handle().online()[0].user.to_string();
    assert_eq!(running.handle().sessions(&visitor).len(), 1);
    let showing = tabs.clone().map(|tab| {
        tokio::spawn(async move {
            let (mut seen, mut answers) = (Vec::new(), 0);
            while seen.len() < 100 {
                shown(&tab.poll().await, &mut seen);
                answers += 1;
            }
            (seen, answers)
        })
    });
    for number in 0..100 {
        let sent = running.handle().send(&*visitor, "text").from("friend");
        sent.id(number.to_string()).await.unwrap();
    }
    for tab in showing {
        let (seen, answers) = tab.await.unwrap();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(answers <= 100, "{answers} answers with nothing in them");
    }
    // Nothing happens: nobody is answered, whatever else the server does.
    let held = tabs
        .clone()
        .map(|tab| tokio::spawn(async move { tab.poll().await }));
    for number in 0..50 {
        tabs[0]
            .get(&serde_json::json!({"type": "PING", "ts": "POLLING"}))
            .await;
        assert!(held.iter().all(|tab| !tab.is_finished()), "after {number}");
    }
    let sent = running.handle().send(&*visitor, "text").from("friend");
    sent.id("100").await.unwrap();
    for tab in held {
        let mut seen = Vec::new();
        shown(&tab.await.unwrap(), &mut seen);
        assert_eq!(seen, [100]);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_page_of_an_earlier_login_is_told_so_and_then_held() {
    let running = start(|_| {}).await;
    let address = http(&running);
    let old = crate::ocim::Poller::log_in(address, "alice").await;
    let _new = crate::ocim::Poller::log_in(address, "alice").await;
    let told = old.poll().await.json();
    assert_eq!(kind(&told[0]), "RE_LOGIN/CUSTOMER_CLOSE");
    // An old page polls on.
    let held = tokio::spawn({
        let old = old.clone();
        async move { old.poll().await }
    });
    for _ in 0..50 {
        old.ask("GET", &serde_json::json!({"type": "PING", "ts": "POLLING"}))
            .await;
        assert!(!held.is_finished());
    }
    held.abort();
    running.stop().await;
}
