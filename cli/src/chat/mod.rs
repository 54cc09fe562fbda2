//! `tidings chat`: a conversation, full-screen on a terminal, line by line elsewhere.
//!
//! Here: a pure [`model`], its picture (`draw`, `rows`), the terminal that shows it (`screen`), and
//! the mode without one (`plain`); what support teams tell, in words (`notice`). Not here: the protocol and reconnecting (`tidings-client`).

mod draw;
mod line;
mod model;
mod notice;
mod plain;
mod rows;
mod screen;
mod text;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;
use tidings_core::ids::Address;

use crate::send::wrong_usage;
use crate::target::TargetArgs;

/// Chats, full-screen: conversations on the left, the open one on the right.
///
/// Own messages are marked: ✓ sent, ✓✓ stored by the server, ✗ refused. /help or F1 shows the keys.
/// It shows what arrived since it was started and keeps nothing when it ends.
///
/// Plain mode, when input or output is not a terminal: each line of the input is a message, to the
/// one PEER or, with several or none, to whom its first word names (`bob: hello`); incoming messages
/// are printed as `alice: hello`, or `#group alice: hello`. At the end of the input it waits until
/// everything is acknowledged. Exit codes: 0 all stored; 1 something was not, or the login ended; 2
/// wrong usage.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// A device of its own, of class `terminal`: the server remembers what it has read, and shows
    /// what this user sends from other devices
    #[arg(long, env = "TIDINGS_DEVICE", value_name = "DEVICE")]
    device: Option<String>,
    /// Line by line even on a terminal
    #[arg(long, env = "TIDINGS_PLAIN")]
    plain: bool,
    /// With whom: users, #groups, @teams, or 0 for the server
    #[arg(value_name = "PEER", value_parser = address)]
    peers: Vec<String>,
}

fn address(name: &str) -> Result<String, String> {
    match Address::parse(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(rule) => Err(format!("a name {rule}")),
    }
}

pub(crate) async fn run(args: ChatArgs) -> anyhow::Result<ExitCode> {
    // A message is worth repeating for as long as somebody waits for it.
    let mut builder = match args.target.client() {
        Ok(builder) => builder.retries(u32::MAX).desk_notices(true),
        Err(error) => return wrong_usage(&error),
    };
    if let Some(device) = &args.device {
        builder = builder.device(device, "terminal").own_messages(true);
    }
    let (client, events) = match builder.connect().await {
        Ok(connected) => connected,
        Err(error) => return wrong_usage(&error),
    };
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let outcome = if terminal && !args.plain {
        screen::run(&args, &client, events).await
    } else {
        plain::run(&args.peers, &client, events).await
    };
    client.close().await;
    outcome
}
