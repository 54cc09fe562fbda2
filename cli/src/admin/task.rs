//! Users, groups, backups, and the care of the store.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tidings_server::admin::{self, Task};
use tidings_server::core::limits;

use super::show;

#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Who has ever logged in, and from where
    #[command(subcommand)]
    User(User),
    /// Groups and their members; named without their `#`
    #[command(subcommand)]
    Group(Group),
    /// End all sessions of a user who is online
    Kick {
        user: String,
        /// Told to the client
        #[arg(long)]
        reason: Option<String>,
    },
    /// Copy everything into a new directory while messages go on
    Backup {
        /// Which; a server that runs must be able to write there
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Make the data directory out of a backup; it must be empty, or not there
    Restore {
        /// What `backup` wrote
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
    /// Look whether everything is what was written: exit code 1 if not
    Check,
    /// Remove old messages now, but none that a living device has not acknowledged
    Retention {
        /// How old
        #[arg(long, value_name = "N")]
        days: u32,
    },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// All of them, by name
    List,
    /// Devices and sessions of one
    Show { user: String },
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Group {
    /// All of them, by name
    List,
    /// The members of one
    Show { group: String },
    /// Make one have exactly these members
    Set {
        group: String,
        /// User ids; `-` reads them from standard input, one a line
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Add a member, at once also if he is online
    Add { group: String, user: String },
    /// Remove a member, or without one the group; its messages stay
    Remove { group: String, user: Option<String> },
}

/// Does it, and prints what came of it.
pub(super) fn run(data: &Path, what: What) -> anyhow::Result<ExitCode> {
    let task = match what {
        What::User(User::List) => {
            return list(data, "users", |after| Task::UserList { after });
        }
        What::Group(Group::List) => {
            return list(data, "groups", |after| Task::GroupList { after });
        }
        What::Restore { from } => {
            let checked = admin::restore(data, &from)?;
            return verdict(&checked["check"]);
        }
        What::Check => {
            let checked = admin::perform(data, Task::Check)?;
            return verdict(&checked["check"]);
        }
        What::User(User::Show { user }) => Task::UserShow { user },
        What::Group(group) => group.into_task()?,
        What::Kick { user, reason } => Task::Kick { user, reason },
        What::Backup { to } => Task::Backup {
            to: std::path::absolute(&to).with_context(|| to.display().to_string())?,
        },
        What::Retention { days } => Task::Retention { days },
    };
    let answer = admin::perform(data, task)?;
    say(&words(&answer))?;
    Ok(ExitCode::SUCCESS)
}

impl Group {
    fn into_task(self) -> anyhow::Result<Task> {
        Ok(match self {
            Group::List => Task::GroupList {
                after: String::new(),
            },
            Group::Show { group } => Task::GroupShow { group },
            Group::Set { group, members } if members == ["-"] => {
                let text = io::read_to_string(io::stdin()).context("standard input")?;
                let members: Vec<String> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect();
                if members.is_empty() {
                    bail!("no members on standard input");
                }
                Task::GroupSet { group, members }
            }
            Group::Set { group, members } => Task::GroupSet { group, members },
            Group::Add { group, user } => Task::GroupAdd { group, user },
            Group::Remove { group, user } => Task::GroupRemove { group, user },
        })
    }
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// Page after page.
fn list(data: &Path, name: &str, page: fn(String) -> Task) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let mut answer = admin::perform(data, page(after))?;
        if let Some(Value::Array(mut found)) = answer.get_mut(name).map(Value::take) {
            rows.append(&mut found);
        }
        match answer["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    say(&show::table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

/// What came of a task, for people.
fn words(answer: &Value) -> String {
    let table = |name: &str| answer[name].as_array().map(|rows| show::table(rows));
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    match (table("devices"), table("sessions"), table("members")) {
        (Some(devices), Some(sessions), _) => {
            return format!("devices\n{devices}\nsessions\n{sessions}");
        }
        (_, _, Some(members)) => return members,
        _ => {}
    }
    if let Some(bytes) = answer["bytes"].as_u64() {
        return format!("{}: {bytes} bytes\n", text("backup"));
    }
    if let Some(removed) = answer["removed"].as_u64() {
        let days = &answer["days"];
        return format!("{removed} messages older than {days} days were removed\n");
    }
    if let Some(ended) = answer["ended"].as_u64() {
        return format!("{ended} sessions of {} were ended\n", text("user"));
    }
    String::new()
}

/// What a check found; its exit code.
fn verdict(checked: &Value) -> anyhow::Result<ExitCode> {
    let (messages, conversations) = (&checked["messages"], &checked["conversations"]);
    let faults = checked["faults"].as_u64().unwrap_or_default();
    let told = checked["told"].as_array().map_or(&[][..], Vec::as_slice);
    for words in told.iter().filter_map(Value::as_str) {
        say(&format!("{words}\n"))?;
    }
    if faults > told.len() as u64 {
        let max = limits::FAULTS_TOLD_MAX;
        say(&format!("… (FAULTS_TOLD_MAX = {max} are shown)\n"))?;
    }
    let looked = format!("{messages} messages in {conversations} conversations");
    if faults == 0 {
        say(&format!(
            "{looked}: all as they were written, numbered without gaps, found by every index\n"
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{looked}: {faults} faults\n"))?;
    Ok(ExitCode::FAILURE)
}
