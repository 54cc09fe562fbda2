//! `tidings send`: hands one message over and waits for its acknowledgement.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tidings_client::{Client, Event, Events, Message};
use tokio::time::timeout;

/// Exit code for a command line that makes no sense.
const USAGE: u8 = 2;

use crate::say::say;
use crate::target::TargetArgs;

/// Sends one message; exits with 0 once the server has acknowledged it, that is, stored it.
///
/// Exit codes: 0 acknowledged; 1 not acknowledged in time, or refused; 2 wrong usage.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Who receives: a user, #group, @team, or 0 for the server
    #[arg(long, env = "TIDINGS_TO", value_name = "ADDRESS")]
    to: String,
    /// Send the content of this file as one message; `-` is the standard input
    #[arg(
        long,
        env = "TIDINGS_FILE",
        value_name = "FILE",
        conflicts_with = "text"
    )]
    file: Option<PathBuf>,
    /// The application's own type of message
    #[arg(long, env = "TIDINGS_TYPEU", value_name = "N", default_value_t = -1, allow_hyphen_values = true)]
    typeu: i32,
    /// Longest time to wait for the acknowledgement, in seconds
    #[arg(
        long,
        env = "TIDINGS_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30
    )]
    timeout: u64,
    /// The message
    #[arg(value_name = "TEXT", required_unless_present = "file")]
    text: Option<String>,
}

/// Longest file that is read at all; frames are far shorter, and the client names their limit.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(crate) async fn run(args: SendArgs) -> anyhow::Result<ExitCode> {
    let text = match (&args.file, &args.text) {
        (Some(path), _) => read(path)?,
        (None, Some(text)) => text.clone(),
        (None, None) => String::new(),
    };
    // The time limit decides when to give up, not a number of repetitions.
    let builder = match args.target.client() {
        Ok(builder) => builder.retries(u32::MAX),
        Err(error) => return wrong_usage(&error),
    };
    let (client, mut events) = match builder.connect().await {
        Ok(connected) => connected,
        Err(error) => return wrong_usage(&error),
    };
    let message = Message::new(&args.to, text).typeu(args.typeu);
    let limit = Duration::from_secs(args.timeout);
    let outcome = timeout(limit, deliver(&client, &mut events, message)).await;
    client.close().await;
    match outcome {
        Ok(outcome) => outcome.map(|()| ExitCode::SUCCESS),
        Err(_) => anyhow::bail!(
            "not acknowledged within {} s; it may have arrived all the same",
            args.timeout
        ),
    }
}

pub(crate) fn wrong_usage(error: &impl std::fmt::Display) -> anyhow::Result<ExitCode> {
    say(format!("{error:#}"));
    Ok(ExitCode::from(USAGE))
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        let input = std::io::stdin().lock();
        input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path);
        file.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    let bytes = read.with_context(|| format!("cannot read {}", path.display()))?;
    let fits = u64::try_from(bytes).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX);
    anyhow::ensure!(fits, "{} is longer than a message can be", path.display());
    Ok(text)
}

/// Waits until the message is acknowledged; an error says why it will not be.
async fn deliver(client: &Client, events: &mut Events, message: Message) -> anyhow::Result<()> {
    let sent = client.send_message(message).await.context("not sent")?;
    let mut refusal = None;
    while let Some(event) = events.next().await {
        match event {
            Event::Acknowledged { id, .. } if id == sent => return Ok(()),
            Event::Lost { id } if id == sent => {
                let why = refusal.unwrap_or_else(|| "no answer".to_owned());
                anyhow::bail!("the server refused the message: {why}");
            }
            Event::Refused { code } => {
                anyhow::bail!("the server refused the login with code {code}");
            }
            Event::Kicked { code, reason } => anyhow::bail!(
                "the server ended the login with code {code}{}",
                reason.map_or_else(String::new, |reason| format!(": {reason}"))
            ),
            Event::LinkLost { reason } => say(format_args!("{reason}; trying again")),
            Event::Error { code, text } => {
                say(format_args!("the server says: {text} (code {code})"));
                refusal = Some(format!("{text} (code {code})"));
            }
            _ => {}
        }
    }
    anyhow::bail!("the client ended")
}
