//! A shard: the sessions of a set of users, where messages are decided.
//!
//! `on(now, input, &mut actions)` is the whole interface: the driver feeds what happened and
//! carries out what comes out, in order. Every message goes one way: a frame becomes a [`Record`]
//! to commit; the store's [`Verdict`] comes back as an input; only then acknowledgements and
//! deliveries come out. Verdicts arrive in the order in which records came out: one lane. What came
//! together goes in together ([`Shard::on_all`]), so that what many inputs ask for comes out once.
//!
//! Knows nothing of sockets, disks or clocks. Driven by the server's `link` and by `sim`.

mod action;
mod agents;
mod asking;
mod blame;
mod frames;
mod inside;
mod login;
mod routing;
mod size;
#[cfg(test)]
mod tests;
mod unproven;
mod watch;

pub use action::{Action, CloseReason, Event};
pub use agents::{author, authored};
pub use asking::{Answer, AskBefore};
pub use inside::{SessionView, Submission};
pub use unproven::Path;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::custody::{Backlog, Draft, Loaded, Record, Verdict, Want};
use crate::deadline::Deadlines;
use crate::ids::{LinkId, Name};
use crate::limits;
use crate::message::MessageRef;
use crate::session::{Sense, Session, Transport};
use crate::time::{Now, Time};
use crate::wire::mobileimsdk::Frame;
use unproven::Strangers;

/// What a second login of a class meets (`docs/protocol.md` §5). A device always replaces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondLogin {
    /// The session before is kicked: MobileIMSDK's way.
    #[default]
    Replace,
    /// Both stay, if they are different devices.
    Coexist,
    /// The new one is refused while the other is online.
    Refuse,
}

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Heartbeat class, if all clients share one; learned per session otherwise.
    pub sense: Option<Sense>,
    /// What a second login of one class meets.
    pub second_login: SecondLogin,
    /// Longest message from no session, as a frame in bytes; a longer one is refused. What sessions
    /// send is bounded by their transports.
    pub frame_bytes_max: usize,
    /// Messages of one conversation in flight on UDP. 1 keeps their order on a network that
    /// reorders; more is faster.
    pub udp_window: usize,
    /// Which messages the application is asked about before they are taken.
    pub ask_before: AskBefore,
    /// Tell [`Event::Relayed`] as well, which comes once per message.
    pub tell_relayed: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            sense: None,
            second_login: SecondLogin::Replace,
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            udp_window: 1,
            ask_before: AskBefore::default(),
            tell_relayed: false,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A frame arrived on a link; `bytes` is its length on the wire.
    Frame {
        /// On which link.
        link: LinkId,
        /// What it says.
        frame: Frame<'a>,
        /// Its length on the wire.
        bytes: usize,
    },
    /// Bytes arrived that are no frame.
    Unreadable {
        /// On which link.
        link: LinkId,
        /// What is wrong with them, for the one who sent them.
        reason: String,
    },
    /// A sign of life that is no frame: a WebSocket ping.
    Heard {
        /// On which link.
        link: LinkId,
    },
    /// The link is gone.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// The answer to [`Action::Verify`].
    Verified {
        /// On which link.
        link: LinkId,
        /// 0: accepted; anything else goes to the client as the code of its refusal.
        code: i32,
        /// If accepted: the session ends then. `Time(u64::MAX)` is never.
        until: Time,
    },
    /// The verdict on the oldest record that has none.
    Verdict(Verdict),
    /// The oldest `count` records without a verdict could not be stored.
    CommitFailed {
        /// How many.
        count: usize,
        /// Why, for the senders.
        reason: &'a str,
    },
    /// The answer to [`Action::ReadBacklog`].
    Backlog {
        /// For which link.
        link: LinkId,
        /// `None` if the store could not be read.
        backlog: Option<Backlog>,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// For which link.
        link: LinkId,
        /// What had been asked for.
        wants: Vec<Want>,
        /// `None` if the store could not be read.
        loaded: Option<Loaded>,
    },
    /// The application or an operator ends a user's sessions, and his logins that are not decided.
    Kick {
        /// Whose.
        user: &'a str,
        /// Kick code (`docs/protocol.md` §4).
        code: i32,
        /// Told to the client.
        reason: Option<&'a str>,
    },
    /// The same for one link.
    KickLink {
        /// Which.
        link: LinkId,
        /// Kick code.
        code: i32,
        /// Told to the client.
        reason: Option<&'a str>,
    },
    /// A group gained or lost a member.
    Membership {
        /// Which group.
        group: &'a str,
        /// Who.
        user: &'a str,
        /// Gained or lost.
        member: bool,
    },
    /// The answer to [`Action::Ask`].
    Answered {
        /// On which link.
        link: LinkId,
        /// What becomes of the message.
        answer: Answer,
    },
    /// A link inside this process logs in, vouched for by the application instead of verified. The
    /// only way in for `0`. Answered like a LOGIN frame.
    Enter {
        /// On which link, of [`Transport::Local`].
        link: LinkId,
        /// As whom.
        user: &'a str,
        /// On which device.
        device: &'a str,
        /// Of which class.
        class: &'a str,
        /// What it declares: `own`, `desk`.
        caps: &'a [&'a str],
    },
    /// A support team opened or closed: whether messages to it are taken.
    Team {
        /// Which, with its `@`.
        team: &'a str,
        /// Whether there is one.
        known: bool,
    },
    /// An account became an agent's, or ceases to be one: whether he may write to his customers'
    /// addresses, `@team/customer`.
    Agent {
        /// Whose.
        user: &'a str,
        /// Whether he is an agent.
        known: bool,
    },
    /// An agent serves a customer from now on, or no longer: whether his texts for that customer
    /// are taken.
    Serve {
        /// The customer's address, `@team/customer`.
        address: &'a str,
        /// The agent's account.
        agent: &'a str,
        /// His number within the tenant.
        number: u32,
        /// Whether he serves him.
        serves: bool,
    },
    /// A message to keep, from no session; answered with [`Action::Submitted`].
    Submit {
        /// The caller's number for it.
        ticket: u64,
        /// The message; its names are checked.
        draft: Draft,
    },
    /// A message without `QoS`, from no session.
    Pass(MessageRef),
    /// Time has passed: [`Shard::next_deadline`] is reached.
    Tick,
}

