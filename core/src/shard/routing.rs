//! From a verdict to everybody who has to know: the emit half of "gather, decide, commit, emit".

use super::frames::control;
use super::size;
use super::{Action, CloseReason, Event, Shard, Submission, Undecided};
use crate::custody::{Cursor, Loaded, Refusal, Verdict, Want};
use crate::delivery::Passing;
use crate::ids::{self, Address, ConversationId, LinkId, Name};
use crate::limits;
use crate::message::{Message, MessageRef};
use crate::session::{Identity, Phase, Session, Transport};
use crate::time::Now;
use crate::wire::code;
use crate::wire::mobileimsdk::Frame;

impl Shard {
    pub(super) fn verdict(&mut self, now: Now, verdict: Verdict, actions: &mut Vec<Action>) {
        let Some(undecided) = self.undecided.pop_front() else {
            return;
        };
        self.decided += 1;
        match (undecided, verdict) {
            (Undecided::Login { link }, Verdict::Login(grant)) => {
                self.login_granted(now, link, &grant, actions);
            }
            (Undecided::Login { link }, _) => {
                self.login_refused(now, link, code::REFUSED_STORE, actions);
            }
            (Undecided::Submitted { ticket }, verdict) => {
                self.submitted(now, ticket, verdict, actions);
            }
            (Undecided::Message { link, id, from, to }, verdict) => {
                self.decided(link, actions);
                match verdict {
                    Verdict::New(message) => {
                        let custody = (message.seq, message.time_ms);
                        self.acknowledge(link, id, (to, from), custody, actions);
                        self.route(now, Some(link), &message, actions);
                    }
                    Verdict::Duplicate(stored) => {
                        let custody = (stored.seq, stored.time_ms);
                        self.acknowledge(link, id, (to, from), custody, actions);
                    }
                    Verdict::Conflict => {
                        let text = format!(
                            "message {id} to {to}: this id was used for another content; \
                             use a new id for each message"
                        );
                        self.refuse_message(link, &id, code::REFUSED_CONFLICT, &text, actions);
                    }
                    Verdict::Refused(refusal) => {
                        let error_code = match refusal {
                            Refusal::NoGroup => code::REFUSED_ADDRESS,
                            Refusal::NotMember => code::REFUSED_NOT_MEMBER,
                            Refusal::Full { .. } => code::REFUSED_FULL,
                            Refusal::Damaged => code::REFUSED_STORE,
                        };
                        let text = format!("message {id} to {to}: {refusal}");
                        self.refuse_message(link, &id, error_code, &text, actions);
                    }
                    Verdict::Login(_) => {}
                }
            }
        }
    }

    /// Tells a sender that his message is in custody; `from` is the receiver, `to` the sender.
    fn acknowledge(
        &self,
        link: LinkId,
        id: Name,
        (from, to): (Name, Name),
        (seq, time_ms): (u64, i64),
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session(link) else {
            return;
        };
        let extended = session.identity.as_ref().is_some_and(|i| i.extended);
        actions.push(Action::Acknowledge {
            link,
            id,
            from,
            to,
            seq,
            time_ms,
            extended,
        });
    }

    pub(super) fn commit_failed(&mut self, now: Now, reason: &str, actions: &mut Vec<Action>) {
        self.decided += 1;
        match self.undecided.pop_front() {
            Some(Undecided::Message { link, id, to, .. }) => {
                self.decided(link, actions);
                let text = format!("message {id} to {to} was not taken: {reason}");
                self.refuse_message(link, &id, code::REFUSED_STORE, &text, actions);
            }
            Some(Undecided::Login { link }) => {
                self.login_refused(now, link, code::REFUSED_STORE, actions);
            }
            Some(Undecided::Submitted { ticket }) => actions.push(Action::Submitted {
                ticket,
                outcome: Submission::Failed(reason.to_owned()),
            }),
            None => {}
        }
    }

    /// One message of this session less without a verdict.
    fn decided(&mut self, link: LinkId, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.undecided = session.undecided.saturating_sub(1);
        if session.saturated
            && usize::from(session.undecided) * 2 < limits::UNDECIDED_PER_SESSION_MAX
        {
            session.saturated = false;
            if session.may_be_read() {
                actions.push(Action::Resume { link });
            }
        }
    }

