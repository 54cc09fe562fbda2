//! What comes from inside this process: logins that the application vouches for, and messages that
//! no session sent, which are routed and committed like everything else; and the end of sessions that
//! an operator or the application wants.

use super::{Action, CloseReason, Shard, Slot, Undecided};
use crate::custody::{Draft, Record, Verdict};
use crate::ids::{Address, DeviceId, LinkId, Name, SERVER};
use crate::session::{Entering, Transport};
use crate::time::{Now, Time};
use crate::wire::code;
use crate::wire::mobileimsdk::login::{Declared, Login};

/// What became of a message from no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// The store's word.
    Decided(Verdict),
    /// It would leave as a longer frame than receivers take.
    TooLarge {
        /// So long.
        bytes: usize,
        /// So long may it be.
        max: usize,
    },
    /// Nobody has this address.
    NoSuchAddress,
    /// It could not be stored; the same message may be submitted again.
    Failed(String),
}

impl Shard {
    pub(super) fn kick(
        &mut self,
        user: &str,
        code: i32,
        reason: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        for link in self.links_of(user).to_vec() {
            self.kick_link(link, code, reason, actions);
        }
        // Whoever was verified before and comes in only now would outlive it.
        for link in self.entering_as(user) {
            self.close(link, CloseReason::LoginRefused, actions);
        }
    }

    /// The links on which this user's login is not decided.
    fn entering_as(&self, user: &str) -> Vec<LinkId> {
        let slots = self.slots.iter().enumerate();
        let entering = slots.filter(|(_, slot)| {
            let session = slot.session.as_deref();
            let entering = session.and_then(|session| session.entering.as_deref());
            entering.is_some_and(|entering| entering.login.user.as_deref() == Some(user))
        });
        let link = |(at, slot): (usize, &Slot)| {
            LinkId(u64::from(slot.generation) << 32 | at as u64) // `as`: below 2^32
        };
        entering.map(link).collect()
    }

    /// As a LOGIN frame whose credentials are right.
    pub(super) fn enter_vouched(
        &mut self,
        now: Now,
        link: LinkId,
        user: &str,
        (device, class, caps): (&str, &str, &[&str]),
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if session.transport != Transport::Local {
            return;
        }
        session.entering = Some(Box::new(Entering {
            login: Login {
                user: Some(user.to_owned()),
                tidings: Some(Declared {
                    device: device.to_owned(),
                    class: class.to_owned(),
                    caps: caps.iter().map(|&cap| cap.to_owned()).collect(),
                }),
                ..Login::default()
            },
            held: Vec::new(),
            held_bytes: 0,
            until: Time(u64::MAX),
        }));
        self.verified(now, link, code::OK, Time(u64::MAX), actions);
    }

    pub(super) fn submit(&mut self, ticket: u64, draft: Draft, actions: &mut Vec<Action>) {
        let d = &draft;
        let refused = match Address::parse(&d.to) {
            Err(_) => Some(Submission::NoSuchAddress),
            // A tenant's own log.
            Ok(Address::Team(_)) if d.typeu == code::DESK_RECORD => None,
            Ok(Address::Team(team)) if !self.serves_team(&d.from, team) => {
                Some(Submission::NoSuchAddress)
            }
            Ok(Address::Server) if *d.from == *SERVER => Some(Submission::NoSuchAddress),
            Ok(_) => None,
        };
        if let Some(outcome) = refused {
            return actions.push(Action::Submitted { ticket, outcome });
        }
        let draft = match self.submitted_for_customer(draft) {
            Ok(draft) => draft,
            Err(outcome) => return actions.push(Action::Submitted { ticket, outcome }),
        };
        self.undecided.push_back(Undecided::Submitted { ticket });
        self.records.push(Record::Message(draft));
    }

    pub(super) fn submitted(
        &mut self,
        now: Now,
        ticket: u64,
        verdict: Verdict,
        actions: &mut Vec<Action>,
    ) {
        let message = match &verdict {
            Verdict::New(message) => Some(message.clone()),
            _ => None,
        };
        let outcome = Submission::Decided(verdict);
        actions.push(Action::Submitted { ticket, outcome });
        if let Some(message) = message {
            self.route(now, None, &message, actions);
        }
    }

    /// The sessions that are logged in.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView<'_>> {
        let slots = self.slots.iter().zip(0u64..);
        slots.filter_map(|(slot, at)| {
            let session = slot.session.as_deref()?;
            let identity = session.identity.as_deref()?;
            Some(SessionView {
                link: LinkId(u64::from(slot.generation) << 32 | at),
                user: &identity.user,
                device: &identity.device_name,
                device_id: identity.device,
                class: &identity.class,
                transport: session.transport,
            })
        })
    }

    /// One session, if it is logged in.
    #[must_use]
    pub fn session_of(&self, link: LinkId) -> Option<SessionView<'_>> {
        let session = self.session(link)?;
        let identity = session.identity.as_deref()?;
        Some(SessionView {
            link,
            user: &identity.user,
            device: &identity.device_name,
            device_id: identity.device,
            class: &identity.class,
            transport: session.transport,
        })
    }

    /// How a link is connected.
    #[must_use]
    pub fn transport_of(&self, link: LinkId) -> Option<Transport> {
        Some(self.session(link)?.transport)
    }
}

/// A session, for a list of who is online.
#[derive(Debug, Clone, Copy)]
pub struct SessionView<'a> {
    /// Its link.
    pub link: LinkId,
    /// Who.
    pub user: &'a Name,
    /// On which device.
    pub device: &'a Name,
    /// Its number in the store.
    pub device_id: DeviceId,
    /// Of which class.
    pub class: &'a Name,
    /// How connected.
    pub transport: Transport,
}
