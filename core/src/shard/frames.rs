//! What a frame means to the session that it arrives on: `docs/protocol.md` §3 to §5.

use std::borrow::Cow;

use super::{Action, CloseReason, Shard, Undecided, asking, size};
use crate::custody::{Draft, Record};
use crate::ids::{self, Address, ConversationId, LinkId, Name};
use crate::limits;
use crate::message::{Message, MessageRef};
use crate::session::{Phase, Transport};
use crate::time::Now;
use crate::wire::code;
use crate::wire::mobileimsdk::{self, Frame};

/// A control frame from the server.
pub(super) fn control(kind: i32, to: &str, data: Option<String>) -> Box<Frame<'static>> {
    Box::new(Frame {
        kind,
        data: data.map(Cow::Owned),
        from: Some(Cow::Borrowed(ids::SERVER)),
        to: Some(Cow::Owned(to.to_owned())),
        typeu: -1,
        sm: -1,
        ..Frame::default()
    })
}

impl Shard {
    pub(super) fn frame(
        &mut self,
        now: Now,
        link: LinkId,
        frame: Frame<'_>,
        bytes: usize,
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.rhythm.heard(now.mono);
        let is_udp = session.transport == Transport::Udp;
        let held_bytes_max = match session.unproven {
            None => limits::HELD_BYTES_MAX,
            Some(_) => limits::UNADMITTED_HELD_BYTES_MAX,
        };
        if let Some(entering) = &mut session.entering {
            // Order matters to the client: what follows a login waits for its outcome.
            let held_bytes = entering.held_bytes + bytes;
            if entering.held.len() < limits::HELD_FRAMES_MAX && held_bytes <= held_bytes_max {
                entering.held.push((frame.into_owned(), bytes));
                entering.held_bytes = held_bytes;
                return;
            }
            // A datagram cannot be left unread: it is dropped as if the network had lost it.
            if !is_udp {
                self.close(link, CloseReason::TooManyHeld, actions);
            }
            return;
        }
        if session.asking.is_some() && asking::must_wait(frame.kind) {
            return self.hold(link, frame, bytes, actions);
        }
        let anonymous = session.phase == Phase::Anonymous;
        match frame.kind {
            code::LOGIN => self.login(now, link, &frame, actions),
            code::LOGOUT => self.logout(link, &frame, actions),
            code::ECHO => self.echo(link, frame, actions),
            code::KEEPALIVE | code::COMMON_DATA | code::RECEIVED if anonymous => {
                self.not_logged_in(link, &frame, actions);
            }
            code::KEEPALIVE => self.keepalive(now, link, actions),
            code::COMMON_DATA if frame.qos => self.take_message(now, link, &frame, actions),
            code::COMMON_DATA => self.pass_message(link, &frame, actions),
            code::RECEIVED => self.received(now, link, &frame, actions),
            _ => {} // unknown types are ignored, logged in or not
        }
    }

    /// Bytes that are no frame: an error, and before the login the end of the link. On UDP anybody
    /// can send such bytes in anybody's name: they are dropped.
    pub(super) fn unreadable(
        &mut self,
        now: Now,
        link: LinkId,
        reason: &str,
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if session.transport == Transport::Udp {
            return;
        }
        session.rhythm.heard(now.mono);
        if session.phase == Phase::Anonymous {
            return self.close(link, CloseReason::BadFrame, actions);
        }
        self.refuse(
            link,
            code::REFUSED_FRAME,
            format!("not a frame: {reason}"),
            actions,
        );
    }

    /// A type-52 frame about one message: its id is the frame's `fp`, so that a client that looks
    /// knows which.
    pub(super) fn refuse_message(
        &self,
        link: LinkId,
        id: &str,
        error_code: i32,
        text: &str,
        actions: &mut Vec<Action>,
    ) {
        if !self.knows(link) {
            return;
        }
        let data = mobileimsdk::login::encode_error(error_code, text);
        let mut frame = control(code::ERROR, ids::UNSET, Some(data));
        frame.fp = Some(Cow::Owned(id.to_owned()));
        actions.push(Action::Send { link, frame });
    }

    /// A type-52 frame.
    pub(super) fn refuse(
        &self,
        link: LinkId,
        error_code: i32,
        text: String,
        actions: &mut Vec<Action>,
    ) {
        if !self.knows(link) {
            return;
        }
        let data = mobileimsdk::login::encode_error(error_code, &text);
        actions.push(Action::Send {
            link,
            frame: control(code::ERROR, ids::UNSET, Some(data)),
        });
    }

