//! Logging in and out: verification, arbitration between sessions of one user, takeover.
//! `docs/protocol.md` §5; what differs from MobileIMSDK's server: §9 there.

use super::frames::control;
use super::routing::flush_own;
use super::{Action, CloseReason, Event, SecondLogin, Shard, Undecided};
use crate::custody::{Backlog, Grant, LoginRecord, Record};
use crate::ids::{self, LinkId, Name};
use crate::limits;
use crate::secret::Secret;
use crate::session::{Entering, Identity, Phase, Transport};
use crate::time::{Now, Time};
use crate::wire::code;
use crate::wire::mobileimsdk::login::Login;
use crate::wire::mobileimsdk::{self, Frame};

/// Whether a login declares this: `own`, to see what its user sends from other devices; `desk`, to
/// see what a desk tells beside its messages.
fn declares(login: &Login, cap: &str) -> bool {
    let declared = login.tidings.as_ref();
    declared.is_some_and(|d| d.caps.iter().any(|c| c == cap))
}

/// What the sessions before mean for a new login.
enum Standing {
    /// It takes its place; these end, with or without a kick.
    Enter(Vec<(LinkId, bool)>),
    /// A later login of this user is online: this one is told so and ends.
    Stale,
    /// The policy keeps the session before.
    Refused,
}

impl Shard {
    /// LOGIN, the first or a later one: verified alike.
    pub(super) fn login(
        &mut self,
        now: Now,
        link: LinkId,
        frame: &Frame<'_>,
        actions: &mut Vec<Action>,
    ) {
        let decoded = frame.data.as_deref().map(mobileimsdk::login::decode_login);
        let Some(Ok(login)) = decoded else {
            return self.login_unreadable(link, actions);
        };
        let Some(user) = login.user.clone().filter(|user| !user.is_empty()) else {
            return self.login_unreadable(link, actions);
        };
        let valid = match user.strip_prefix('~') {
            Some(rest) => ids::check_user(rest),
            None => ids::check_user(&user),
        };
        let declared = login.tidings.as_ref();
        let valid = valid
            .and_then(|()| declared.map_or(Ok(()), |d| ids::check_user(&d.device)))
            .and_then(|()| declared.map_or(Ok(()), |d| ids::check_user(&d.class)));
        let token = Secret::from(login.token.clone().unwrap_or_default());
        let extra = login.extra.clone();
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.entering = Some(Box::new(Entering {
            login,
            held: Vec::new(),
            held_bytes: 0,
            until: Time(u64::MAX),
        }));
        if session.is_stream() {
            // What follows waits where it is: in the network, not in our memory.
            actions.push(Action::Pause { link });
        }
        match valid {
            Ok(()) => {
                let user = Name::from(user);
                actions.push(Action::Verify {
                    link,
                    user,
                    token,
                    extra,
                });
            }
            Err(_) => self.login_refused(now, link, code::REFUSED_ADDRESS, actions),
        }
    }

    /// A LOGIN that names nobody: closed without an answer, as the reference server does.
    fn login_unreadable(&mut self, link: LinkId, actions: &mut Vec<Action>) {
        let Some(session) = self.session(link) else {
            return;
        };
        if session.transport != Transport::Udp || session.phase == Phase::Anonymous {
            self.close(link, CloseReason::BadFrame, actions);
        }
    }

    pub(super) fn verified(
        &mut self,
        now: Now,
        link: LinkId,
        code: i32,
        until: Time,
        actions: &mut Vec<Action>,
    ) {
        if code != code::OK {
            return self.login_refused(now, link, code, actions);
        }
        if let Some(entering) = self.session_mut(link).and_then(|s| s.entering.as_mut()) {
            entering.until = until;
        }
        if self.repeats_login(link) {
            return self.answer_again(now, link, actions);
        }
        let default_name = self.default_name.clone();
        let Some(session) = self.session(link) else {
            return;
        };
        let Some(entering) = &session.entering else {
            return;
        };
        let login = &entering.login;
        let declared = login.tidings.as_ref();
        let record = LoginRecord {
            user: Name::from(login.user.as_deref().unwrap_or_default()),
            device: declared.map_or(default_name.clone(), |d| Name::from(&*d.device)),
            class: declared.map_or(default_name, |d| Name::from(&*d.class)),
            presented: login.first_login_time,
            now_ms: now.wall_ms,
        };
        self.undecided.push_back(Undecided::Login { link });
        self.records.push(Record::Login(record));
    }

