//! An agent's end: what he asks for becomes acts at the desk, what the desk tells him
//! becomes packets. The same on WebSocket and TCP. Before BIND he is told nothing.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::desk::{AgentStatus, EpisodeId};
use tidings_core::limits;
use tidings_core::wire::code;
use tidings_core::wire::ocim::{BodyType, Identity, Packet, PacketType, Party, Transfer, Waiter};
use tokio::sync::mpsc;

use super::Ocim;
use super::authorization::Login;
use super::line::{Done, Line};
use super::notices::{body_kind, build_chat, closed, misspelt};
use super::present::Here;
use super::session::typeu;
use super::upgraded::{Flow, Talker, pong, refusal};
use crate::desk::notice::ClosedBy;
use crate::desk::{
    Act, AgentEvent, AgentLink, AgentRef, Author, Chat, ChatInfo, DeskError, Profile, TransferTo,
};

/// Up to here the agent has the messages of an episode.
type Confirmed = (EpisodeId, u64);

/// One connection of an agent.
#[derive(Debug)]
pub(super) struct Agent {
    ocim: Arc<Ocim>,
    agent: AgentRef,
    status: AgentStatus,
    line: Arc<Line>,
    /// Set by BIND; dropping it ends the agent's session at the desk.
    bound: Mutex<Option<mpsc::UnboundedSender<Confirmed>>>,
    _here: Here,
}

impl Agent {
    /// `None` if the account is no agent of any desk, or what he was let in with holds no more.
    pub(super) fn new(ocim: Arc<Ocim>, login: &Login) -> Option<Agent> {
        let (admitted, address) = (&login.admitted, login.address);
        let agent = ocim.desks.agent_of_login(admitted)?;
        let line: Arc<Line> = Arc::default();
        let here = ocim.agents.enter(&admitted.user, address, &line);
        // Whoever was revoked before he was here has not been told.
        if !ocim.access.holds(admitted, Some(address)) {
            return None;
        }
        let status = login.status.as_deref().and_then(AgentStatus::from_ocim);
        Some(Agent {
            ocim,
            agent,
            status: status.unwrap_or(AgentStatus::Online),
            line,
            bound: Mutex::new(None),
            _here: here,
        })
    }

    async fn bind(&self, packet: &Packet) -> Result<(), String> {
        if self.bound.lock().is_some() {
            return Err("this connection is bound already".to_owned());
        }
        let desks = &self.ocim.desks;
        // A desktop says it here; a WebSocket has said it at its login.
        let status = AgentStatus::from_ocim(packet.content()).unwrap_or(self.status);
        let link = desks.bind(&self.agent, status).await;
        let link = link.map_err(|error| error.to_string())?;
        // Not more than the line holds: each packet is confirmed once.
        let (sender, confirmed) = mpsc::unbounded_channel();
        *self.bound.lock() = Some(sender);
        let teller = Teller {
            ocim: self.ocim.clone(),
            agent: self.agent.clone(),
            line: self.line.clone(),
        };
        tokio::spawn(teller.run(link, confirmed));
        Ok(())
    }

    async fn act(&self, act: Act) -> Result<(), String> {
        let done = self.ocim.desks.act(&self.agent, act).await;
        done.map_err(|error: DeskError| error.to_string())
    }