    /// Types 1, 2 and 4 before a login: `301`, and the link ends (UDP: stays; there is none).
    fn not_logged_in(&mut self, link: LinkId, frame: &Frame<'_>, actions: &mut Vec<Action>) {
        let Some(session) = self.session(link) else {
            return;
        };
        let is_udp = session.transport == Transport::Udp;
        let mut text = String::from("log in first");
        if !is_udp {
            // The whole offending frame, as the reference server answers, if it fits.
            self.scratch.clear();
            mobileimsdk::encode(frame, &mut self.scratch);
            if self.scratch.len() * 2 + 200 <= limits::FRAME_BYTES_MAX {
                text = String::from_utf8_lossy(&self.scratch).into_owned();
            }
        }
        self.refuse(link, code::NOT_LOGGED_IN, text, actions);
        if !is_udp {
            self.close(link, CloseReason::NotLoggedIn, actions);
        }
    }

    /// On UDP a datagram in the victim's name must at least know whose session it ends.
    fn logout(&mut self, link: LinkId, frame: &Frame<'_>, actions: &mut Vec<Action>) {
        let Some(session) = self.session(link) else {
            return;
        };
        let owner = session.identity.as_ref().map(|i| &*i.user);
        if session.transport == Transport::Udp && frame.from.as_deref() != owner {
            return;
        }
        self.close(link, CloseReason::Logout, actions);
    }

    /// The same object back, as type 53. Silent on UDP before a login: it would be a reflector.
    fn echo(&mut self, link: LinkId, frame: Frame<'_>, actions: &mut Vec<Action>) {
        let Some(session) = self.session(link) else {
            return;
        };
        if session.transport == Transport::Udp && session.phase == Phase::Anonymous {
            return;
        }
        let bytes_max = size::frame_bytes_max(session);
        let mut answer = frame.into_owned();
        answer.kind = code::ECHO_ANSWER;
        self.scratch.clear();
        mobileimsdk::encode(&answer, &mut self.scratch);
        if self.scratch.len() <= bytes_max {
            actions.push(Action::Send {
                link,
                frame: Box::new(answer),
            });
        }
    }

    /// Answered on the link that asked, not on whichever the user has.
    fn keepalive(&mut self, now: Now, link: LinkId, actions: &mut Vec<Action>) {
        let sense = self.config.sense;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.rhythm.beat(now.mono);
        // What is learned may be earlier than the next look that was due.
        let idle_at = session.rhythm.idle_at(sense, session.transport);
        let Some(identity) = &session.identity else {
            return;
        };
        let frame = control(
            code::KEEPALIVE_ANSWER,
            &identity.user,
            Some("{}".to_owned()),
        );
        actions.push(Action::Send { link, frame });
        self.check_by(link, idle_at);
    }

    /// A message to be kept: everything that can be refused without the store is refused here.
    fn take_message(
        &mut self,
        now: Now,
        link: LinkId,
        frame: &Frame<'_>,
        actions: &mut Vec<Action>,
    ) {
        let Some(from) = self.user_of(link).cloned() else {
            return;
        };
        let Some(id) = frame.fp.as_deref() else {
            let text = "a message with QoS needs an id (`fp`); it was not taken".to_owned();
            return self.refuse(link, code::REFUSED_NO_ID, text, actions);
        };
        if let Err(error) = ids::check_message_id(id) {
            let text = format!("the message id (`fp`) {error}");
            return self.refuse(link, code::REFUSED_NO_ID, text, actions);
        }
        let to = match self.address(&from, frame) {
            Ok(to) => to,
            Err(text) => {
                let text = format!("message {id}: {text}");
                return self.refuse_message(link, id, code::REFUSED_ADDRESS, &text, actions);
            }
        };
        let draft = Draft {
            from,
            to: self.name(to),
            id: Name::from(id),
            typeu: frame.typeu,
            body: Box::from(frame.data.as_deref().unwrap_or("")),
            time_ms: now.wall_ms,
        };
        if let Err(bytes) = self.fits(&draft, limits::WEBSOCKET_MESSAGE_BYTES_MAX) {
            let text = format!("message {id} {}", too_long(bytes));
            return self.refuse_message(link, id, code::REFUSED_TOO_LARGE, &text, actions);
        }
        if self.asks_about(&draft.to) {
            return self.ask(link, draft, true, actions);
        }
        self.keep(link, draft, actions);
    }

    /// The name of an address: that of a user who is online is shared, not made anew.
    pub(super) fn name(&self, address: &str) -> Name {
        match self.users.get_key_value(address) {
            Some((name, _)) => name.clone(),
            None => Name::from(address),
        }
    }

