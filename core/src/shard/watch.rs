//! What happens because time passes.

use super::routing::flush_own;
use super::{Action, CloseReason, Event, Shard};
use crate::delivery::Overdue;
use crate::ids::LinkId;
use crate::limits;
use crate::session::{Phase, Transport};
use crate::time::{Now, Time};

impl Shard {
    /// Makes sure that the session is looked at by `at`.
    pub(super) fn check_by(&mut self, link: LinkId, at: Time) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if at < session.check_at {
            session.check_at = at;
            self.deadlines.push(at, link);
        }
    }

    pub(super) fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        for link in self.deadlines.due(now.mono) {
            self.check(now, link, actions);
        }
    }

    /// Looks at one session: its silence, its resends, what it can forget.
    fn check(&mut self, now: Now, link: LinkId, actions: &mut Vec<Action>) {
        let sense = self.config.sense;
        let decided = self.decided;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if session.check_at > now.mono {
            return; // an entry from before an earlier look
        }
        session.check_at = Time(u64::MAX);
        if session.asking.is_some() {
            session.rhythm.heard(now.mono); // it is we who keep it waiting
        }
        let heard = session.rhythm.last_heard();
        if session.phase == Phase::Anonymous {
            return self.close(link, CloseReason::LoginTimeout, actions);
        }
        let idle_at = match session.transport {
            // No network is between us that could lose it silently.
            Transport::Local => now.mono + limits::IDLE_UNKNOWN_MS,
            transport => session.rhythm.idle_at(sense, transport),
        };
        if idle_at <= now.mono {
            return self.close(link, CloseReason::Idle, actions);
        }
        let until = session.identity.as_deref().map(|identity| identity.until);
        let until = until.unwrap_or(Time(u64::MAX));
        if until <= now.mono {
            return self.close(link, CloseReason::Expired, actions);
        }
        let mut next = idle_at.min(until);
        let own = session.own.take();
        actions.extend(flush_own(session.identity.as_deref(), own));
        let mut overdue = Vec::new();
        // Its driver hands messages over until they are taken, in order: nothing is sent again,
        // given up or set aside from here.
        let (is_listener, keeps) = (session.is_listener(), session.keeps(decided));
        if let Some(flow) = session.flow.as_mut().filter(|_| !is_listener) {
            if let Some(since) = flow.in_flight_since() {
                let silent_at = heard.max(since) + limits::SILENCE_IN_FLIGHT_MS_MAX;
                if silent_at <= now.mono {
                    return self.close(link, CloseReason::Unresponsive, actions);
                }
                next = next.min(silent_at);
            }
            // Before what is set aside below, whose cursor has to be told first.
            if !keeps {
                flow.forget_done();
            }
            overdue = flow.overdue(now.mono);
            if flow.fade(now.mono) && flow.is_idle() {
                session.flow = None;
            } else if flow.is_idle() {
                next = next.min(now.mono + limits::FLOW_FADE_MS);
            } else if let Some(due) = flow.next_due() {
                next = next.min(due);
            }
        }
        for message in overdue {
            self.overdue(now, link, message, actions);
        }
        self.pump(now, link, actions);
        let flow = self.session(link).and_then(|s| s.flow.as_deref());
        let trial = flow.and_then(|flow| flow.next_trial());
        // One that is due waits for what is in flight, which has its own time.
        let trial = trial.filter(|at| *at > now.mono);
        self.check_by(link, trial.map_or(next, |at| next.min(at)));
    }

    fn overdue(&mut self, now: Now, link: LinkId, overdue: Overdue, actions: &mut Vec<Action>) {
        let Some(user) = self.user_of(link).cloned() else {
            return;
        };
        match overdue {
            Overdue::Resend { message, again } => self.deliver(now, link, message, again, actions),
            Overdue::Exhausted(message) => {
                self.remember(link, message.conversation, actions);
                actions.push(Action::Tell(Event::Lost { message, user }));
            }
            Overdue::SetAside(message) => {
                self.remember(link, message.conversation, actions);
                actions.push(Action::Tell(Event::SetAside { message, user }));
            }
        }
    }
}