    /// A message is in custody: every session concerned learns that a head has risen.
    ///
    /// `origin` is the link that sent it, if it was sent on a link of this shard.
    pub(super) fn route(
        &mut self,
        now: Now,
        origin: Option<LinkId>,
        message: &MessageRef,
        actions: &mut Vec<Action>,
    ) {
        let to = &message.to;
        let is_group = to.starts_with('#');
        if is_group {
            self.recent.push(to);
        }
        let mut links = std::mem::take(&mut self.links);
        links.extend_from_slice(self.receivers(to));
        let mut reached = false;
        for link in links.drain(..) {
            if is_group && self.user_of(link).is_some_and(|u| *u == message.from) {
                continue; // a member of the group who sent it himself: below
            }
            reached = true;
            self.raise(now, link, message, actions);
        }
        let to_himself = message.from == *to;
        if is_desk(message) {
            actions.push(Action::Tell(Event::Desk(message.clone())));
        } else if reached {
            self.tell_relayed(message, actions);
        } else if !to_himself {
            actions.push(Action::Tell(Event::NotDeliverableNow(message.clone())));
        }
        if !to_himself {
            links.extend_from_slice(self.links_of(&message.from));
        }
        for link in links.drain(..) {
            let Some(session) = self.session(link) else {
                continue;
            };
            let wants_own = session.identity.as_ref().is_some_and(|i| i.own);
            if wants_own && origin != Some(link) {
                self.raise(now, link, message, actions);
            } else {
                self.advance_own(link, message, actions);
            }
        }
        self.links = links;
    }

    /// The sessions of an address that are online.
    fn receivers(&self, to: &Name) -> &[LinkId] {
        if to.starts_with('#') {
            return self.groups.get(to).map_or(&[], Vec::as_slice);
        }
        self.links_of(to)
    }

    fn raise(&mut self, now: Now, link: LinkId, message: &MessageRef, actions: &mut Vec<Action>) {
        let window = self.config.udp_window;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let rules = session.window(window);
        let is_live = session.phase == Phase::Live;
        // The track that begins here knows of the session's own messages, too.
        session.own.take_if(|(own, _)| *own == message.conversation);
        let flow = session.flow.get_or_insert_default();
        if flow.raise(message, is_live, &rules) {
            self.pass_next(now, link, message, actions);
        } else if is_live {
            self.pump(now, link, actions);
        }
    }

    /// Sends (or settles, or leaves) the message that is next in its conversation.
    fn pass_next(
        &mut self,
        now: Now,
        link: LinkId,
        message: &MessageRef,
        actions: &mut Vec<Action>,
    ) {
        let mut ruler = std::mem::take(&mut self.ruler);
        if let Some(session) = self.session_mut(link) {
            let passing = passing(session, message, &mut ruler);
            let sending = session
                .flow
                .as_mut()
                .and_then(|f| f.pass(now.mono, message, passing));
            if passing == Passing::Settle {
                self.remember(link, message.conversation, actions);
            } else if passing == Passing::Leave {
                self.notice_waiting(link, message, actions);
            }
            if let Some(message) = sending {
                self.deliver(now, link, message, false, actions);
            }
        }
        self.ruler = ruler;
    }

    /// Puts a message on its way to one session.
    pub(super) fn deliver(
        &mut self,
        now: Now,
        link: LinkId,
        message: MessageRef,
        again: bool,
        actions: &mut Vec<Action>,
    ) {
        let mut ruler = std::mem::take(&mut self.ruler);
        let session = self.session(link);
        let form = session.and_then(|session| ruler.form(session, &message));
        self.ruler = ruler;
        let Some(form) = form else {
            return;
        };
        let due = now.mono + limits::RESEND_FIRST_MS;
        actions.push(Action::Deliver {
            link,
            message,
            form,
            again,
        });
        self.check_by(link, due);
    }

    /// Asks the store for what is behind, if there is room for it.
    pub(super) fn pump(&mut self, now: Now, link: LinkId, actions: &mut Vec<Action>) {
        let window = self.config.udp_window;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if session.phase != Phase::Live {
            return;
        }
        let rules = session.window(window);
        let trial = session
            .flow
            .as_mut()
            .and_then(|f| f.begin_trial(now, &rules));
        let wants = session.flow.as_mut().and_then(|flow| flow.wants(&rules));
        if let Some(message) = trial {
            self.deliver(now, link, message, false, actions);
        }
        if let Some((wants, messages_max)) = wants {
            actions.push(Action::Load {
                link,
                wants,
                messages_max,
            });
            self.check_by(link, now.mono + limits::IDLE_LEARNED_MS_MIN);
        }
    }

