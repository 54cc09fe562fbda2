//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tidings_core::ids::Address;

use super::{Effect, Entry, Link, Mark, Model};
use crate::chat::line::Line;
use crate::chat::rows;

impl Model {
    pub(super) fn key(&mut self, now_ms: i64, key: KeyEvent) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.notice = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return self.leave();
        }
        if self.help {
            // Whatever it is, it is meant to go on.
            self.help = false;
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char(' ')) {
                return None;
            }
        }
        match key.code {
            KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => self.insert("\n"),
            KeyCode::Enter => return self.enter(now_ms),
            KeyCode::Esc => self.naming = None,
            KeyCode::F(1) => self.help = true,
            KeyCode::Char('n') if control => self.naming = Some(Line::default()),
            KeyCode::Char('p') if control => self.switch(false),
            _ if self.moved(key) => {}
            _ => self.edit(key, control),
        }
        None
    }

    /// Leaves; asks once more when that would give something up.
    fn leave(&mut self) -> Option<Effect> {
        let waiting = self.unacknowledged();
        if waiting == 0 || self.leaving {
            return Some(Effect::Quit);
        }
        self.leaving = true;
        let what = match waiting {
            1 => "1 message is".to_owned(),
            many => format!("{many} messages are"),
        };
        self.notice = Some(format!(
            "{what} not stored by the server yet; leave again to give up"
        ));
        None
    }

    /// Keys that change what is seen.
    fn moved(&mut self, key: KeyEvent) -> bool {
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let page = rows::areas(self.size).messages.height;
        let page = isize::try_from(page).map_or(1, |rows| (rows - 1).max(1));
        match key.code {
            KeyCode::Tab => self.switch(true),
            KeyCode::BackTab => self.switch(false),
            KeyCode::Down if alt => self.switch(true),
            KeyCode::Up if alt => self.switch(false),
            KeyCode::Up => self.scroll(1),
            KeyCode::Down => self.scroll(-1),
            KeyCode::PageUp => self.scroll(page),
            KeyCode::PageDown => self.scroll(-page),
            _ => return false,
        }
        true
    }

    fn switch(&mut self, forward: bool) {
        let count = self.talks.len();
        if count == 0 {
            return;
        }
        self.naming = None;
        let next = match (self.open, forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(open), true) => (open + 1) % count,
            (Some(open), false) => (open + count - 1) % count,
        };
        self.show(next);
    }

    /// The line that is being typed.
    fn line(&mut self) -> Option<&mut Line> {
        match (&mut self.naming, self.open) {
            (Some(name), _) => Some(name),
            (None, Some(open)) => self.talks.get_mut(open).map(|talk| &mut talk.draft),
            (None, None) => Some(&mut self.lobby),
        }
    }

    fn edit(&mut self, key: KeyEvent, control: bool) {
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let Some(line) = self.line() else {
            return;
        };
        match key.code {
            KeyCode::Left => line.left(),
            KeyCode::Right => line.right(),
            KeyCode::Home => line.home(),
            KeyCode::End => line.end(),
            KeyCode::Backspace if alt => line.delete_word(),
            KeyCode::Backspace => line.backspace(),
            KeyCode::Delete => line.delete(),
            KeyCode::Char('a') if control => line.home(),
            KeyCode::Char('e') if control => line.end(),
            KeyCode::Char('b') if control => line.left(),
            KeyCode::Char('f') if control => line.right(),
            KeyCode::Char('h') if control => line.backspace(),
            KeyCode::Char('w') if control => line.delete_word(),
            KeyCode::Char('u') if control => line.delete_to_start(),
            KeyCode::Char('k') if control => line.delete_to_end(),
            KeyCode::Char('j') if control => self.insert("\n"),
            KeyCode::Char(typed) if !control && !alt => {
                self.insert(typed.encode_utf8(&mut [0; 4]));
            }
            _ => {}
        }
    }

    fn insert(&mut self, text: &str) {
        if let Some(line) = self.line() {
            line.insert(text);
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        // Terminals paste line breaks as the key that types them.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        self.insert(&text);
    }

    fn enter(&mut self, now_ms: i64) -> Option<Effect> {
        if let Some(mut name) = self.naming.take() {
            self.begin(name.take().trim());
            return None;
        }
        let line = self.line()?;
        let words = line.text().trim();
        if words.is_empty() {
            return None;
        }
        if words.starts_with('/') && !words.starts_with("//") {
            let words = words.to_owned();
            line.take();
            return self.command(&words);
        }
        let Some(open) = self.open else {
            self.notice = Some("to whom? Ctrl+N begins a conversation, Tab opens one".to_owned());
            return None;
        };
        let mut text = self.talks.get_mut(open)?.draft.take();
        if text.starts_with("//") {
            text.remove(0);
        }
        Some(self.send(now_ms, open, text))
    }

    fn send(&mut self, now_ms: i64, open: usize, text: String) -> Effect {
        let number = self.number();
        let entry = Entry {
            number,
            id: String::new(),
            from: self.me.clone(),
            text: text.clone(),
            time_ms: now_ms,
            mark: Mark::Typed,
        };
        self.push(open, entry);
        let peer = self.talks[open].peer.clone();
        Effect::Send { peer, number, text }
    }

    fn begin(&mut self, name: &str) {
        match Address::parse(name) {
            Ok(_) => {
                let index = self.talk(name);
                self.show(index);
            }
            // Nothing typed is nothing wanted.
            Err(_) if name.is_empty() => {}
            Err(rule) => self.notice = Some(format!("the name {rule}")),
        }
    }

    fn log_in(&mut self) -> Option<Effect> {
        if matches!(self.link, Link::Kicked { .. } | Link::Refused { .. }) {
            self.link = Link::Connecting;
            return Some(Effect::LogIn);
        }
        self.notice = Some("it logs in again by itself".to_owned());
        None
    }

    fn command(&mut self, words: &str) -> Option<Effect> {
        let (command, rest) = words.split_once(' ').unwrap_or((words, ""));
        match command {
            "/quit" | "/exit" => return self.leave(),
            "/help" => self.help = true,
            "/login" => return self.log_in(),
            "/new" if rest.trim().is_empty() => self.naming = Some(Line::default()),
            "/new" => self.begin(rest.trim()),
            _ => {
                self.notice = Some(format!(
                    "there is no {command}; /help shows what there is, //… sends a slash"
                ));
            }
        }
        None
    }
}