/// A record whose verdict has not come.
#[derive(Debug)]
enum Undecided {
    Message {
        link: LinkId,
        id: Name,
        from: Name,
        to: Name,
    },
    Login {
        link: LinkId,
    },
    /// From no session.
    Submitted {
        ticket: u64,
    },
}

/// Which groups had messages lately. A session learns from its backlog which groups it belongs to;
/// what was committed for one of them meanwhile did not raise it.
#[derive(Debug, Default)]
struct Recent {
    /// Messages to groups so far.
    count: u64,
    /// The groups of the last ones.
    groups: VecDeque<Name>,
}

impl Recent {
    fn push(&mut self, group: &Name) {
        self.count += 1;
        if self.groups.len() >= limits::RECENT_GROUPS_MAX {
            self.groups.pop_front();
        }
        self.groups.push_back(group.clone());
    }

    /// True if there may have been a message to `group` after the first `mark` ones.
    fn since(&self, mark: u64, group: &Name) -> bool {
        let count = usize::try_from(self.count - mark).unwrap_or(usize::MAX);
        count > self.groups.len() || self.groups.iter().rev().take(count).any(|g| g == group)
    }
}

/// The sessions of a set of users. See the module.
#[derive(Debug)]
pub struct Shard {
    config: Config,
    slots: Vec<Slot>,
    free: Vec<u32>,
    users: HashMap<Name, Vec<LinkId>>,
    /// Sessions of the members of each group that are online.
    groups: HashMap<Name, Vec<LinkId>>,
    /// The support teams, with their `@`.
    teams: HashSet<Name>,
    /// The accounts of their agents.
    desk_agents: HashSet<Name>,
    /// By customer's address: the agents who serve him, with their numbers.
    serving: HashMap<Name, Vec<(Name, u32)>>,
    undecided: VecDeque<Undecided>,
    /// What is to be kept, until it is taken.
    records: Vec<Record>,
    /// Verdicts and failures so far.
    decided: u64,
    /// The last messages to groups, for sessions that were reading their backlog when they came.
    recent: Recent,
    deadlines: Deadlines<LinkId>,
    /// When the inputs that are being dealt with happened.
    now: Now,
    strangers: Strangers,
    /// The name `default`, shared by all sessions that declared nothing.
    default_name: Name,
    /// Sessions whose acknowledgements of this batch have not been dealt with.
    acknowledged: Vec<LinkId>,
    /// Reused to measure frames.
    scratch: Vec<u8>,
    ruler: size::Ruler,
    /// Reused to list the sessions that a message concerns.
    links: Vec<LinkId>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: Config) -> Shard {
        Shard {
            config,
            slots: Vec::new(),
            free: Vec::new(),
            users: HashMap::new(),
            groups: HashMap::new(),
            teams: HashSet::new(),
            desk_agents: HashSet::new(),
            serving: HashMap::new(),
            undecided: VecDeque::new(),
            records: Vec::new(),
            decided: 0,
            recent: Recent::default(),
            deadlines: Deadlines::default(),
            now: Now::default(),
            strangers: Strangers::new(),
            default_name: Name::from("default"),
            acknowledged: Vec::new(),
            scratch: Vec::new(),
            ruler: size::Ruler::default(),
            links: Vec::new(),
        }
    }

    /// A connection was accepted (on UDP: a login came from a new address). The name it gets is
    /// never used again.
    pub fn open(&mut self, now: Now, transport: Transport) -> LinkId {
        self.open_from(now, transport, Path::default())
    }

    /// The same, by UDP from there.
    pub fn open_from(&mut self, now: Now, transport: Transport, path: Path) -> LinkId {
        let session = Box::new(Session::new(now.mono, transport, path));
        self.strangers.count += usize::from(session.unproven.is_some());
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    session: None,
                });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.generation += 1;
        entry.session = Some(session);
        let link = LinkId(u64::from(entry.generation) << 32 | u64::from(slot));
        self.check_by(link, now.mono + limits::LOGIN_MS_MAX);
        link
    }

    fn session(&self, link: LinkId) -> Option<&Session> {
        let slot = self.slots.get((link.0 & 0xffff_ffff) as usize)?;
        if u64::from(slot.generation) != link.0 >> 32 {
            return None;
        }
        slot.session.as_deref()
    }

    fn session_mut(&mut self, link: LinkId) -> Option<&mut Session> {
        let slot = self.slots.get_mut((link.0 & 0xffff_ffff) as usize)?;
        if u64::from(slot.generation) != link.0 >> 32 {
            return None;
        }
        slot.session.as_deref_mut()
    }

    /// Takes the session out; its name becomes unknown.
    fn take(&mut self, link: LinkId) -> Option<Box<Session>> {
        self.session(link)?;
        let at = (link.0 & 0xffff_ffff) as usize;
        self.free.push(u32::try_from(at).unwrap_or(u32::MAX));
        let mut session = self.slots[at].session.take();
        if let Some(unproven) = session.as_mut().and_then(|s| s.unproven.take()) {
            self.strangers.count -= 1;
            self.strangers.departed.push((link, unproven));
        }
        session
    }

    /// Deals with what happened. See the module.
    pub fn on(&mut self, now: Now, input: Input<'_>, actions: &mut Vec<Action>) {
        self.on_all(now, [input], actions);
    }

    /// Deals with several things that happened, in order: as [`Shard::on`] for each, but cursors
    /// move and loads are asked for once, at the end.
    pub fn on_all<'a>(
        &mut self,
        now: Now,
        inputs: impl IntoIterator<Item = Input<'a>>,
        actions: &mut Vec<Action>,
    ) {
        self.now = now;
        let first = actions.len();
        for input in inputs {
            self.decide(now, input, actions);
        }
        let mut links = std::mem::take(&mut self.acknowledged);
        for link in links.drain(..) {
            self.settle(link, actions);
            self.pump(now, link, actions);
        }
        self.acknowledged = links;
        self.withhold(now, first, actions);
    }

    fn decide(&mut self, now: Now, input: Input<'_>, actions: &mut Vec<Action>) {
        match input {
            Input::Frame { link, frame, bytes } => {
                self.earn(link, bytes);
                self.frame(now, link, frame, bytes, actions);
            }
            Input::Unreadable { link, reason } => self.unreadable(now, link, &reason, actions),
            Input::Heard { link } => {
                if let Some(session) = self.session_mut(link) {
                    session.rhythm.heard(now.mono);
                }
            }
            Input::Closed { link } => {
                let code = crate::wire::code::KICK_NONE;
                self.end(link, code, CloseReason::Gone, actions);
            }
            Input::Verified { link, code, until } => {
                self.verified(now, link, code, until, actions);
            }
            Input::Verdict(verdict) => self.verdict(now, verdict, actions),
            Input::CommitFailed { count, reason } => {
                for _ in 0..count {
                    self.commit_failed(now, reason, actions);
                }
            }
            Input::Backlog { link, backlog } => self.backlog(now, link, backlog, actions),
            Input::Loaded {
                link,
                wants,
                loaded,
            } => {
                self.loaded(now, link, &wants, loaded, actions);
            }
            Input::Kick { user, code, reason } => self.kick(user, code, reason, actions),
            Input::KickLink { link, code, reason } => {
                self.kick_link(link, code, reason, actions);
                self.close(link, CloseReason::Kicked, actions); // if it was nobody's yet
            }
            Input::Membership {
                group,
                user,
                member,
            } => self.membership(group, user, member, actions),
            Input::Answered { link, answer } => self.answered(now, link, answer, actions),
            Input::Enter {
                link,
                user,
                device,
                class,
                caps,
            } => self.enter_vouched(now, link, user, (device, class, caps), actions),
            Input::Agent { user, known } => know(&mut self.desk_agents, user, known),
            Input::Team { team, known } => know(&mut self.teams, team, known),
            Input::Serve {
                address,
                agent,
                number,
                serves,
            } => self.serve(address, agent, number, serves),
            Input::Submit { ticket, draft } => self.submit(ticket, draft, actions),
            Input::Pass(message) => self.pass_on(None, &message, actions),
            Input::Tick => self.tick(now, actions),
        }
    }

    /// What is to be made durable, in order: whoever commits it takes it from here, and answers each
    /// with [`Input::Verdict`] or [`Input::CommitFailed`], in the same order.
    pub fn records(&mut self) -> &mut Vec<Record> {
        &mut self.records
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Users with at least one session.
    #[must_use]
    pub fn users_online(&self) -> usize {
        self.users.len()
    }

    /// The links on which a user is logged in.
    #[must_use]
    pub fn links_of(&self, user: &str) -> &[LinkId] {
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    /// Names of the users who are online, in no order.
    pub fn online(&self) -> impl Iterator<Item = &Name> {
        self.users.keys()
    }

    /// The user that a link is logged in as.
    #[must_use]
    pub fn user_of(&self, link: LinkId) -> Option<&Name> {
        Some(&self.session(link)?.identity.as_deref()?.user)
    }

    /// True if the link has as many messages without a verdict as it may.
    #[must_use]
    pub fn is_saturated(&self, link: LinkId) -> bool {
        self.session(link).is_some_and(|s| s.saturated)
    }

    /// True if the link is known to the shard.
    #[must_use]
    pub fn knows(&self, link: LinkId) -> bool {
        self.session(link).is_some()
    }
}

/// A name is one of these from now on, or no longer.
fn know(names: &mut HashSet<Name>, name: &str, known: bool) {
    if known {
        names.insert(Name::from(name));
    } else {
        names.remove(name);
    }
}
