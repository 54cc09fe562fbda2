//! What a customer's link brings, as packets.

use tidings_core::message::Message;
use tidings_core::wire::code;
use tidings_core::wire::ocim::{BodyType, BuildChat, Identity, Packet, PacketType, Party};

use super::Ocim;
use crate::desk::Standing;
use crate::desk::notice::{ClosedBy, CustomerEvent, Notice, for_customer};

/// What must be known of a session to tell the first of something from the next, and how things
/// stand from what was told before.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The episode in whose queue he was told his place.
    waiting: Option<u64>,
    /// The episode that is open.
    episode: Option<u64>,
    /// Notices up to this one lie behind how things stood when the session began.
    behind: u64,
    /// What tells a page that has just been opened how things stand.
    standing: Vec<Packet>,
}

impl Told {
    /// A session begins in mid-chat: with this packet, before everything else.
    pub(super) fn begins(&mut self, episode: u64, behind: u64, packet: &Packet) {
        self.episode = Some(episode);
        self.behind = behind;
        self.standing = vec![packet.clone()];
    }

    /// How things stand, for a page that has just been opened.
    pub(super) fn context(&self) -> Vec<Packet> {
        self.standing.clone()
    }

    /// The customer is told this.
    fn stands(&mut self, packet: &Packet) {
        let of = |kind| Packet {
            kind,
            ..packet.clone()
        };
        match (packet.kind, packet.body_kind()) {
            (PacketType::BuildChat, Some(BodyType::BuildingChat | BodyType::Success)) => {
                self.standing = vec![packet.clone()];
            }
            (PacketType::Transfer, Some(BodyType::Success)) => {
                self.standing = vec![of(PacketType::BuildChat)];
            }
            (_, Some(BodyType::Waiting | BodyType::WaitingNo)) => {
                let is_place = |p: &Packet| p.body_kind() == Some(BodyType::Waiting);
                self.standing.retain(|packet| !is_place(packet));
                let place = of(PacketType::BuildChat).from_sys();
                let place = place.body(BodyType::Waiting, packet.content());
                self.standing.push(place);
            }
            (PacketType::CloseChat, _) | (_, Some(BodyType::TimeoutClose)) => {
                self.standing.clear();
            }
            _ => {}
        }
    }
}

/// How a chat stands, as its customer is told: who serves him, or that somebody is being found.
pub(super) fn standing(ocim: &Ocim, customer: &str, chat: &Standing) -> Packet {
    let packet = match &chat.agent {
        Some((account, title)) => {
            let content = build_chat(ocim, customer, &chat.team, "").to_json();
            let packet = Packet::new(PacketType::BuildChat).body(BodyType::Success, content);
            let from = Some(Party::of(account, title, Identity::Sys));
            let packet = Packet { from, ..packet };
            packet.pid(format!("901-{}", chat.episode))
        }
        None => building(),
    };
    let to = Some(Party::of(customer, "", Identity::Customer));
    let packet = Packet { to, ..packet };
    packet.cid(chat.episode).at(chat.since_ms)
}

fn building() -> Packet {
    Packet::new(PacketType::BuildChat).body(BodyType::BuildingChat, "正在分配客服")
}

/// The packet that a message means to a customer; `None` if it means nothing to him.
pub(super) fn packet(
    ocim: &Ocim,
    customer: &str,
    told: &mut Told,
    message: &Message,
) -> Option<Packet> {
    let packet = match message.from.starts_with('@') {
        true => from_team(ocim, customer, told, message)?,
        false => {
            let from = Party::of(&message.from, "", Identity::Null);
            Packet {
                from: Some(from),
                ..text(message.typeu, &message.body)
            }
            .pid(&*message.id)
        }
    };
    let to = Some(Party::of(customer, "", Identity::Customer));
    let packet = Packet { to, ..packet };
    // What is not kept has no time of custody.
    let time_ms = match message.time_ms {
        unknown if unknown < 0 => ocim.wall_ms(),
        known => known,
    };
    let packet = packet.at(time_ms);
    told.stands(&packet);
    Some(packet)
}

/// A place in a queue once more, in the spelling that the published pages look for.
pub(super) fn misspelt(packet: &Packet) -> Option<Packet> {
    let kind = match packet.body_kind()? {
        BodyType::Waiting => BodyType::Waitting,
        BodyType::WaitingNo => BodyType::WaittingNo,
        _ => return None,
    };
    Some(packet.clone().body(kind, packet.content()))
}