    /// True if the login being decided is the one that made this session: its datagram was doubled,
    /// or its client did not get the answer. It must not become a later login than the client
    /// knows of, which would make its next return a stale one.
    fn repeats_login(&self, link: LinkId) -> bool {
        let Some(session) = self.session(link) else {
            return false;
        };
        let (Some(entering), Some(identity)) = (&session.entering, &session.identity) else {
            return false;
        };
        let login = &entering.login;
        let declared = login.tidings.as_ref();
        let device = declared.map_or(&*self.default_name, |d| &*d.device);
        let class = declared.map_or(&*self.default_name, |d| &*d.class);
        let presented = login.first_login_time;
        login.user.as_deref() == Some(&*identity.user)
            && *identity.device_name == *device
            && *identity.class == *class
            && identity.extended == declared.is_some()
            && (presented <= 0 || presented == identity.first_login_time)
    }

    /// Answers a repeated login with what the first one was given. Nothing else changes.
    fn answer_again(&mut self, now: Now, link: LinkId, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(entering) = session.entering.take() else {
            return;
        };
        let Some(identity) = &mut session.identity else {
            return;
        };
        identity.own = declares(&entering.login, "own");
        identity.desk = declares(&entering.login, "desk");
        identity.until = entering.until;
        let (time, extended) = (identity.first_login_time, identity.extended);
        let data = mobileimsdk::login::encode_login_answer(code::OK, time, extended);
        let frame = control(code::LOGIN_ANSWER, &identity.user, Some(data));
        self.check_by(link, entering.until);
        actions.push(Action::Send { link, frame });
        self.replay(now, link, entering.held, actions);
    }