    pub(super) fn loaded(
        &mut self,
        now: Now,
        link: LinkId,
        wants: &[Want],
        loaded: Option<Loaded>,
        actions: &mut Vec<Action>,
    ) {
        let (window, decided) = (self.config.udp_window, self.decided);
        let mut ruler = std::mem::take(&mut self.ruler);
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let rules = session.window(window);
        let keeps = session.keeps(decided);
        if session
            .flow
            .as_ref()
            .is_none_or(|flow| !flow.expects(wants))
        {
            return; // of a login that this link has left behind
        }
        let Some(mut flow) = session.flow.take() else {
            return;
        };
        let Some(loaded) = loaded else {
            flow.load_failed();
            session.flow = Some(flow);
            return self.close(link, CloseReason::Store, actions);
        };
        let mut sending = Vec::new();
        let mut left = None;
        let decide = |message: &MessageRef| {
            let passing = passing(session, message, &mut ruler);
            if passing == Passing::Leave {
                left = Some(message.clone());
            }
            passing
        };
        flow.loaded(now.mono, wants, &loaded, &rules, decide, &mut sending);
        let device = session.identity.as_ref().map(|i| i.device);
        for want in wants {
            let moved = flow
                .track(want.conversation)
                .filter(|t| t.acked > want.after);
            if let (Some(track), Some(device)) = (moved, device) {
                actions.push(Action::Remember(track.cursor(device)));
            }
            if !keeps {
                flow.forget_if_done(want.conversation);
            }
        }
        session.flow = Some(flow);
        self.ruler = ruler;
        if let Some(message) = left {
            self.notice_waiting(link, &message, actions);
        }
        for message in sending {
            self.deliver(now, link, message, false, actions);
        }
        self.pump(now, link, actions);
    }

    /// A client acknowledges: for its device, by the message's id, whatever else it says.
    pub(super) fn received(
        &mut self,
        now: Now,
        link: LinkId,
        frame: &Frame<'_>,
        actions: &mut Vec<Action>,
    ) {
        let Some(id) = frame
            .data
            .as_deref()
            .filter(|id| ids::check_stored_id(id).is_ok())
        else {
            return;
        };
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let Some(flow) = &mut session.flow else {
            return;
        };
        let Some(acked) = flow.acknowledge(now.mono, id, frame.to.as_deref()) else {
            return;
        };
        let proved = session.unproven.take().is_some();
        if *acked.message.from == *ids::SERVER
            && let Some(identity) = &session.identity
        {
            let (message, user) = (acked.message.clone(), identity.user.clone());
            actions.push(Action::Tell(Event::Received { message, user }));
        }
        if !std::mem::replace(&mut session.acknowledged, true) {
            self.acknowledged.push(link);
        }
        self.strangers.count -= usize::from(proved);
        let message = acked.message;
        actions.push(Action::Acknowledged { link, message });
    }

    /// Tells the store what a session acknowledged in this batch.
    pub(super) fn settle(&mut self, link: LinkId, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if !std::mem::take(&mut session.acknowledged) {
            return;
        }
        let moved = session.flow.as_mut().map(|flow| flow.take_moved());
        for conversation in moved.into_iter().flatten() {
            self.remember(link, conversation, actions);
        }
    }

    /// Tells the store how far the device has come in a conversation.
    pub(super) fn remember(
        &mut self,
        link: LinkId,
        conversation: ConversationId,
        actions: &mut Vec<Action>,
    ) {
        let decided = self.decided;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let keeps = session.keeps(decided);
        let Some(device) = session.identity.as_ref().map(|i| i.device) else {
            return;
        };
        let Some(flow) = &mut session.flow else {
            return;
        };
        if let Some(track) = flow.track(conversation) {
            actions.push(Action::Remember(track.cursor(device)));
            if !keeps {
                flow.forget_if_done(conversation);
            }
        }
    }

    /// A session's own message moves its cursor without being sent to it. Told to the store when
    /// it writes elsewhere, when it is next looked at, or when it ends: a crash before costs
    /// reading over its own messages once.
    fn advance_own(&mut self, link: LinkId, message: &MessageRef, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let has_track = session
            .flow
            .as_ref()
            .is_some_and(|f| f.track(message.conversation).is_some());
        if session.phase != Phase::Live {
            // Where the device stands is not known yet: the backlog that is being read shows it,
            // or what raised the head already has it loaded.
            if let (true, Some(flow)) = (has_track, &mut session.flow) {
                flow.rise(message);
            }
            return;
        }
        if has_track {
            let moved = session.flow.as_mut().is_some_and(|f| f.settle_own(message));
            if moved {
                self.remember(link, message.conversation, actions);
            }
            return;
        }
        match &mut session.own {
            Some((conversation, acked)) if *conversation == message.conversation => {
                *acked = message.seq;
            }
            _ => {
                let next = (message.conversation, message.seq);
                let before = session.own.replace(next);
                actions.extend(flush_own(session.identity.as_deref(), before));
            }
        }
    }

