//! The end of a link, as far as a message may be the cause: what `delivery` counts is told.

use super::{Action, CloseReason, Event, Shard};
use crate::ids::LinkId;
use crate::limits;
use crate::session::Transport;

/// Whether a link may have ended because its client did: not if the client said goodbye, or an
/// operator or we ended it.
fn may_be_the_receivers_end(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Gone
        | CloseReason::Idle
        | CloseReason::Unresponsive
        | CloseReason::Replaced
        | CloseReason::Superseded => true,
        CloseReason::Logout
        | CloseReason::LoginTimeout
        | CloseReason::LoginRefused
        | CloseReason::NotLoggedIn
        | CloseReason::BadFrame
        | CloseReason::Kicked
        | CloseReason::Expired
        | CloseReason::Store
        | CloseReason::TooManyHeld => false,
    }
}

impl Shard {
    /// The end of a link counts against a message that was sent right before it.
    pub(super) fn blame(&mut self, link: LinkId, reason: CloseReason, actions: &mut Vec<Action>) {
        let now = self.now;
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if session.transport == Transport::Local || !may_be_the_receivers_end(reason) {
            return;
        }
        let blamed = session.flow.as_mut().map(|flow| flow.blame(now));
        let Some(user) = session.identity.as_ref().map(|i| i.user.clone()) else {
            return;
        };
        for blamed in blamed.into_iter().flatten() {
            let (message, user, ends) = (blamed.message, user.clone(), blamed.ends);
            let conversation = message.conversation;
            if blamed.is_set_aside {
                actions.push(Action::Tell(Event::SetAside { message, user }));
            } else if ends >= limits::LINK_ENDS_MAX {
                actions.push(Action::Tell(Event::SteppedAside {
                    message,
                    user,
                    ends,
                }));
            }
            self.remember(link, conversation, actions);
        }
    }
}
