//! The application is asked before a message is taken: `onTransferMessage4C2SBefore` and
//! `…4C2CBefore` of MobileIMSDK's server (`docs/embedding.md`).
//!
//! Only the session concerned waits, and only with what must stay in order: its messages, a new
//! login, its logout. Heartbeats and acknowledgements go on.

use std::collections::VecDeque;

use super::{Action, CloseReason, Shard};
use crate::custody::Draft;
use crate::ids::{LinkId, SERVER};
use crate::limits;
use crate::session::{Asking, Transport};
use crate::time::Now;
use crate::wire::code;
use crate::wire::mobileimsdk::Frame;

/// Which messages the application is asked about. Off by default: then nothing waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AskBefore {
    /// Those to `0`.
    pub to_server: bool,
    /// All others.
    pub to_clients: bool,
}

/// What becomes of a message that the application was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is taken as it is given here.
    Take {
        /// Application-defined type.
        typeu: i32,
        /// The text.
        body: Box<str>,
    },
    /// Its sender is told that it is not taken.
    Refuse {
        /// Why, as a number.
        code: i32,
        /// Why, for people.
        text: String,
    },
    /// It is dropped in silence; a sender who wants it acknowledged sends it again.
    Drop,
}

/// Frames that must not overtake a message of their session.
pub(super) fn must_wait(kind: i32) -> bool {
    matches!(kind, code::COMMON_DATA | code::LOGIN | code::LOGOUT)
}

impl Shard {
    pub(super) fn asks_about(&self, to: &str) -> bool {
        let ask = self.config.ask_before;
        if to == SERVER {
            ask.to_server
        } else {
            ask.to_clients
        }
    }

    pub(super) fn ask(&mut self, link: LinkId, draft: Draft, qos: bool, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        session.asking = Some(Box::new(Asking {
            from: draft.from.clone(),
            to: draft.to.clone(),
            id: draft.id.clone(),
            qos,
            held: VecDeque::new(),
            paused: false,
        }));
        let draft = Box::new(draft);
        actions.push(Action::Ask { link, draft, qos });
    }

    /// Keeps a frame until the answer is there.
    pub(super) fn hold(
        &mut self,
        link: LinkId,
        frame: Frame<'_>,
        bytes: usize,
        actions: &mut Vec<Action>,
    ) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        let is_udp = session.transport == Transport::Udp;
        let Some(asking) = &mut session.asking else {
            return;
        };
        // A datagram cannot be left unread: it is dropped as if the network had lost it.
        let full = if is_udp {
            limits::HELD_FRAMES_MAX
        } else {
            limits::HELD_ASKING_MAX
        };
        if asking.held.len() < full {
            asking.held.push_back((frame.into_owned(), bytes));
            if asking.held.len() >= limits::HELD_FRAMES_MAX && !asking.paused {
                asking.paused = true;
                actions.push(Action::Pause { link });
            }
        } else if !is_udp {
            self.close(link, CloseReason::TooManyHeld, actions);
        }
    }

    pub(super) fn answered(
        &mut self,
        now: Now,
        link: LinkId,
        answer: Answer,
        actions: &mut Vec<Action>,
    ) {
        let Some(asking) = self.session_mut(link).and_then(|s| s.asking.take()) else {
            return; // the session ended meanwhile: the message was not taken
        };
        let Asking {
            from,
            to,
            id,
            qos,
            mut held,
            paused,
        } = *asking;
        match answer {
            Answer::Take { typeu, body } => {
                let draft = Draft {
                    from,
                    to,
                    id,
                    typeu,
                    body,
                    time_ms: now.wall_ms,
                };
                self.take_answered(link, draft, qos, actions);
            }
            Answer::Refuse { code, text } => {
                self.refuse_message(link, &id, code, &text, actions);
            }
            Answer::Drop => {}
        }
        while let Some((frame, bytes)) = held.pop_front() {
            self.frame(now, link, frame, bytes, actions);
            let Some(session) = self.session_mut(link) else {
                return;
            };
            if let Some(next) = &mut session.asking {
                next.held = held;
                next.paused = paused;
                break;
            }
        }
        self.read_again(link, paused, actions);
    }

    /// The application may have made it longer.
    fn take_answered(&mut self, link: LinkId, draft: Draft, qos: bool, actions: &mut Vec<Action>) {
        if let Err(bytes) = self.fits(&draft, limits::WEBSOCKET_MESSAGE_BYTES_MAX) {
            let (id, long) = (&draft.id, super::frames::too_long(bytes));
            let text = format!("message {id}, as the application changed it, {long}");
            return self.refuse_message(link, id, code::REFUSED_TOO_LARGE, &text, actions);
        }
        if qos {
            self.keep(link, draft, actions);
        } else {
            self.pass_on(Some(link), &super::frames::fleeting(draft), actions);
        }
    }

    /// Resumes a link that was told to pause, once little is held.
    fn read_again(&mut self, link: LinkId, was_paused: bool, actions: &mut Vec<Action>) {
        let Some(session) = self.session_mut(link) else {
            return;
        };
        if !was_paused {
            return;
        }
        if let Some(asking) = &mut session.asking {
            if asking.held.len() * 2 >= limits::HELD_FRAMES_MAX {
                return;
            }
            asking.paused = false;
        }
        if session.may_be_read() {
            actions.push(Action::Resume { link });
        }
    }
}