    /// Does what a packet asks for.
    async fn does(&self, packet: &Packet) -> Result<(), String> {
        match packet.kind {
            PacketType::Bind => self.bind(packet).await,
            PacketType::Message if packet.body_kind() == Some(BodyType::TimeoutClose) => {
                self.act(Act::Close(chat(packet)?)).await
            }
            PacketType::Message => {
                let typeu = packet.body_kind().and_then(typeu);
                let internal = packet.body_kind() == Some(BodyType::Tip);
                let typeu = typeu.or(internal.then_some(code::DESK_NOTE));
                let id = packet.pid.clone().filter(|pid| !pid.is_empty());
                self.act(Act::Say {
                    chat: chat(packet)?,
                    id: id.unwrap_or_else(|| crate::handle::new_id().to_string()),
                    typeu: typeu
                        .ok_or("agents send TEXT, IMAGE, ORDER, GOODS, LOGISTICS and TIP")?,
                    text: packet.content().to_owned(),
                    internal,
                })
                .await
            }
            PacketType::ChangeStatus => {
                let status = AgentStatus::from_ocim(packet.content());
                let status = status.ok_or("a status is \"1\", \"2\", \"3\" or \"4\"")?;
                self.act(Act::SetStatus {
                    status,
                    hand_over: false,
                })
                .await
            }
            PacketType::Transfer => {
                let act = transfer(packet).map_err(|reason| not_transferred(&reason))?;
                let done = self.act(act).await;
                done.map_err(|reason| not_transferred(&reason))
            }
            PacketType::Reception => self.pull(packet).await,
            PacketType::Revocation => {
                let id = packet.pid.clone().ok_or("`pid` says what is recalled")?;
                let chat = chat(packet)?;
                self.act(Act::Recall { chat, id }).await
            }
            PacketType::CloseChat => self.act(Act::Close(chat(packet)?)).await,
            _ => Err(format!("an agent does not send {}", packet.kind.name())),
        }
    }

    /// RECEPTION: the head of the queue, or with `cid` the one that was offered or waits there.
    async fn pull(&self, packet: &Packet) -> Result<(), String> {
        let Some(episode) = episode(packet)? else {
            return self.act(Act::Pull(None)).await;
        };
        match self.act(Act::Accept(episode)).await {
            Ok(()) => Ok(()),
            Err(_) => self.act(Act::Pull(Some(episode))).await,
        }
    }
}

/// The episode that a packet names; an empty `cid` is none.
fn episode(packet: &Packet) -> Result<Option<EpisodeId>, String> {
    match packet.cid.as_deref() {
        None | Some("") => Ok(None),
        Some(cid) => match cid.parse() {
            Ok(number) => Ok(Some(EpisodeId(number))),
            Err(_) => Err("`cid` is not a number in decimal".to_owned()),
        },
    }
}

/// Which chat is meant: `cid`, or the customer in `to`.
fn chat(packet: &Packet) -> Result<Chat, String> {
    if let Some(episode) = episode(packet)? {
        return Ok(Chat::Episode(episode));
    }
    let uid = packet.to.as_ref().and_then(|to| to.uid.as_deref());
    match uid.filter(|uid| !uid.is_empty()) {
        Some(uid) => Ok(Chat::Customer(uid.into())),
        None => Err("the packet names no chat: say `cid`, or `to.uid`".to_owned()),
    }
}

/// The original's words, and what is wrong behind them.
fn not_transferred(reason: &str) -> String {
    format!("转接客户失败 , 请重试 . ({reason})")
}

fn transfer(packet: &Packet) -> Result<Act, String> {
    let asked = Transfer::parse(packet.content()).map_err(|error| error.to_string())?;
    let to = match (packet.body_kind(), asked.to_waiter, asked.team) {
        (Some(BodyType::TransferWaiter), Some(waiter), _) => TransferTo::Agent(waiter),
        (Some(BodyType::TransferTeam), _, Some(team)) => {
            TransferTo::Team(team, asked.skill.into_iter().collect())
        }
        _ => return Err("TRANSFER_WAITER needs toWc, TRANSFER_TEAM needs tmc".to_owned()),
    };
    let chat = match (chat(packet), asked.customer) {
        (Ok(chat @ Chat::Episode(_)), _) => chat,
        (_, Some(customer)) => Chat::Customer(customer.as_str().into()),
        (Ok(chat), None) => chat,
        (Err(reason), None) => return Err(reason),
    };
    Ok(Act::Transfer {
        chat,
        to,
        note: asked.reason.unwrap_or_default(),
    })
}

impl Talker for Agent {
    fn line(&self) -> &Line {
        &self.line
    }

    fn done(&self, done: &Done) {
        if let (Done::Episode(episode, seq), Some(bound)) = (done, &*self.bound.lock()) {
            let _ = bound.send((*episode, *seq)); // the session may have been replaced
        }
    }

