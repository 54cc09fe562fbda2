use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::bench::args::{Dialing, Endpoint};
use crate::bench::stage::{Crew, Part};
use tidings_core::wire::mobileimsdk::{self, login, tcp};

/// What the fake server does with message number `n` of its run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sin {
    None,
    /// Acknowledges the third and does not deliver it.
    Lose,
    /// Delivers the third twice.
    Double,
    /// Delivers the third after the fourth.
    Swap,
    /// Delivers the third with another body.
    Change,
    /// Neither acknowledges nor delivers the third.
    Swallow,
    /// Closes the receiver's connection instead of delivering the third.
    Cut,
}

/// Streams by user, and a message that is held back.
#[derive(Default)]
struct State {
    users: Vec<(String, TcpStream)>,
    messages: usize,
    held: Option<Vec<u8>>,
}

fn put(stream: &mut TcpStream, frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    tcp::put(&mut bytes, |out| mobileimsdk::encode(frame, out));
    let _ = stream.write_all(&bytes);
}

fn answer(kind: i32, data: &str, from: &str, to: &str) -> Frame<'static> {
    Frame {
        kind,
        data: Some(data.to_owned().into()),
        from: Some(from.to_owned().into()),
        to: Some(to.to_owned().into()),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    }
}

impl State {
    fn stream(&self, user: &str) -> TcpStream {
        let (_, stream) = self.users.iter().find(|(u, _)| u == user).expect("online");
        stream.try_clone().expect("a clone")
    }

    fn message(&mut self, frame: &Frame<'_>, sin: Sin) {
        let third = self.messages == 2;
        self.messages += 1;
        let (from, to) = (frame.from.as_deref().unwrap(), frame.to.as_deref().unwrap());
        let mut receiver = self.stream(to);
        let mut frame = frame.clone();
        let sin = if third { sin } else { Sin::None };
        if sin != Sin::Swallow {
            let id = frame.fp.clone().expect("an id");
            put(
                &mut self.stream(from),
                &answer(code::RECEIVED, &id, to, from),
            );
        }
        match sin {
            Sin::None => put(&mut receiver, &frame),
            Sin::Lose | Sin::Swallow => {}
            Sin::Double => (0..2).for_each(|_| put(&mut receiver, &frame)),
            Sin::Change => {
                frame.data = Some("something else".into());
                put(&mut receiver, &frame);
            }
            Sin::Cut => receiver.shutdown(std::net::Shutdown::Both).expect("cut"),
            Sin::Swap => {
                let mut bytes = Vec::new();
                tcp::put(&mut bytes, |out| mobileimsdk::encode(&frame, out));
                self.held = Some(bytes);
                return;
            }
        }
        if let Some(held) = self.held.take() {
            let _ = receiver.write_all(&held);
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, sin: Sin) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        while let Ok(tcp::Step::Frame { body, used }) = tcp::next(&bytes, 1 << 16) {
            let frame = mobileimsdk::decode(body).expect("a frame");
            let from = frame.from.as_deref().unwrap_or_default();
            let mut state = state.lock().expect("not poisoned");
            match frame.kind {
                code::LOGIN => {
                    let clone = stream.try_clone().expect("a clone");
                    state.users.push((from.to_owned(), clone));
                    let data = login::encode_login_answer(code::OK, 7, false);
                    put(&mut stream, &answer(code::LOGIN_ANSWER, &data, "0", from));
                }
                code::COMMON_DATA => state.message(&frame, sin),
                _ => {}
            }
            drop(state);
            bytes.drain(..used);
        }
    }
}

fn fake_server(sin: Sin) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let state = Arc::new(Mutex::new(State::default()));
        for stream in listener.incoming().map_while(Result::ok) {
            let state = state.clone();
            std::thread::spawn(move || serve(stream, &state, sin));
        }
    });
    format!("tcp://{address}").parse().expect("a URL")
}

/// Twenty messages of one pair through a server with this sin.
fn relay(sin: Sin) -> (Seen, u64) {
    let stage = Stage::new();
    let plan = Plan {
        pace: Pace::Window(4),
        body: 64,
        quota: 20,
        resends: false,
        grace_ns: 300_000_000,
    };
    let link = Link {
        sender: 0,
        receiver: 1,
    };
    let users = ["ann", "bob"].map(str::to_owned);
    let pairs = Pairs::new(stage.clone(), &users, &[link], plan);
    let dialing = Dialing {
        endpoint: fake_server(sin),
        extensions: false,
        token: "t".to_owned(),
        jwt_key: None,
        heartbeat_ns: u64::MAX,
        number_from: 0,
    };
    let crew = Crew::start(&dialing, stage.origin, vec![pairs], |worker| {
        users
            .iter()
            .for_each(|user| worker.net.log_in(user.clone()));
    })
    .expect("threads");
    crew.wait_until(|| stage.online.load(Relaxed) == 2);
    stage.measure();
    stage.enter(Part::Run);
    let mut looks = 0;
    // Enough for all that comes: what does not come is what the test is about.
    crew.wait_until(|| {
        looks += 1;
        stage.totals()[1] >= 19 && looks > 20 || looks > 400
    });
    stage.enter(Part::Drain);
    let (pairs, net) = crew.join().expect("no error").pop().expect("one worker");
    (pairs.into_seen(), net.faults.links_lost)
}

#[test]
fn an_honest_server_passes() {
    let (seen, links_lost) = relay(Sin::None);
    assert_eq!((seen.sent, seen.acked, seen.received), (20, 20, 20));
    let sins = [
        seen.lost,
        seen.duplicated,
        seen.out_of_order,
        seen.foreign,
        links_lost,
    ];
    assert_eq!(sins, [0; 5]);
    assert!(seen.ack.quantile(0.5) > 0 && seen.delivery.max() > 0);
}

#[test]
fn a_loss_is_noticed() {
    let (seen, _) = relay(Sin::Lose);
    assert_eq!((seen.acked, seen.received, seen.lost), (20, 19, 1));
}

#[test]
fn a_double_is_noticed() {
    let (seen, _) = relay(Sin::Double);
    assert_eq!(
        (seen.received, seen.duplicated, seen.out_of_order),
        (20, 1, 0)
    );
}

#[test]
fn disorder_is_noticed() {
    let (seen, _) = relay(Sin::Swap);
    assert_eq!(
        (seen.received, seen.duplicated, seen.out_of_order),
        (20, 0, 1)
    );
}

#[test]
fn another_body_is_noticed() {
    let (seen, _) = relay(Sin::Change);
    assert_eq!((seen.foreign, seen.received, seen.lost), (1, 19, 1));
}

#[test]
fn a_message_that_vanishes_is_unacknowledged_not_lost() {
    let (seen, _) = relay(Sin::Swallow);
    assert_eq!((seen.sent - seen.acked, seen.lost), (1, 0));
}

#[test]
fn a_cut_connection_is_noticed() {
    let (_, links_lost) = relay(Sin::Cut);
    assert_eq!(links_lost, 1);
}