    /// What waited for the outcome of a login.
    fn replay(
        &mut self,
        now: Now,
        link: LinkId,
        held: Vec<(Frame<'static>, usize)>,
        actions: &mut Vec<Action>,
    ) {
        for (frame, bytes) in held {
            self.frame(now, link, frame, bytes, actions);
        }
        if self
            .session(link)
            .is_some_and(|s| s.is_stream() && s.may_be_read())
        {
            actions.push(Action::Resume { link });
        }
    }

    /// Answers with a code; TCP and WebSocket end, UDP keeps a session that was there before: a
    /// forged datagram must not end it.
    pub(super) fn login_refused(
        &mut self,
        now: Now,
        link: LinkId,
        code: i32,
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(entering) = session.entering.take() else {
            return;
        };
        let keeps = session.transport == Transport::Udp && session.identity.is_some();
        let answer = mobileimsdk::login::encode_login_answer(code, -1, false);
        let frame = control(code::LOGIN_ANSWER, ids::UNSET, Some(answer));
        actions.push(Action::Send { link, frame });
        if keeps {
            self.replay(now, link, entering.held, actions);
        } else {
            self.close(link, CloseReason::LoginRefused, actions);
        }
    }

    pub(super) fn login_granted(
        &mut self,
        now: Now,
        link: LinkId,
        grant: &Grant,
        actions: &mut Vec<Action>,
    ) {
        let default_name = self.default_name.clone();
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(entering) = session.entering.take() else {
            return;
        };
        let login = &entering.login;
        let declared = login.tidings.as_ref();
        let identity = Identity {
            user: Name::from(login.user.as_deref().unwrap_or_default()),
            device_name: declared.map_or(default_name.clone(), |d| Name::from(&*d.device)),
            class: declared.map_or(default_name, |d| Name::from(&*d.class)),
            device: grant.device,
            first_login_time: grant.first_login_time,
            extended: declared.is_some(),
            own: declares(login, "own"),
            desk: declares(login, "desk"),
            until: entering.until,
        };
        let standing = self.arbitrate(link, &identity, grant.issued_before);
        if matches!(standing, Standing::Refused) {
            let Some(session) = self.session_mut(link) else {
                return;
            };
            session.entering = Some(entering);
            return self.login_refused(now, link, code::REFUSED_SESSION, actions);
        }
        let data = mobileimsdk::login::encode_login_answer(
            code::OK,
            identity.first_login_time,
            identity.extended,
        );
        let frame = control(code::LOGIN_ANSWER, &identity.user, Some(data));
        actions.push(Action::Send { link, frame });
        match standing {
            Standing::Enter(before) => {
                for (other, kick) in before {
                    if kick {
                        self.kick_link(other, code::KICK_DUPLICATE_LOGIN, None, actions);
                    } else {
                        self.close(other, CloseReason::Superseded, actions);
                    }
                }
                self.enter(now, link, identity, actions);
                self.replay(now, link, entering.held, actions);
            }
            _ => {
                let kick = mobileimsdk::login::encode_kickout(code::KICK_DUPLICATE_LOGIN, None);
                let frame = control(code::KICKOUT, &identity.user, Some(kick));
                actions.push(Action::Send { link, frame });
                self.close(link, CloseReason::Replaced, actions);
            }
        }
    }

    /// Who stays and who goes, among sessions of the same class (and always of the same device).
    fn arbitrate(&self, link: LinkId, new: &Identity, issued_before: bool) -> Standing {
        let mut ends = Vec::new();
        let mut refused = false;
        for other in self.links_of(&new.user) {
            if *other == link {
                continue; // the same link again: it takes its own place
            }
            let Some(old) = self.session(*other).and_then(|s| s.identity.as_deref()) else {
                continue;
            };
            let same_device = old.device == new.device;
            let same_class = old.class == new.class;
            let coexists = !same_class || self.config.second_login == SecondLogin::Coexist;
            if coexists && !same_device {
                continue;
            }
            let (presented, current) = (new.first_login_time, old.first_login_time);
            if issued_before && same_class && presented == current {
                ends.push((*other, false));
            } else if issued_before && same_class && presented < current {
                return Standing::Stale;
            } else {
                // A named device that comes back is itself; `default` may be any.
                let is_itself = same_device && *old.device_name != *self.default_name;
                refused |= self.config.second_login == SecondLogin::Refuse && !is_itself;
                ends.push((*other, true));
            }
        }
        let stays = |l: &&LinkId| **l != link && ends.iter().all(|(end, _)| end != *l);
        let mut staying = self.links_of(&new.user).iter().filter(stays);
        let oldest = staying.next().copied();
        if refused {
            return Standing::Refused;
        }
        if staying.count() + 1 >= limits::SESSIONS_PER_USER_MAX
            && let Some(oldest) = oldest
        {
            ends.push((oldest, true));
        }
        Standing::Enter(ends)
    }

    /// Registers the session, so that from here on everything committed raises its heads, and only
    /// then reads what lies behind.
    fn enter(&mut self, now: Now, link: LinkId, identity: Identity, actions: &mut Vec<Action>) {
        self.leave(link, code::KICK_NONE, None, actions); // whoever it was before on this link
        let sense = self.config.sense;
        let user = identity.user.clone();
        let device_name = identity.device_name.clone();
        let until = identity.until;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let transport = session.transport;
        session.identity = Some(Box::new(identity));
        session.phase = Phase::Loading;
        session.flow = Some(Box::default());
        session.noticed = false;
        session.rhythm.restart(now.mono);
        let idle_at = session.rhythm.idle_at(sense, transport);
        // Nearly every user has one session: room for one.
        let links = self.users.entry(user.clone());
        links.or_insert_with(|| Vec::with_capacity(1)).push(link);
        let fades_at = now.mono + limits::FLOW_FADE_MS;
        self.check_by(link, idle_at.min(fades_at).min(until));
        self.read_backlog(link, actions);
        actions.push(Action::Tell(Event::LoggedIn {
            user,
            device: device_name,
            link,
            transport,
        }));
    }

    /// Has the backlog read; once more after the reading under way, if there is one, because what
    /// that one finds is out of date or another login's.
    fn read_backlog(&mut self, link: LinkId, actions: &mut Vec<Action>) {
        let count = self.recent.count;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(identity) = session.identity.as_deref() else {
            return;
        };
        if session.reading {
            session.reread = true;
            return;
        }
        session.reading = true;
        session.mark = count;
        // The store must know of them, or it shows them as behind.
        actions.extend(flush_own(Some(identity), session.own.take()));
        actions.push(Action::ReadBacklog {
            link,
            user: identity.user.clone(),
            device: identity.device,
        });
    }

    pub(super) fn backlog(
        &mut self,
        now: Now,
        link: LinkId,
        backlog: Option<Backlog>,
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.reading = false;
        if std::mem::take(&mut session.reread) {
            return self.read_backlog(link, actions);
        }
        if session.phase == Phase::Anonymous {
            return; // of a login that this link has left behind
        }
        let Some(backlog) = backlog else {
            return self.close(link, CloseReason::Store, actions);
        };
        let mark = session.mark;
        let known = std::mem::take(&mut session.groups);
        let is_new = |group: &&Name| !known.contains(*group);
        let mut joined = backlog.groups.iter().filter(is_new);
        let missed = joined.any(|group| self.recent.since(mark, group));
        if let Some(session) = self.session_mut(link) {
            session.groups = known;
        }
        for group in &backlog.groups {
            self.subscribe(link, group.clone());
        }
        if missed {
            return self.read_backlog(link, actions);
        }
        let keep_until = self.decided + self.undecided.len() as u64;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.mark = keep_until;
        session.phase = Phase::Live;
        session.flow.get_or_insert_default().begin(&backlog);
        self.pump(now, link, actions);
    }

    /// The user is no longer on this link. Idempotent. `ended`: the link is gone, or goes.
    fn leave(
        &mut self,
        link: LinkId,
        kick_code: i32,
        ended: Option<CloseReason>,
        actions: &mut Vec<Action>,
    ) {
        self.settle(link, actions);
        if let Some(reason) = ended {
            self.blame(link, reason, actions);
        }
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(identity) = session.identity.take() else {
            return;
        };
        session.phase = Phase::Anonymous;
        session.flow = None;
        let groups = std::mem::take(&mut session.groups);
        actions.extend(flush_own(Some(&identity), session.own.take()));
        if let Some(links) = self.users.get_mut(&identity.user) {
            links.retain(|l| *l != link);
            if links.is_empty() {
                self.users.remove(&identity.user);
            }
        }
        for group in groups {
            self.unsubscribe(link, &group);
        }
        let user = identity.user;
        actions.push(Action::Tell(Event::LoggedOut {
            user,
            link,
            kick_code,
        }));
    }

    /// Ends a session whose link is gone, or goes for this reason.
    pub(super) fn end(
        &mut self,
        link: LinkId,
        kick_code: i32,
        reason: CloseReason,
        actions: &mut Vec<Action>,
    ) {
        self.leave(link, kick_code, Some(reason), actions);
        self.take(link);
    }

    /// Ends a session and its link.
    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason, actions: &mut Vec<Action>) {
        if self.session(link).is_some() {
            self.end(link, code::KICK_NONE, reason, actions);
            actions.push(Action::Close { link, reason });
        }
    }