/// A text, a picture or a card.
fn text(typeu: i32, text: &str) -> Packet {
    Packet::new(PacketType::Message).body(body_kind(typeu), text)
}

/// What a kind of message is called in a packet.
pub(super) fn body_kind(typeu: i32) -> BodyType {
    match typeu {
        code::DESK_IMAGE => BodyType::Image,
        code::DESK_ORDER => BodyType::Order,
        code::DESK_GOODS => BodyType::Goods,
        code::DESK_LOGISTICS => BodyType::Logistics,
        code::DESK_ROBOT => BodyType::Robot,
        code::DESK_NOTE => BodyType::Tip,
        _ => BodyType::Text,
    }
}

fn from_team(ocim: &Ocim, customer: &str, told: &mut Told, message: &Message) -> Option<Packet> {
    let event = match for_customer(message) {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(%error, "a desk's notice cannot be read");
            return None;
        }
    };
    let greeting = |kind, prefix: &str, text: String| {
        let packet = Packet::new(PacketType::BuildChat).from_sys();
        packet.body(kind, text).pid(made(prefix, message))
    };
    let packet = match event {
        CustomerEvent::Notice(notice) => return of_notice(ocim, customer, told, message, notice),
        CustomerEvent::TeamGreeting(text) => greeting(BodyType::TeamGreet, "909", text),
        CustomerEvent::AgentGreeting(text) => greeting(BodyType::WaiterGreet, "902", text),
        CustomerEvent::Text {
            agent,
            id,
            typeu,
            text: said,
        } => {
            let known = ocim.desks.agent_of(&message.from, agent);
            let (account, title) = known.unwrap_or_default();
            let from = Some(Party::of(&account, &title, Identity::Waiter));
            let packet = text(typeu, &said).pid(id);
            Packet { from, ..packet }
        }
        CustomerEvent::Gone => return None,
    };
    Some(in_chat(packet, told.episode))
}

fn in_chat(packet: Packet, episode: Option<u64>) -> Packet {
    match episode {
        Some(episode) => packet.cid(episode),
        None => packet,
    }
}

/// An id as the original's servers make them, the same each time that the message comes.
fn made(prefix: &str, message: &Message) -> String {
    format!("{prefix}-{}", message.id)
}

fn of_notice(
    ocim: &Ocim,
    customer: &str,
    told: &mut Told,
    message: &Message,
    notice: Notice,
) -> Option<Packet> {
    let plain = |kind, body, content: String| Packet::new(kind).from_sys().body(body, content);
    if let Some(episode) = overtaken(told, message, &notice) {
        told.episode = Some(episode);
        return None;
    }
    let (episode, packet) = match notice {
        Notice::Finding { episode } => (episode, building()),
        Notice::Connected {
            episode,
            agent,
            agent_name,
            team,
            transferred,
            ..
        } => {
            told.waiting = None;
            let content = build_chat(ocim, customer, &team, "").to_json();
            let (kind, prefix) = match transferred {
                false => (PacketType::BuildChat, "901"),
                true => (PacketType::Transfer, "911"),
            };
            let packet = Packet::new(kind).body(BodyType::Success, content);
            let from = Some(Party::of(&agent, &agent_name, Identity::Sys));
            let packet = Packet { from, ..packet };
            (episode, packet.pid(made(prefix, message)))
        }
        Notice::Waiting { episode } => (episode, tip("客服忙，已为您排队")),
        Notice::AgentAway {
            episode,
            agent_name,
            ..
        } => (episode, tip(&format!("客服{agent_name}暂时离线，请稍候"))),
        Notice::AgentBack {
            episode,
            agent_name,
            ..
        } => (episode, tip(&format!("客服{agent_name}已恢复在线"))),
        Notice::Position {
            episode, position, ..
        } => (episode, place(told, episode, position)),
        Notice::IdleWarning { episode, text } => (
            episode,
            plain(PacketType::Message, BodyType::TimeoutTip, text),
        ),
        Notice::Closed { episode, by, text } => {
            told.waiting = None;
            told.episode = None;
            return Some(closed(by, text).cid(episode));
        }
        Notice::AskRating { episode } => {
            let packet = Packet::new(PacketType::Evaluate).from_sys();
            return Some(packet.cid(episode));
        }
        Notice::Recalled { episode, id } => {
            let packet = Packet::new(PacketType::Revocation).from_sys();
            return Some(packet.pid(id).cid(episode));
        }
        Notice::OfflineForm { text } => {
            return Some(plain(PacketType::NonWorkingTime, BodyType::Text, text));
        }
    };
    told.episode = Some(episode);
    Some(packet.cid(episode))
}

