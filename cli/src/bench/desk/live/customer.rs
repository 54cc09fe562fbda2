//! One customer: comes when the plan says, types, waits, is answered, and leaves when his agent has
//! closed. If his connection breaks he comes back with his token and says again what is unanswered.

use std::rc::Rc;
use std::time::Duration;

use tidings_core::wire::ocim::{BodyType, Identity, Packet, PacketType, Transport};
use tokio::time::Instant;

use super::Shared;
use super::net::{Http, Link, auth, packets};

/// He connects so long before he types: what is measured is the desk, not the connection.
const EARLY: Duration = Duration::from_secs(1);
/// Between two attempts to come back.
const AGAIN: Duration = Duration::from_millis(200);

/// How far he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// His agent has closed.
    Served,
    /// He gives up.
    GivesUp,
}

struct Customer {
    shared: Rc<Shared>,
    number: usize,
    token: Option<String>,
    /// A connection of his has broken.
    broken: bool,
}

/// The whole visit.
pub(super) async fn run(shared: Rc<Shared>, number: usize) {
    let Some(start) = shared.start.get() else {
        return;
    };
    let arrives = start + Duration::from_secs_f64(shared.plan.people[number].arrives_s);
    tokio::time::sleep_until(arrives - EARLY).await;
    let polls = shared.plan.people[number].polls;
    let mut customer = Customer {
        shared,
        number,
        token: None,
        broken: false,
    };
    let flow = loop {
        let visit = match polls {
            true => customer.poll(arrives).await,
            false => customer.talk(arrives).await,
        };
        match visit {
            Ok(flow) => break flow,
            Err(error) => {
                customer.shared.lost_link(&error);
                customer.broken = true;
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    let mut ledger = customer.shared.ledger.borrow_mut();
    ledger.gone += 1;
    ledger.events += 1;
    let account = &mut ledger.accounts[number];
    account.served = flow == Flow::Served;
    account.abandoned = flow == Flow::GivesUp;
}

impl Customer {
    /// When his patience ends, if it can.
    fn gives_up(&self) -> Option<Instant> {
        let patience_s = self.shared.plan.people[self.number].patience_s;
        let ledger = self.shared.ledger.borrow();
        let account = &ledger.accounts[self.number];
        let waits = account.told_s.is_none() && patience_s.is_finite();
        let at_s = account.handed_s.filter(|_| waits)? + patience_s;
        Some(self.shared.start.get()? + Duration::from_secs_f64(at_s))
    }

    /// By WebSocket.
    async fn talk(&mut self, arrives: Instant) -> anyhow::Result<Flow> {
        let token = self.token.as_deref();
        let opened = Link::open(&self.shared.target, Identity::Customer, token).await;
        let (mut link, token) = opened?;
        self.token = Some(token);
        tokio::time::sleep_until(arrives).await;
        for packet in self.due() {
            link.queue(&packet);
        }
        link.flush().await?;
        loop {
            let flow = match self.gives_up() {
                Some(at) => match tokio::time::timeout_at(at, link.next()).await {
                    Ok(packet) => self.on(&packet?),
                    Err(_) => Flow::GivesUp,
                },
                None => self.on(&link.next().await?),
            };
            if flow != Flow::On {
                link.queue(&Packet::new(PacketType::Close));
                link.flush().await.ok(); // he has gone, whether they know it or not
                return Ok(flow);
            }
            for packet in self.due() {
                link.queue(&packet);
            }
        }
    }

    /// By polling: whatever he does, he does between two polls.
    async fn poll(&mut self, arrives: Instant) -> anyhow::Result<Flow> {
        let mut http = Http::connect(&self.shared.target).await?;
        let login = auth(Identity::Customer, Transport::Polling, "");
        let answer = http.post("/poll.io", self.token.as_deref(), &login).await?;
        let token = answer["token"].as_str().unwrap_or_default().to_owned();
        self.token = Some(token.clone());
        tokio::time::sleep_until(arrives).await;
        let by_polling = |packet: Packet| Packet {
            ts: Some(Transport::Polling),
            ..packet
        };
        loop {
            for packet in self.due() {
                let packet = by_polling(packet);
                http.post("/poll.io", Some(&token), &packet).await?;
            }
            let poll = by_polling(Packet::new(PacketType::Poll));
            let polled = http.post("/poll.io", Some(&token), &poll);
            let flow = match self.gives_up() {
                Some(at) => match tokio::time::timeout_at(at, polled).await {
                    Ok(answer) => self.all(&answer?)?,
                    Err(_) => {
                        // The poll is still held: he says so on another connection.
                        http = Http::connect(&self.shared.target).await?;
                        Flow::GivesUp
                    }
                },
                None => self.all(&polled.await?)?,
            };
            if flow != Flow::On {
                let close = by_polling(Packet::new(PacketType::Close));
                http.post("/poll.io", Some(&token), &close).await.ok();
                return Ok(flow);
            }
        }
    }

    fn all(&self, answer: &serde_json::Value) -> anyhow::Result<Flow> {
        let flows = packets(answer)?;
        let flows = flows.iter().map(|packet| self.on(packet));
        Ok(flows.fold(Flow::On, |before, flow| match before {
            Flow::On => flow,
            over => over,
        }))
    }

    /// What he has to say now: new texts, and after a break those that nobody has answered.
    fn due(&mut self) -> Vec<Packet> {
        let person = &self.shared.plan.people[self.number];
        let now_s = self.shared.now_s();
        let mut ledger = self.shared.ledger.borrow_mut();
        let account = &mut ledger.accounts[self.number];
        let ready = match account.answered > 0 || person.hurried {
            true => person.texts,
            false => 1,
        };
        let from = match std::mem::take(&mut self.broken) {
            true => account.answered,
            false => account.sent,
        };
        account.sent = ready;
        if account.handed_s.is_none() {
            account.handed_s = Some(now_s);
            ledger.handed += 1;
        }
        let text = |number| {
            let packet = Packet::new(PacketType::Message).pid(format!("c{number}"));
            let text = format!("{:08x}/{}/{number}", self.shared.run, self.number);
            packet.body(BodyType::Text, text)
        };
        (from + 1..=ready).map(text).collect()
    }

    fn on(&self, packet: &Packet) -> Flow {
        let mut ledger = self.shared.ledger.borrow_mut();
        match (packet.kind, packet.body_kind()) {
            (PacketType::BuildChat, Some(BodyType::Success)) => {
                let account = &mut ledger.accounts[self.number];
                if account.told_s.is_none() {
                    account.told_s = Some(self.shared.now_s());
                    ledger.told += 1;
                    ledger.events += 1;
                }
            }
            (PacketType::Message, Some(BodyType::Text)) => {
                let known = ledger.accounts[self.number].answered;
                let number = packet.content().parse().unwrap_or(0);
                if ledger.next(known, number, self.shared.survive, "answer") {
                    ledger.accounts[self.number].answered = number;
                }
            }
            (PacketType::CloseChat, Some(BodyType::WaiterClose)) => return Flow::Served,
            (PacketType::CloseChat, _) | (PacketType::ReLogin, _) => {
                let (customer, kind) = (self.number, packet.kind.name());
                ledger.error(format!("customer {customer} got {kind}"));
                return Flow::GivesUp;
            }
            (PacketType::Chatting, _) => {
                drop(ledger);
                let reason = packet.content();
                self.shared
                    .refused(format!("a customer was refused: {reason}"));
            }
            _ => {}
        }
        Flow::On
    }
}
