//! All that the screen shows, and what each input changes: no terminal, no socket, no clock.
//!
//! [`Model::on`] is the whole interface; it answers with what is to be done outside. Driven by
//! `screen`, drawn by `draw`.

mod keys;
mod talk;

use std::collections::HashMap;
use std::time::Duration;

use crossterm::event::KeyEvent;
use ratatui::layout::Size;
use tidings_client::{Event, Incoming};

use super::line::Line;
use super::rows;
pub(crate) use talk::{Entry, Mark, Talk, peer_of};

/// Conversations that are kept; strangers can begin as many as they like.
const TALKS_MAX: usize = 200;
/// Messages that are kept, in all conversations together.
const ENTRIES_MAX: usize = 10_000;

/// How it stands with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Online { extended: bool },
    Lost { reason: String },
    Kicked { code: i32, reason: Option<String> },
    Refused { code: i32 },
}

/// What happens to the model.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Paste(String),
    Resize(Size),
    Client(Event),
    /// The outcome of an [`Effect::Send`]: the message's id, or why it was not taken.
    Handed {
        peer: String,
        number: u64,
        outcome: Result<String, String>,
    },
    /// How long the client rests before its next attempt.
    Resting(Option<Duration>),
    /// The login cannot be begun anew.
    LogInFailed(String),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Send {
        peer: String,
        number: u64,
        text: String,
    },
    LogIn,
    Quit,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) me: String,
    pub(crate) server: String,
    pub(crate) link: Link,
    /// Whole seconds until the next attempt, begun ones counted.
    pub(crate) resting_s: Option<u64>,
    pub(crate) talks: Vec<Talk>,
    pub(crate) open: Option<usize>,
    /// The name of a new conversation is being typed.
    pub(crate) naming: Option<Line>,
    /// What is typed while no conversation is open: commands.
    pub(crate) lobby: Line,
    pub(crate) help: bool,
    /// Something to tell, until the next key.
    pub(crate) notice: Option<String>,
    pub(crate) size: Size,
    /// Own messages that are not acknowledged: their conversation and number, by id.
    on_way: HashMap<String, (String, u64)>,
    next_number: u64,
    /// The server's last words, which may be about the message that is given up next.
    complaint: Option<String>,
    /// Leaving was asked for while messages were on their way.
    leaving: bool,
}

impl Model {
    pub(crate) fn new(me: &str, server: &str, peers: &[String], size: Size) -> Model {
        let mut model = Model {
            me: me.to_owned(),
            server: server.to_owned(),
            link: Link::Connecting,
            resting_s: None,
            talks: Vec::new(),
            open: None,
            naming: None,
            lobby: Line::default(),
            help: false,
            notice: None,
            size,
            on_way: HashMap::new(),
            next_number: 1,
            complaint: None,
            leaving: false,
        };
        for peer in peers {
            model.talk(peer);
        }
        if !peers.is_empty() {
            model.show(0);
        }
        model
    }

    /// Takes one input at the time `now_ms`; answers with what is to be done.
    pub(crate) fn on(&mut self, now_ms: i64, input: Input) -> Option<Effect> {
        match input {
            Input::Key(key) => return self.key(now_ms, key),
            Input::Paste(text) => self.paste(&text),
            Input::Resize(size) => {
                self.size = size;
                self.scroll(0);
            }
            Input::Client(event) => self.client(now_ms, event),
            Input::Handed {
                peer,
                number,
                outcome,
            } => self.handed(peer, number, outcome),
            Input::Resting(rest) => {
                self.resting_s =
                    rest.map(|rest| u64::from(rest.subsec_nanos() > 0) + rest.as_secs());
            }
            Input::LogInFailed(why) => self.notice = Some(why),
        }
        None
    }

    pub(crate) fn opened(&self) -> Option<&Talk> {
        self.open.and_then(|index| self.talks.get(index))
    }