/// A line for the customer that is no message.
fn tip(text: &str) -> Packet {
    let packet = Packet::new(PacketType::Message).from_sys();
    packet.body(BodyType::Tip, text)
}

/// The episode of a notice that says how things stood before the session was told how they stand.
fn overtaken(told: &Told, message: &Message, notice: &Notice) -> Option<u64> {
    let episode = match notice {
        Notice::Finding { episode }
        | Notice::Connected { episode, .. }
        | Notice::Waiting { episode }
        | Notice::IdleWarning { episode, .. }
        | Notice::Closed { episode, .. } => *episode,
        _ => return None,
    };
    (0 < message.seq && message.seq <= told.behind).then_some(episode)
}

/// His place when he joins the queue, and when it changes.
fn place(told: &mut Told, episode: u64, position: u64) -> Packet {
    let joins = told.waiting.replace(episode) != Some(episode);
    let content = position.to_string();
    match joins {
        true => {
            let packet = Packet::new(PacketType::BuildChat).from_sys();
            packet.body(BodyType::Waiting, content)
        }
        false => {
            let packet = Packet::new(PacketType::Broadcast).body(BodyType::WaitingNo, content);
            let from = Some(Party::of("sys", "", Identity::Waiter));
            Packet { from, ..packet }
        }
    }
}

/// The end of an episode, to either side.
pub(super) fn closed(by: ClosedBy, text: String) -> Packet {
    let (kind, body) = match by {
        ClosedBy::Agent => (PacketType::CloseChat, BodyType::WaiterClose),
        ClosedBy::Idle => (PacketType::Message, BodyType::TimeoutClose),
        ClosedBy::Customer | ClosedBy::LeftMessage => {
            (PacketType::CloseChat, BodyType::CustomerClose)
        }
    };
    Packet::new(kind).from_sys().body(body, text)
}

/// What both sides are told about a chat.
pub(super) fn build_chat(ocim: &Ocim, customer: &str, team: &str, reason: &str) -> BuildChat {
    let info = ocim.desks.team_info(&format!("@{team}"));
    let tenant = ocim.desks.team(None, Some(team));
    BuildChat {
        tenant: tenant
            .map(|team| team.tenant.to_string())
            .unwrap_or_default(),
        team: team.to_owned(),
        team_name: info.map(|team| team.title).unwrap_or_default(),
        login: !customer.starts_with('~'),
        // Nothing is told to us about the device: "other".
        device: "5".to_owned(),
        reason: reason.to_owned(),
        ..BuildChat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_told_otherwise_than_the_next() {
        let mut told = Told::default();
        let words = |packet: Packet| (packet.kind, packet.body_kind(), packet.content().to_owned());
        let joined = (
            PacketType::BuildChat,
            Some(BodyType::Waiting),
            "3".to_owned(),
        );
        assert_eq!(words(place(&mut told, 7, 3)), joined);
        let moved = (
            PacketType::Broadcast,
            Some(BodyType::WaitingNo),
            "2".to_owned(),
        );
        assert_eq!(words(place(&mut told, 7, 2)), moved);
        assert_eq!(place(&mut told, 8, 1).kind, PacketType::BuildChat);
    }

    #[test]
    fn who_closed_is_in_the_body() {
        let words = |by| {
            let packet = closed(by, String::new());
            (packet.kind, packet.body_kind().unwrap())
        };
        let close = PacketType::CloseChat;
        assert_eq!(words(ClosedBy::Agent), (close, BodyType::WaiterClose));
        assert_eq!(words(ClosedBy::Customer), (close, BodyType::CustomerClose));
        let idle = (PacketType::Message, BodyType::TimeoutClose);
        assert_eq!(words(ClosedBy::Idle), idle);
    }
}