    /// Gives a message to the store.
    pub(super) fn keep(&mut self, link: LinkId, draft: Draft, actions: &mut Vec<Action>) {
        let (id, from, to) = (draft.id.clone(), draft.from.clone(), draft.to.clone());
        let Some(draft) = self.for_customer(draft) else {
            let text = format!("message {id}: you do not serve the customer of {to} now");
            return self.refuse_message(link, &id, code::REFUSED_ADDRESS, &text, actions);
        };
        self.undecided
            .push_back(Undecided::Message { link, id, from, to });
        self.records.push(Record::Message(draft));
        if let Some(session) = self.session_mut(link) {
            session.undecided = session.undecided.saturating_add(1);
            if usize::from(session.undecided) >= limits::UNDECIDED_PER_SESSION_MAX
                && !session.saturated
            {
                session.saturated = true;
                actions.push(Action::Pause { link });
            }
        }
    }

    /// Whether there is such a team or, for an agent, such an address of a customer.
    pub(super) fn serves_team(&self, from: &str, to: &str) -> bool {
        match to.split_once('/') {
            None => self.teams.contains(to),
            Some((team, _)) => {
                let agents = [from.starts_with('@'), self.desk_agents.contains(from)];
                self.teams.contains(team) && agents.contains(&true)
            }
        }
    }

    /// The address of a message, if it is one that this server serves.
    fn address<'f>(&self, from: &str, frame: &'f Frame<'_>) -> Result<&'f str, String> {
        let to = frame.to.as_deref().ok_or("it has no address (`to`)")?;
        match Address::parse(to) {
            Ok(Address::Team(team)) if !self.serves_team(from, team) => {
                Err(format!("there is no support team `{to}`"))
            }
            Ok(_) => Ok(to),
            Err(error) => Err(format!("its address (`to`) {error}")),
        }
    }

    /// A message without QoS: to whoever is live, now or never.
    fn pass_message(&mut self, link: LinkId, frame: &Frame<'_>, actions: &mut Vec<Action>) {
        let Some(from) = self.user_of(link).cloned() else {
            return;
        };
        let Ok(to) = self.address(&from, frame) else {
            return;
        };
        let draft = Draft {
            from,
            to: Name::from(to),
            id: Name::from(frame.fp.as_deref().unwrap_or("")),
            typeu: frame.typeu,
            body: Box::from(frame.data.as_deref().unwrap_or("")),
            time_ms: -1,
        };
        if draft.id.len() > limits::MESSAGE_ID_BYTES_MAX {
            let (bytes, max) = (draft.id.len(), limits::MESSAGE_ID_BYTES_MAX);
            let text = format!(
                "a message to {to} has an id (`fp`) of {bytes} bytes; {max} are allowed; it was dropped"
            );
            return self.refuse(link, code::REFUSED_NO_ID, text, actions);
        }
        if let Err(bytes) = self.fits(&draft, limits::WEBSOCKET_MESSAGE_BYTES_MAX) {
            let text = format!("a message to {to} {}; it was dropped", too_long(bytes));
            return self.refuse(link, code::REFUSED_TOO_LARGE, text, actions);
        }
        if self.asks_about(&draft.to) {
            return self.ask(link, draft, false, actions);
        }
        self.pass_on(Some(link), &fleeting(draft), actions);
    }
}

/// A message that is not kept: it has no number and no time.
pub(super) fn fleeting(draft: Draft) -> MessageRef {
    MessageRef::new(Message {
        conversation: ConversationId(0),
        seq: 0,
        position: 0,
        time_ms: -1,
        from: draft.from,
        to: draft.to,
        id: draft.id,
        typeu: draft.typeu,
        body: draft.body,
    })
}

/// What is said of a message that no transport takes.
pub(super) fn too_long(bytes: usize) -> String {
    let max = limits::WEBSOCKET_MESSAGE_BYTES_MAX;
    format!("would be a frame of {bytes} bytes; no connection takes more than {max}: send less")
}

/// The length of a frame as it is sent, with the extension or without.
pub(super) fn encoded(
    scratch: &mut Vec<u8>,
    frame: &Frame<'_>,
    extension: Option<(u64, i64)>,
) -> usize {
    scratch.clear();
    match extension {
        Some((seq, time_ms)) => mobileimsdk::encode_extended(frame, seq, time_ms, scratch),
        None => mobileimsdk::encode(frame, scratch),
    }
    scratch.len()
}

/// The answer to a datagram from an address that is not logged in: a short `301` to what demands a
/// login, nothing to anything else.
pub(super) fn answer_to_stranger(frame: &Frame<'_>) -> Option<Box<Frame<'static>>> {
    let demands_login = matches!(
        frame.kind,
        code::KEEPALIVE | code::COMMON_DATA | code::RECEIVED
    );
    let data = mobileimsdk::login::encode_error(code::NOT_LOGGED_IN, "log in first");
    demands_login.then(|| control(code::ERROR, ids::UNSET, Some(data)))
}
