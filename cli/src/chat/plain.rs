//! The mode without a terminal: lines in, lines out, what happens on the standard error.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, BufRead, IsTerminal as _, Read as _};
use std::pin::Pin;
use std::process::ExitCode;

use tidings_client::{Client, Event, Events, Incoming};
use tidings_core::ids::{Address, Name};
use tokio::sync::mpsc;

use super::notice;
use crate::listen::{Form, Printer, escaped, stopped};
use crate::say::say;

/// Longest line that is read; frames are far shorter, and the client names their limit.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Own messages that wait for their acknowledgement; no line is read beyond.
const WAITING_MAX: usize = 1000;

/// A line of the input, or why it cannot be one.
type Typed = Result<String, String>;
type Printing<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

pub(super) async fn run(
    peers: &[String],
    client: &Client,
    events: Events,
) -> anyhow::Result<ExitCode> {
    let mut plain = Plain {
        peers,
        client,
        events,
        waiting: HashMap::new(),
        line: 0,
        failed: 0,
        complaint: None,
    };
    tokio::select! {
        end = plain.run() => end?,
        () = stopped() => {}
    }
    if !plain.waiting.is_empty() {
        let waiting = plain.waiting.len();
        anyhow::bail!("not acknowledged: {waiting}; they may have arrived all the same");
    }
    Ok(match plain.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

struct Plain<'a> {
    peers: &'a [String],
    client: &'a Client,
    events: Events,
    /// The input's line number of each message that is not acknowledged.
    waiting: HashMap<Name, u64>,
    line: u64,
    /// Lines that were not sent or not taken.
    failed: u64,
    /// The server's last words, which may be about the message that is given up next.
    complaint: Option<String>,
}

impl Plain<'_> {
    /// Returns at the end of the input, once everything is settled, or when nobody reads any more.
    async fn run(&mut self) -> anyhow::Result<()> {
        let printer = Printer::start()?;
        let mut printing: Option<Printing<'_>> = None;
        let mut input = Some(lines()?);
        loop {
            if input.is_none() && self.waiting.is_empty() && printing.is_none() {
                return Ok(());
            }
            let room = self.waiting.len() < WAITING_MAX;
            tokio::select! {
                written = pending(&mut printing) => {
                    printing = None;
                    match written {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        written => written?,
                    }
                    self.events.confirm();
                }
                line = next(&mut input), if room => match line {
                    Some(line) => self.typed(line).await,
                    None => input = None,
                },
                // The message before is acknowledged only once it was written.
                event = self.events.next(), if printing.is_none() => match event {
                    Some(Event::Message(message)) => {
                        if let Some(message) = notice::shown(message) {
                            printing = Some(Box::pin(printer.print(render(&message))));
                        }
                    }
                    Some(event) => self.happened(event)?,
                    None => anyhow::bail!("the client ended"),
                },
            }
        }
    }

    async fn typed(&mut self, line: Typed) {
        self.line += 1;
        let addressed = line.and_then(|line| addressed(self.peers, &line));
        match addressed {
            Ok(None) => {}
            Ok(Some((peer, text))) => match self.client.send(&peer, text).await {
                Ok(id) => drop(self.waiting.insert(id, self.line)),
                Err(error) => self.fail(self.line, &error.to_string()),
            },
            Err(problem) => self.fail(self.line, &problem),
        }
    }

    fn fail(&mut self, line: u64, why: &str) {
        self.failed += 1;
        say(format_args!("line {line} was not sent: {why}"));
    }

    fn happened(&mut self, event: Event) -> anyhow::Result<()> {
        let complaint = self.complaint.take();
        match event {
            Event::LoggedIn { .. } => say(format_args!("logged in")),
            Event::LinkLost { reason } => say(format_args!("{reason}; trying again")),
            Event::Acknowledged { id, .. } => {
                if let Some(line) = self.waiting.remove(&id) {
                    say(format_args!("line {line} is stored"));
                }
            }
            Event::Lost { id } => {
                if let Some(line) = self.waiting.remove(&id) {
                    self.fail(line, complaint.as_deref().unwrap_or("no answer"));
                }
            }
            Event::Error { code, text } => {
                let words = format!("{} (code {code})", escaped(&text, Form::Terminal));
                say(format_args!("the server says: {words}"));
                self.complaint = Some(words);
            }
            Event::Refused { code } => {
                anyhow::bail!("the server refused the login with code {code}");
            }
            Event::Kicked { code, reason } => anyhow::bail!(
                "the server ended the login with code {code}{}",
                reason.map_or_else(String::new, |reason| format!(": {reason}"))
            ),
            _ => {}
        }
        Ok(())
    }
}

