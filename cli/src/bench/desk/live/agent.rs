//! One agent: answers each text, closes when the plan says. If his connection breaks he comes back,
//! is told whom he serves, and says again what may not have arrived.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use tidings_core::wire::ocim::sasl;
use tidings_core::wire::ocim::{BodyType, Identity, Packet, PacketType, Transport};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Shared;
use super::net::{Http, Link, auth};
use super::prepare::{PASSWORD, account};

/// Between two attempts to come back.
const AGAIN: Duration = Duration::from_millis(200);
/// The agents' port has no pings of its own: somebody who is silent is gone.
const PING: Duration = Duration::from_secs(15);

/// One customer whom he serves.
#[derive(Debug, Clone)]
struct Chat {
    given_s: f64,
    /// Known with the first text.
    customer: Option<usize>,
    /// The server says that it is his now.
    open: bool,
}

struct Agent {
    shared: Rc<Shared>,
    number: usize,
    token: Option<String>,
    /// A connection of his has broken.
    broken: bool,
    chats: BTreeMap<u64, Chat>,
}

/// From his login to the end of the run. `logins` bounds how many log in at once.
pub(super) async fn run(shared: Rc<Shared>, number: usize, logins: Rc<Semaphore>) {
    let mut agent = Agent {
        shared: shared.clone(),
        number,
        token: None,
        broken: false,
        chats: BTreeMap::new(),
    };
    let over = shared.over.notified();
    let work = async {
        loop {
            if let Err(error) = agent.work(&logins).await {
                agent.shared.lost_link(&error);
                agent.forget();
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = over => {}
        () = work => {}
    }
}

impl Agent {
    /// His connection is gone: the server will tell him what is his.
    fn forget(&mut self) {
        let mut ledger = self.shared.ledger.borrow_mut();
        for chat in self.chats.values_mut() {
            chat.open = false;
            if let Some(customer) = chat.customer {
                ledger.release(customer, self.number);
            }
        }
        self.broken = true;
    }

    async fn connect(&mut self, logins: &Semaphore) -> anyhow::Result<Link> {
        let user = account(self.number);
        let _turn = logins.acquire().await?;
        if let Some(address) = self.shared.agents_address.filter(|_| self.number % 2 == 1) {
            return Link::desktop(address, &user, PASSWORD).await;
        }
        let target = &self.shared.target;
        if self.token.is_none() {
            let login = sasl::encode(&format!("{user} {PASSWORD} 1"));
            let login = auth(Identity::Waiter, Transport::WebSocket, &login);
            let answer = Http::connect(target).await?;
            let answer = { answer }.post("/ws.io", None, &login).await?;
            self.token = answer["token"].as_str().map(str::to_owned);
        }
        let token = self.token.as_deref();
        Ok(Link::open(target, Identity::Waiter, token).await?.0)
    }

    /// One connection.
    async fn work(&mut self, logins: &Semaphore) -> anyhow::Result<()> {
        let mut link = self.connect(logins).await?;
        link.queue(&Packet::new(PacketType::Bind));
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        loop {
            for packet in self.finished() {
                link.queue(&packet);
            }
            let wake = self.wakes();
            tokio::select! {
                packet = link.next() => {
                    for answer in self.on(&packet?)? {
                        link.queue(&answer);
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
                _ = ping.tick() => link.queue(&Packet::new(PacketType::Ping)),
            }
        }
    }

    /// When he is done with a chat, if he can tell: once everything that the customer says is there.
    fn done_s(&self, chat: &Chat) -> Option<f64> {
        let customer = chat.customer.filter(|_| chat.open)?;
        let person = &self.shared.plan.people[customer];
        let arrived = self.shared.ledger.borrow().accounts[customer].arrived;
        (arrived == person.texts).then_some(chat.given_s + person.handle_s)
    }

    /// When there is something to do by himself.
    fn wakes(&self) -> Instant {
        let next = self.chats.values().filter_map(|chat| self.done_s(chat));
        let next_s = next.fold(f64::INFINITY, f64::min);
        let start = self.shared.start.get();
        let next = start.filter(|_| next_s.is_finite());
        next.map_or_else(
            || Instant::now() + PING,
            |start| start + Duration::from_secs_f64(next_s),
        )
    }

    /// Closes what is done.
    fn finished(&mut self) -> Vec<Packet> {
        let now_s = self.shared.now_s();
        let done = self.chats.iter();
        let done = done.filter(|(_, chat)| self.done_s(chat).is_some_and(|at| at <= now_s));
        let done: Vec<u64> = done.map(|(cid, _)| *cid).collect();
        let mut packets = Vec::new();
        for cid in done {
            self.part(cid);
            packets.push(Packet::new(PacketType::CloseChat).cid(cid));
        }
        packets
    }

    /// The chat is not his any more.
    fn part(&mut self, cid: u64) {
        if let Some(chat) = self.chats.get_mut(&cid) {
            chat.open = false;
            if let Some(customer) = chat.customer {
                self.shared
                    .ledger
                    .borrow_mut()
                    .release(customer, self.number);
            }
        }
    }

    fn on(&mut self, packet: &Packet) -> anyhow::Result<Vec<Packet>> {
        let cid = packet.cid.as_deref().and_then(|cid| cid.parse().ok());
        let by_customer = packet.from_idy() == Some(Identity::Customer);
        match (packet.kind, packet.body_kind(), cid) {
            (PacketType::Bind, body, _) => {
                let said = packet.content();
                ensure!(body == Some(BodyType::Success), "BIND was refused: {said}");
                let mut ledger = self.shared.ledger.borrow_mut();
                ledger.events += 1;
                ledger.bound += usize::from(!self.broken);
            }
            (PacketType::BuildChat, Some(BodyType::Success), Some(cid)) => {
                return Ok(self.given(cid));
            }
            (PacketType::Message, Some(BodyType::Text), Some(cid)) if by_customer => {
                return Ok(self.said(cid, packet.content()));
            }
            (PacketType::CloseChat, Some(BodyType::Fail), _) => {
                let reason = packet.content();
                self.shared
                    .refused(format!("a close was refused: {reason}"));
            }
            // Taken away, or closed by whoever: also the echo of his own close.
            (PacketType::CloseChat, _, Some(cid)) => self.part(cid),
            (PacketType::Chatting, ..) => {
                let reason = packet.content();
                self.shared
                    .refused(format!("an agent was refused: {reason}"));
            }
            (PacketType::ReLogin, ..) => anyhow::bail!("another session took its place"),
            _ => {}
        }
        Ok(Vec::new())
    }

    /// A customer is his. If he was before the connection broke, what was said may be lost.
    fn given(&mut self, cid: u64) -> Vec<Packet> {
        if self.shared.start.get().is_none() {
            return vec![Packet::new(PacketType::CloseChat).cid(cid)]; // of an earlier run
        }
        let now_s = self.shared.now_s();
        let mut ledger = self.shared.ledger.borrow_mut();
        ledger.events += 1;
        let chat = self.chats.entry(cid).or_insert(Chat {
            given_s: now_s,
            customer: None,
            open: false,
        });
        if std::mem::replace(&mut chat.open, true) {
            ledger.error(format!("chat {cid} was given twice"));
        }
        let mut again = Vec::new();
        if let Some(customer) = chat.customer {
            ledger.claim(customer, self.number, chat.given_s);
            let arrived = ledger.accounts[customer].arrived;
            again = (1..=arrived).map(|number| answer(cid, number)).collect();
        }
        let serves = self.chats.values().filter(|chat| chat.open).count();
        if serves > self.shared.plan.capacity {
            ledger.over_capacity += 1;
            let agent = self.number;
            ledger.fault(format!("agent {agent} was given {serves} customers"));
        }
        again
    }

    fn read(&self, text: &str) -> Option<(usize, u32)> {
        let (run, text) = text.split_once('/')?;
        let (customer, number) = text.split_once('/')?;
        let ours = u32::from_str_radix(run, 16) == Ok(self.shared.run);
        let customers = self.shared.plan.people.len();
        let customer = customer.parse().ok();
        let customer = customer.filter(|known| ours && *known < customers);
        Some((customer?, number.parse().ok()?))
    }

    /// A customer's text: `RUN/CUSTOMER/NUMBER`.
    fn said(&mut self, cid: u64, text: &str) -> Vec<Packet> {
        let Some((customer, number)) = self.read(text) else {
            if self.chats.get(&cid).is_some_and(|chat| chat.open) {
                self.part(cid);
                return vec![Packet::new(PacketType::CloseChat).cid(cid)]; // of an earlier run
            }
            return Vec::new();
        };
        let mut ledger = self.shared.ledger.borrow_mut();
        let Some(chat) = self.chats.get_mut(&cid) else {
            ledger.error(format!("text {text} came before its chat"));
            return Vec::new();
        };
        if chat.customer.replace(customer).is_none() {
            ledger.claim(customer, self.number, chat.given_s);
        }
        // After a break he may have closed before what he had read comes again.
        let open = chat.open;
        let known = ledger.accounts[customer].arrived;
        if ledger.next(known, number, self.shared.survive, "text") {
            ledger.accounts[customer].arrived = number;
        }
        match open {
            true => vec![answer(cid, number)],
            false => Vec::new(),
        }
    }
}

/// The same to the same text: said again it is the same message.
fn answer(cid: u64, number: u32) -> Packet {
    let packet = Packet::new(PacketType::Message).cid(cid);
    let packet = packet.pid(format!("{cid}-{number}"));
    packet.body(BodyType::Text, number.to_string())
}