    /// Between clients: what concerns the server is told otherwise.
    fn tell_relayed(&self, message: &MessageRef, actions: &mut Vec<Action>) {
        let server = [&*message.from, &*message.to].contains(&ids::SERVER);
        if self.config.tell_relayed && !server {
            actions.push(Action::Tell(Event::Relayed(message.clone())));
        }
    }

    /// Messages without QoS. `origin` is the link that sent it, if one did.
    pub(super) fn pass_on(
        &mut self,
        origin: Option<LinkId>,
        message: &MessageRef,
        actions: &mut Vec<Action>,
    ) {
        let is_group = matches!(Address::parse(&message.to), Ok(Address::Group(_)));
        let links = self.receivers(&message.to).to_vec();
        if is_group && origin.is_some_and(|origin| !links.contains(&origin)) {
            return; // not a member
        }
        let mut reached = false;
        let mut ruler = std::mem::take(&mut self.ruler);
        for link in links {
            if is_group && Some(link) == origin {
                continue;
            }
            let Some(session) = self.session(link) else {
                continue;
            };
            let Some(identity) = session.identity.as_ref() else {
                continue;
            };
            if session.phase == Phase::Anonymous || is_unseen(identity, message) {
                continue;
            }
            let Some(form) = ruler.form(session, message) else {
                continue;
            };
            let message = message.clone();
            reached = true;
            actions.push(Action::Deliver {
                link,
                message,
                form,
                again: false,
            });
        }
        self.ruler = ruler;
        if reached {
            self.tell_relayed(message, actions);
        } else if self.config.tell_relayed {
            actions.push(Action::Tell(Event::NotDeliverableNow(message.clone())));
        }
    }

    /// Tells a session, once, that something waits that it cannot take.
    fn notice_waiting(&mut self, link: LinkId, message: &Message, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if std::mem::replace(&mut session.noticed, true) {
            return;
        }
        let Some(identity) = &session.identity else {
            return;
        };
        let (from, max) = (&message.from, size::frame_bytes_max(session));
        let other = match session.transport {
            Transport::Udp => "by TCP or WebSocket",
            Transport::Tcp => "by WebSocket",
            _ => "that takes it",
        };
        let text = format!(
            "A message from {from} is longer than the {max} bytes that this connection takes. \
             It waits for one {other}."
        );
        let mut frame = control(code::COMMON_DATA, &identity.user, Some(text));
        frame.typeu = code::NOTICE_WAITING;
        actions.push(Action::Send { link, frame });
    }
}

/// The cursor of a session's own messages, for the store.
pub(super) fn flush_own(
    identity: Option<&Identity>,
    own: Option<(ConversationId, u64)>,
) -> Option<Action> {
    let (conversation, acked) = own?;
    let device = identity?.device;
    let (sparse, unanswered) = (Vec::new(), Vec::new());
    Some(Action::Remember(Cursor {
        device,
        conversation,
        acked,
        sparse,
        unanswered,
    }))
}

/// Whether a desk is concerned: the other end of the conversation is a team.
fn is_desk(message: &Message) -> bool {
    message.from.starts_with('@') || message.to.starts_with('@')
}

/// What a desk writes for others than this session.
fn is_unseen(identity: &Identity, message: &Message) -> bool {
    message.from.starts_with('@')
        && match message.typeu {
            code::DESK_NOTICE => !identity.desk,
            code::DESK_NOTE | code::DESK_RECORD => true,
            _ => false,
        }
}

/// Whether a message goes out to this session.
fn passing(session: &Session, message: &Message, ruler: &mut size::Ruler) -> Passing {
    let Some(identity) = &session.identity else {
        return Passing::Leave;
    };
    let is_own = message.from == identity.user && message.to != identity.user;
    if is_own && !identity.own || is_unseen(identity, message) {
        return Passing::Settle;
    }
    match ruler.form(session, message) {
        Some(_) => Passing::Send,
        None => Passing::Leave,
    }
}