async fn pending(printing: &mut Option<Printing<'_>>) -> io::Result<()> {
    match printing {
        Some(printing) => printing.await,
        None => std::future::pending().await,
    }
}

async fn next(input: &mut Option<mpsc::Receiver<Typed>>) -> Option<Typed> {
    match input {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// To whom a line goes, and what; nothing for an empty one.
fn addressed(peers: &[String], line: &str) -> Result<Option<(String, String)>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    // With one peer all of the line is text, also if it begins like an address.
    if let [peer] = peers {
        return Ok(Some((peer.clone(), line.to_owned())));
    }
    let (first, text) = line.split_once(' ').unwrap_or((line, ""));
    match first.strip_suffix(':') {
        Some(peer) if Address::parse(peer).is_ok() => Ok(Some((peer.to_owned(), text.to_owned()))),
        _ => Err("its first word is no receiver, as in `bob: hello`".to_owned()),
    }
}

/// One message, one line.
fn render(message: &Incoming) -> String {
    let form = if io::stdout().is_terminal() {
        Form::Terminal
    } else {
        Form::Plain
    };
    let from = escaped(&message.from, form);
    let text = escaped(&message.text, form);
    if message.to.starts_with(['#', '@']) {
        format!("{} {from}: {text}", escaped(&message.to, form))
    } else {
        format!("{from}: {text}")
    }
}

/// A thread that reads lines, no faster than they are taken.
fn lines() -> io::Result<mpsc::Receiver<Typed>> {
    let (line, lines) = mpsc::channel(1);
    std::thread::Builder::new().spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(typed) = read_line(&mut input) {
            if line.blocking_send(typed).is_err() {
                break;
            }
        }
    })?;
    Ok(lines)
}

fn read_line(input: &mut impl BufRead) -> Option<Typed> {
    let mut line = Vec::new();
    match input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
    {
        // An input that fails has ended, too.
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    let whole = line.pop_if(|last| *last == b'\n').is_some();
    if !whole && line.len() as u64 == LINE_BYTES_MAX {
        skip_line(input);
        return Some(Err("it is longer than a message can be".to_owned()));
    }
    line.pop_if(|last| *last == b'\r');
    Some(String::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned()))
}

/// The rest of a line that is too long.
fn skip_line(input: &mut impl BufRead) {
    loop {
        let mut part = Vec::new();
        let read = input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut part);
        if matches!(read, Ok(0) | Err(_)) || part.last() == Some(&b'\n') {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(peer: &str, text: &str) -> Result<Option<(String, String)>, String> {
        Ok(Some((peer.to_owned(), text.to_owned())))
    }

    #[test]
    fn the_first_word_names_the_receiver_unless_there_is_one_peer() {
        let one = ["bob".to_owned()];
        let two = ["bob".to_owned(), "carol".to_owned()];
        assert_eq!(
            addressed(&one, "note: buy milk"),
            to("bob", "note: buy milk")
        );
        assert_eq!(
            addressed(&two, "carol: hello there"),
            to("carol", "hello there")
        );
        assert_eq!(addressed(&[], "#team: 你好"), to("#team", "你好"));
        assert_eq!(addressed(&[], "bob:  indented"), to("bob", " indented"));
        assert_eq!(addressed(&[], "  "), Ok(None));
        assert!(addressed(&[], "hello bob: x").is_err());
        assert!(addressed(&[], ": x").is_err());
        assert!(addressed(&two, "http://example.org").is_err());
    }

    #[test]
    fn lines_that_cannot_be_messages_are_told_and_skipped() {
        let mut bytes = b"one\r\n\xff\n".to_vec();
        bytes.extend(vec![b'x'; LINE_BYTES_MAX as usize * 2 + 5]);
        bytes.extend(b"\nlast");
        let mut input = &bytes[..];
        assert_eq!(read_line(&mut input), Some(Ok("one".to_owned())));
        assert!(
            read_line(&mut input)
                .unwrap()
                .unwrap_err()
                .contains("UTF-8")
        );
        assert!(
            read_line(&mut input)
                .unwrap()
                .unwrap_err()
                .contains("longer")
        );
        assert_eq!(read_line(&mut input), Some(Ok("last".to_owned())));
        assert_eq!(read_line(&mut input), None);
    }
}
