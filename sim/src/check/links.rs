//! What may be sent to one link.

use std::collections::{BTreeMap, BTreeSet};

use tidings_core::ids::Name;
use tidings_core::limits;
use tidings_core::message::{Message, MessageRef};
use tidings_core::session::Transport;
use tidings_core::wire::code;
use tidings_core::wire::mobileimsdk::Frame;

use crate::plan::ClientPlan;

/// Around each datagram over IPv4.
const HEADER_BYTES: usize = 20 + 8;

/// Whether so many bytes may be answered by so many, to an address that has proved nothing.
pub(crate) fn paid(asked: usize, answered: usize) -> bool {
    answered + HEADER_BYTES <= 3 * (asked + HEADER_BYTES)
}

/// One link, from its opening to its end.
#[derive(Debug)]
pub(crate) struct LinkModel {
    conn: usize,
    transport: Transport,
    login: Option<(ClientPlan, String)>,
    /// The last number sent for the first time, by conversation, in this login.
    sent: BTreeMap<u64, u64>,
    in_flight: Vec<MessageRef>,
    unnumbered: BTreeSet<String>,
    proven: bool,
    /// Bytes that came from its client, and bytes that were sent to it, headers counted, until the
    /// address is proven.
    heard_bytes: usize,
    sent_bytes: usize,
}

impl LinkModel {
    pub(crate) fn new(conn: usize, transport: Transport) -> LinkModel {
        LinkModel {
            conn,
            transport,
            login: None,
            sent: BTreeMap::new(),
            in_flight: Vec::new(),
            unnumbered: BTreeSet::new(),
            proven: transport != Transport::Udp,
            heard_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// User, device and class.
    pub(crate) fn identity(&self) -> Option<(&str, &str, &str)> {
        let (plan, device) = self.login.as_ref()?;
        let class = plan.ours.as_ref().map_or("default", |ours| &ours.class);
        Some((&plan.user, device, class))
    }

    pub(crate) fn log_in(&mut self, plan: &ClientPlan, device: &str) -> Result<(), String> {
        if self.login.is_some() {
            return Err(format!(
                "conn {} logs in twice without logging out",
                self.conn
            ));
        }
        self.login = Some((plan.clone(), device.to_owned()));
        Ok(())
    }

    pub(crate) fn log_out(&mut self) -> Result<(), String> {
        self.sent.clear();
        self.in_flight.clear();
        self.unnumbered.clear();
        match self.login.take() {
            Some(_) => Ok(()),
            None => Err(format!("conn {} logs out without a login", self.conn)),
        }
    }

    /// A frame from its client.
    pub(crate) fn hears(&mut self, frame: &Frame<'_>, bytes: usize) {
        self.heard_bytes += bytes + HEADER_BYTES;
        if frame.kind == code::RECEIVED {
            let id = frame.data.as_deref().unwrap_or("");
            let to = frame.to.as_deref().unwrap_or("");
            let exact = |m: &MessageRef| *m.id == *id && *m.from == *to;
            let at = self.in_flight.iter().position(exact);
            let at = at.or_else(|| self.in_flight.iter().position(|m| *m.id == *id));
            if let Some(at) = at {
                self.in_flight.remove(at);
                self.proven = true;
            }
        }
    }

    pub(crate) fn give_up(&mut self, message: &Message, user: &str) {
        if self.identity().is_some_and(|(who, _, _)| who == user) {
            let same = |m: &MessageRef| m.position == message.position;
            self.in_flight.retain(|m| !same(m));
        }
    }

    pub(crate) fn deliver(
        &mut self,
        message: &MessageRef,
        extended: bool,
        again: bool,
        (udp_window, late): (usize, impl Fn(&Name) -> bool),
    ) -> Result<(), String> {
        let Some((plan, _)) = &self.login else {
            return Err(format!("conn {} gets a message without a login", self.conn));
        };
        let (user, id) = (&plan.user, &message.id);
        let own = plan.ours.as_ref().is_some_and(|ours| ours.own);
        if extended != plan.ours.is_some() {
            return Err(format!("{user}: extended is {extended}"));
        }
        let is_group = message.to.starts_with('#');
        let foreign = message.to != *user && message.from != *user && !is_group;
        let undeclared = message.from == *user && message.to != *user && !own && message.seq > 0;
        if foreign || undeclared {
            return Err(format!("{user} gets what is not for this device: {id}"));
        }
        if message.seq == 0 {
            return match id.starts_with('u')
                || self.unnumbered.insert(format!("{}/{id}", message.from))
            {
                true => Ok(()),
                false => Err(format!("{user} gets {id} twice, without QoS")),
            };
        }
        if again {
            return Ok(());
        }
        let late = late(user);
        let last = self.sent.entry(message.conversation.0).or_default();
        if message.seq <= *last && !late {
            let (seq, conn) = (message.seq, self.conn);
            return Err(format!(
                "in order: {user} on conn {conn} gets {seq} ({id}) after {last}"
            ));
        }
        *last = message.seq.max(*last);
        self.in_flight.push(message.clone());
        self.within_window(udp_window)
    }

    fn within_window(&self, udp_window: usize) -> Result<(), String> {
        let count = self.in_flight.len();
        let mut conversations: BTreeMap<u64, usize> = BTreeMap::new();
        for message in &self.in_flight {
            *conversations.entry(message.conversation.0).or_default() += 1;
        }
        let most = conversations.values().max().copied().unwrap_or(0);
        let too_many = count > limits::WINDOW_MESSAGES_MAX
            || (!self.proven && count > 1)
            || (self.transport == Transport::Udp && most > udp_window);
        if too_many {
            return Err(format!("window: {count} in flight on conn {}", self.conn));
        }
        Ok(())
    }

    pub(crate) fn sends(&mut self, bytes: usize) -> Result<(), String> {
        if self.proven {
            return Ok(());
        }
        self.sent_bytes += bytes + HEADER_BYTES;
        if self.sent_bytes > 3 * self.heard_bytes {
            let (sent, heard) = (self.sent_bytes, self.heard_bytes);
            return Err(format!(
                "an unproven address got {sent} bytes for {heard}: conn {}",
                self.conn
            ));
        }
        Ok(())
    }

    pub(crate) fn frame_length(&self, bytes: usize) -> Result<(), String> {
        let Some((plan, _)) = &self.login else {
            return Ok(());
        };
        let max = frame_bytes_max(plan);
        if bytes > max {
            return Err(format!("a frame of {bytes} bytes to conn {}", self.conn));
        }
        Ok(())
    }
}

/// The longest frame that a client reads.
pub(crate) fn frame_bytes_max(plan: &ClientPlan) -> usize {
    match (plan.transport, plan.ours.is_some()) {
        (Transport::Udp, false) => limits::DATAGRAM_PUSH_BYTES_MAX,
        (Transport::Tcp, false) | (Transport::Udp, true) => limits::FRAME_BYTES_MAX,
        _ => limits::WEBSOCKET_MESSAGE_BYTES_MAX,
    }
}