    /// Own messages that the server has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.on_way.len()
    }

    // ---- conversations

    /// The conversation's place in the list; a new one comes last.
    fn talk(&mut self, peer: &str) -> usize {
        if let Some(index) = self.talks.iter().position(|talk| talk.peer == peer) {
            return index;
        }
        if self.talks.len() >= TALKS_MAX {
            self.forget_talk();
        }
        self.talks.push(Talk::new(peer, self.next_number));
        self.talks.len() - 1
    }

    /// Gives up the conversation in which nothing happened for the longest time.
    fn forget_talk(&mut self) {
        let idle = |(index, talk): &(usize, &Talk)| {
            Some(*index) != self.open && talk.draft.text().is_empty() && !talk.is_busy()
        };
        let oldest = self.talks.iter().enumerate().filter(idle);
        let oldest = oldest.min_by_key(|(_, talk)| talk.newest);
        let Some(oldest) = oldest.map(|(index, _)| index) else {
            return;
        };
        self.talks.remove(oldest);
        if let Some(open) = &mut self.open
            && *open > oldest
        {
            *open -= 1;
        }
    }

    fn show(&mut self, index: usize) {
        self.open = Some(index);
        if let Some(talk) = self.talks.get_mut(index) {
            talk.back = 0;
            talk.unread = 0;
        }
    }

    /// Moves the view by so many rows, up if positive, as far as there is something to see.
    fn scroll(&mut self, rows: isize) {
        let area = rows::areas(self.size).messages;
        let Some(talk) = self.open.and_then(|index| self.talks.get_mut(index)) else {
            return;
        };
        let all = rows::height(talk, area.width);
        let furthest = all.saturating_sub(usize::from(area.height));
        talk.back = talk.back.saturating_add_signed(rows).min(furthest);
        if talk.back == 0 {
            talk.unread = 0;
        }
    }

    fn push(&mut self, index: usize, entry: Entry) {
        let columns = rows::areas(self.size).messages.width;
        let own = entry.mark != Mark::Received;
        let open = self.open == Some(index);
        let Some(talk) = self.talks.get_mut(index) else {
            return;
        };
        talk.push(entry);
        if own {
            self.leaving = false;
            talk.back = 0;
        } else if open && talk.back > 0 {
            // Whoever reads further up goes on reading there.
            talk.back += rows::height_of_last(talk, columns);
            talk.unread += 1;
        } else if !open {
            talk.unread += 1;
        }
        self.trim();
    }

    /// Forgets the oldest message when there are too many.
    fn trim(&mut self) {
        let kept: usize = self.talks.iter().map(|talk| talk.entries.len()).sum();
        if kept > ENTRIES_MAX {
            let oldest = self
                .talks
                .iter_mut()
                .filter(|talk| !talk.entries.is_empty());
            let oldest = oldest.min_by_key(|talk| talk.entries.front().map(|entry| entry.number));
            if let Some(talk) = oldest {
                talk.entries.pop_front();
                talk.unread = talk.unread.min(talk.entries.len());
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    // ---- what the client tells

    fn client(&mut self, now_ms: i64, event: Event) {
        let complaint = self.complaint.take();
        match event {
            Event::LoggedIn { extended } => self.link = Link::Online { extended },
            Event::LinkLost { reason } => self.link = Link::Lost { reason },
            Event::Kicked { code, reason } => self.link = Link::Kicked { code, reason },
            Event::Refused { code } => self.link = Link::Refused { code },
            Event::Message(message) => {
                if let Some(message) = super::notice::shown(message) {
                    self.message(now_ms, message);
                }
            }
            Event::Acknowledged { id, .. } => self.settle(&id, Mark::Stored),
            Event::Lost { id } => {
                let why = complaint.unwrap_or_else(|| "no answer from the server".to_owned());
                self.notice = None;
                // Whoever reads it sees which one.
                let why = why.replace(&format!("message {id}"), "the message");
                self.settle(&id, Mark::Failed(why));
            }
            Event::Error { code, text } => {
                let words = format!("{text} (code {code})");
                self.notice = Some(format!("the server says: {words}"));
                self.complaint = Some(words);
            }
            // Told by a later version of the client.
            _ => {}
        }
    }

    fn message(&mut self, now_ms: i64, message: Incoming) {
        let index = self.talk(peer_of(&self.me, &message));
        let from_me = *message.from == *self.me;
        let known = |entry: &Entry| !entry.id.is_empty() && *entry.id == *message.id;
        if from_me && self.talks[index].entries.iter().rev().any(known) {
            // Written to oneself: it is there already.
            return;
        }
        let number = self.number();
        let time_ms = message.time_ms.unwrap_or(now_ms);
        if !from_me {
            self.talks[index].heard_ms = Some(time_ms);
        }
        let entry = Entry {
            number,
            id: message.id.to_string(),
            from: message.from.to_string(),
            text: message.text,
            time_ms,
            mark: if from_me {
                Mark::Stored
            } else {
                Mark::Received
            },
        };
        self.push(index, entry);
    }

    fn handed(&mut self, peer: String, number: u64, outcome: Result<String, String>) {
        let index = self.talk(&peer);
        let Some(entry) = self.talks[index].entry(number) else {
            return;
        };
        match outcome {
            Ok(id) => {
                entry.mark = Mark::Sent;
                entry.id.clone_from(&id);
                self.on_way.insert(id, (peer, number));
            }
            Err(why) => entry.mark = Mark::Failed(why),
        }
    }

    fn settle(&mut self, id: &str, mark: Mark) {
        let Some((peer, number)) = self.on_way.remove(id) else {
            return;
        };
        let talk = self.talks.iter_mut().find(|talk| talk.peer == peer);
        if let Some(entry) = talk.and_then(|talk| talk.entry(number)) {
            entry.mark = mark;
        }
        if self.leaving && self.on_way.is_empty() {
            // The question has answered itself.
            self.leaving = false;
            self.notice = None;
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