    async fn on(&self, packet: Packet) -> Flow {
        let now_ms = self.ocim.wall_ms();
        match packet.kind {
            PacketType::Ping => self.line.push(pong(now_ms), Done::Nothing),
            PacketType::Close => self.line.close(),
            _ => {
                if let Err(reason) = Box::pin(self.does(&packet)).await {
                    // The answer to a text says so in the type; others repeat what they answer.
                    let kind = match packet.kind {
                        PacketType::Message => PacketType::Chatting,
                        kind => kind,
                    };
                    let told = refusal(&packet, kind, &reason).at(now_ms);
                    self.line.push(told, Done::Nothing);
                }
            }
        }
        Flow::On
    }
}

/// Passes on what the desk tells one session.
struct Teller {
    ocim: Arc<Ocim>,
    agent: AgentRef,
    line: Arc<Line>,
}

impl Teller {
    /// Until the connection or the session ends.
    async fn run(self, mut link: AgentLink, mut confirmed: mpsc::UnboundedReceiver<Confirmed>) {
        loop {
            // Whoever does not confirm is not told more; the desk ends a session that falls behind.
            let room = self.line.count() < limits::OCIM_WAITING_PACKETS_MAX;
            tokio::select! {
                event = link.recv(), if room => match event {
                    Some(event) => self.tell(event),
                    None => break,
                },
                arrived = confirmed.recv() => match arrived {
                    Some((episode, seq)) => link.delivered(episode, seq),
                    None => break,
                },
            }
        }
        self.line.close();
    }

    fn tell(&self, event: AgentEvent) {
        let replaced = event == AgentEvent::Replaced;
        let done = match &event {
            AgentEvent::Message { chat, message, .. } => Done::Episode(chat.episode, message.seq),
            _ => Done::Nothing,
        };
        let Some(mut packet) = self.packet(event) else {
            return;
        };
        packet.to = Some(Party::of(self.agent.account(), "", Identity::Waiter));
        if packet.timestamp.is_none() {
            packet = packet.at(self.ocim.wall_ms());
        }
        let compat = self.ocim.settings.compat.waitting;
        let misspelt = misspelt(&packet).filter(|_| compat);
        self.line.push(packet, done);
        if let Some(packet) = misspelt {
            self.line.push(packet, Done::Nothing);
        }
        if replaced {
            self.line.close();
        }
    }

    /// What an event is called in OCIM; `None` for what it has no word for.
    fn packet(&self, event: AgentEvent) -> Option<Packet> {
        let sys = |kind| Packet::new(kind).from_sys();
        let of = |kind, chat: &ChatInfo| sys(kind).cid(chat.episode.0);
        let tip =
            |chat: &ChatInfo, text: &str| of(PacketType::Message, chat).body(BodyType::Tip, text);
        Some(match event {
            AgentEvent::Bound(profile) => {
                sys(PacketType::Bind).body(BodyType::Success, waiter(&profile).to_json())
            }
            AgentEvent::Given { chat, transfer, .. } => self.given(&chat, transfer.as_ref()),
            AgentEvent::Message {
                chat,
                author,
                id,
                message,
            } => {
                let packet = self
                    .said(&chat, &author, message.typeu, &message.body)
                    .pid(id);
                packet.at(message.time_ms)
            }
            AgentEvent::Offer { chat, .. } => {
                let packet = of(PacketType::BuildChat, &chat);
                let packet = packet.body(BodyType::BuildingChat, "RECEPTION with this cid accepts");
                self.by_customer(packet, &chat)
            }
            AgentEvent::OfferOver(episode, why) => {
                let packet = sys(PacketType::CloseChat).cid(episode.0);
                packet.body(BodyType::Fail, format!("the offer is over: {why:?}"))
            }
            AgentEvent::Released(chat) => {
                let packet = of(PacketType::CloseChat, &chat);
                packet.body(BodyType::Success, "the customer is not yours any more")
            }
            AgentEvent::Closed(chat, by) => {
                let (text, by_customer) = match by {
                    ClosedBy::Customer | ClosedBy::LeftMessage => ("客户结束会话", true),
                    ClosedBy::Agent => ("会话已结束", false),
                    ClosedBy::Idle => ("客户超时未回复，会话已结束", false),
                };
                let packet = closed(by, text.to_owned()).cid(chat.episode.0);
                match by_customer {
                    true => self.by_customer(packet, &chat),
                    false => packet,
                }
            }
            AgentEvent::AnswerWarning(chat) => tip(&chat, "the customer waits for an answer"),
            AgentEvent::IdleWarning(chat) => {
                let packet = of(PacketType::Message, &chat);
                packet.body(
                    BodyType::TimeoutTip,
                    "the customer was asked whether he is there",
                )
            }
            AgentEvent::TransferDone(chat) => {
                of(PacketType::Transfer, &chat).body(BodyType::Success, &*chat.customer)
            }
            AgentEvent::TransferFailed(chat, why) => {
                let packet = of(PacketType::Transfer, &chat);
                packet.body(BodyType::Fail, not_transferred(&format!("{why:?}")))
            }
            AgentEvent::Supervised(chat, level) => tip(&chat, &format!("supervision: {level:?}")),
            AgentEvent::Status(..) => return None,
            AgentEvent::Queue { waiting, .. } => {
                sys(PacketType::Broadcast).body(BodyType::WaitingNo, waiting.to_string())
            }
            AgentEvent::Recalled { chat, id } => of(PacketType::Revocation, &chat).pid(id),
            AgentEvent::Replaced => {
                sys(PacketType::ReLogin).body(BodyType::WaiterClose, "会话重复开启")
            }
        })
    }

