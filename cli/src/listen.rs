//! `tidings listen`: prints what comes in, one line a message.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc;

use clap::Args;
use tidings_client::{Event, Events, Incoming};
use tokio::sync::oneshot;

use crate::say::{self, say};
use crate::send::wrong_usage;
use crate::target::TargetArgs;

/// Prints every message that comes in, one line each: time, from, text, id and number.
///
/// A message is acknowledged to the server only after its line was written. Ends with exit code 0
/// after --count messages, on Ctrl-C, or when nobody reads its output any more; with 1 when the
/// server refuses or ends the login; with 2 on wrong usage.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// End after so many messages
    #[arg(long, env = "TIDINGS_COUNT", value_name = "N")]
    count: Option<u64>,
    /// Print one JSON object a line
    #[arg(long, env = "TIDINGS_JSON")]
    json: bool,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// For a program: line breaks are escaped, so that a message stays a line.
    Plain,
    /// For a terminal: control characters are escaped, so that no message can play with it.
    Terminal,
}

/// Why listening ended.
enum End {
    Done,
    Failed(String),
}

pub(crate) async fn run(args: ListenArgs) -> anyhow::Result<ExitCode> {
    let builder = match args.target.client() {
        Ok(builder) => builder,
        Err(error) => return wrong_usage(&error),
    };
    let (client, mut events) = match builder.connect().await {
        Ok(connected) => connected,
        Err(error) => return wrong_usage(&error),
    };
    let form = match (args.json, io::stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Terminal,
        (false, false) => Form::Plain,
    };
    let end = tokio::select! {
        end = listen(&mut events, args.count, form) => end?,
        () = stopped() => End::Done,
    };
    client.close().await;
    match end {
        End::Done => Ok(ExitCode::SUCCESS),
        End::Failed(why) => anyhow::bail!(why),
    }
}

async fn listen(events: &mut Events, count: Option<u64>, form: Form) -> anyhow::Result<End> {
    let printer = Printer::start()?;
    let mut left = count;
    while left != Some(0) {
        let Some(event) = events.next().await else {
            break;
        };
        match event {
            Event::Message(message) => {
                match printer.print(render(&message, form)).await {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(End::Done);
                    }
                    Err(error) => return Err(error.into()),
                }
                events.confirm();
                left = left.map(|left| left - 1);
            }
            Event::LoggedIn { .. } => say(format_args!("logged in")),
            Event::LinkLost { reason } => say(format_args!("{reason}; trying again")),
            Event::Error { code, text } => {
                say(format_args!("the server says: {text} (code {code})"));
            }
            Event::Refused { code } => {
                let why = format!("the server refused the login with code {code}");
                return Ok(End::Failed(why));
            }
            Event::Kicked { code, reason } => {
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let why = format!("the server ended the login with code {code}{reason}");
                return Ok(End::Failed(why));
            }
            _ => {}
        }
    }
    Ok(End::Done)
}

/// A thread that writes lines. Whoever reads them may be slow for ever; a signal still ends us.
pub(crate) struct Printer {
    lines: mpsc::Sender<(String, oneshot::Sender<io::Result<()>>)>,
}

impl Printer {
    pub(crate) fn start() -> io::Result<Printer> {
        let (lines, waiting) = mpsc::channel::<(String, oneshot::Sender<io::Result<()>>)>();
        std::thread::Builder::new().spawn(move || {
            for (line, written) in waiting {
                // Nobody waits for it once we were told to stop.
                let _ = written.send(print(&line));
            }
        })?;
        Ok(Printer { lines })
    }

    /// Returns once the line was written.
    pub(crate) async fn print(&self, line: String) -> io::Result<()> {
        let (written, answer) = oneshot::channel();
        let gone = || io::Error::other("the writing thread is gone");
        self.lines.send((line, written)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// One write for each line, flushed at once: whoever reads it has whole lines.
fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

fn render(message: &Incoming, form: Form) -> String {
    if form == Form::Json {
        let object = serde_json::json!({
            "from": *message.from,
            "to": *message.to,
            "id": *message.id,
            "seq": message.seq,
            "time": message.time_ms,
            "typeu": message.typeu,
            "text": message.text,
        });
        return object.to_string();
    }
    let time = message.time_ms.map_or_else(|| "-".to_owned(), utc);
    let seq = message
        .seq
        .map_or_else(String::new, |seq| format!(" {seq}"));
    let text = escaped(&message.text, form);
    // Names come from the server, and a hostile one may send anything.
    let from = escaped(&message.from, form);
    let id = escaped(&message.id, form);
    format!("{time}  {from}  {text}  ({id}{seq})")
}

pub(crate) fn escaped(text: &str, form: Form) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match (form, character) {
            // So that what is written out can be told from what was sent so.
            (_, '\n' | '\r' | '\\') => {
                let _ = write!(out, "{}", character.escape_default());
            }
            (Form::Terminal, character) => say::push(&mut out, character),
            _ => out.push(character),
        }
    }
    out
}

/// `2024-05-01T12:34:56.789Z`; the number itself beyond all calendars.
fn utc(time_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms);
    time.map_or_else(
        |_| time_ms.to_string(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    )
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the system's own way of ending a program remains.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