    pub(super) fn kick_link(
        &mut self,
        link: LinkId,
        code: i32,
        reason: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        let Some(user) = self.user_of(link).cloned() else {
            return;
        };
        let data = mobileimsdk::login::encode_kickout(code, reason);
        actions.push(Action::Send {
            link,
            frame: control(code::KICKOUT, &user, Some(data)),
        });
        let reason = match code {
            code::KICK_DUPLICATE_LOGIN => CloseReason::Replaced,
            _ => CloseReason::Kicked,
        };
        self.end(link, code, reason, actions);
        actions.push(Action::Close { link, reason });
    }

    fn subscribe(&mut self, link: LinkId, group: Name) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if !session.groups.contains(&group) {
            let mut groups = std::mem::take(&mut session.groups).into_vec();
            groups.push(group.clone());
            session.groups = groups.into();
            self.groups.entry(group).or_default().push(link);
        }
    }

    /// The store knew it first: what it stored for a new member before this came in is read.
    pub(super) fn membership(
        &mut self,
        group: &str,
        user: &str,
        member: bool,
        actions: &mut Vec<Action>,
    ) {
        for link in self.links_of(user).to_vec() {
            if member {
                self.subscribe(link, Name::from(group));
                self.load_again(link, actions);
                continue;
            }
            if let Some(session) = self.session_mut(link) {
                let mut groups = std::mem::take(&mut session.groups).into_vec();
                groups.retain(|g| **g != *group);
                session.groups = groups.into();
                // What is being read may still say that he is a member.
                session.reread |= session.reading;
            }
            self.unsubscribe(link, group);
        }
    }

    /// Nothing new is sent until it is known where the device stands.
    fn load_again(&mut self, link: LinkId, actions: &mut Vec<Action>) {
        if let Some(session) = self.session_mut(link)
            && session.identity.is_some()
        {
            session.phase = Phase::Loading;
            self.read_backlog(link, actions);
        }
    }

    fn unsubscribe(&mut self, link: LinkId, group: &str) {
        if let Some(links) = self.groups.get_mut(group) {
            links.retain(|l| *l != link);
            if links.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}