    /// A customer with the name that he gives himself, while he is here.
    fn customer(&self, chat: &ChatInfo) -> Party {
        let session = self.ocim.customers.get(&chat.customer);
        let name = session.as_ref().map_or("", |session| &session.name);
        Party::of(&chat.customer, name, Identity::Customer)
    }

    fn by_customer(&self, packet: Packet, chat: &ChatInfo) -> Packet {
        Packet {
            from: Some(self.customer(chat)),
            ..packet
        }
    }

    /// What somebody wrote, as this agent sees it.
    fn said(&self, chat: &ChatInfo, author: &Author, typeu: i32, text: &str) -> Packet {
        let greeting = |kind| {
            let packet = Packet::new(PacketType::BuildChat).from_sys();
            packet.body(kind, text)
        };
        let packet = match typeu {
            code::DESK_TEAM_GREETING => greeting(BodyType::TeamGreet),
            code::DESK_AGENT_GREETING => greeting(BodyType::WaiterGreet),
            code::DESK_RECALLED => Packet::new(PacketType::Revocation).from_sys(),
            typeu => Packet {
                from: Some(match author {
                    Author::Customer => self.customer(chat),
                    Author::Agent(account) => Party::of(account, "", Identity::Waiter),
                    Author::Desk => Party::of("sys", "", Identity::Sys),
                }),
                ..Packet::new(PacketType::Message).body(body_kind(typeu), text)
            },
        };
        packet.cid(chat.episode.0)
    }

    fn given(
        &self,
        chat: &ChatInfo,
        transfer: Option<&(tidings_core::ids::Name, String)>,
    ) -> Packet {
        let (kind, body, reason) = match transfer {
            None => (PacketType::BuildChat, BodyType::Success, String::new()),
            Some((agent, note)) => (
                PacketType::BuildTransferChat,
                BodyType::TransferWaiter,
                format!("客服 {agent} 转接，备注: {note}"),
            ),
        };
        let content = build_chat(&self.ocim, &chat.customer, &chat.team, &reason);
        let packet = Packet::new(kind).body(body, content.to_json());
        let packet = packet.pid(format!("904-{}", crate::handle::new_id()));
        self.by_customer(packet.cid(chat.episode.0), chat)
    }
}

fn waiter(profile: &Profile) -> Waiter {
    Waiter {
        id: profile.number.into(),
        tenant: profile.tenant.to_string(),
        team: profile.team.clone(),
        name: profile.title.clone(),
        code: profile.account.to_string(),
        status: profile.status.to_ocim().to_owned(),
        automatic: profile.automatic,
        serving: i64::try_from(profile.serving).unwrap_or(i64::MAX),
        capacity: profile.capacity.into(),
        greeting: (!profile.greeting.is_empty()).then(|| profile.greeting.clone()),
    }
}
