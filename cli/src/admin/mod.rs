//! `tidings admin`: everything that an operator does to a server's data. Speaks to the server that
//! runs on the data directory, or works on its files if none does.
//!
//! Here: accounts, API keys, blocks and trial certificates; in `task`: users, groups, backups and the
//! care of the store; in `show`: answers as text.

mod show;
mod task;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use tidings_server::admin;
use tidings_server::auth::Command;
use tidings_server::tls::self_signed;

use crate::secret;

/// Users, accounts, keys, blocks, groups, backups, certificates
///
/// Works on a running server and on the files of one that does not run.
#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// The server's data directory
    #[arg(
        long,
        value_name = "DIR",
        env = "TIDINGS_DATA",
        default_value = "tidings-data",
        global = true
    )]
    data: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keys for the HTTP API
    #[command(subcommand)]
    Key(Key),
    /// Accounts with a password
    #[command(subcommand)]
    Account(Account),
    /// Shut a user or an address out, and list who is
    #[command(subcommand)]
    Block(Block),
    /// Let a user or an address in again
    #[command(subcommand)]
    Unblock(Unblock),
    /// Who changed what of accounts, keys and blocks: the newest first
    Audit {
        /// Go on below this number
        #[arg(long, value_name = "N")]
        before: Option<i64>,
    },
    #[command(flatten)]
    Task(task::What),
    /// Make a certificate for trying TLS out
    Cert {
        /// Where cert.pem and key.pem are written
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// A host name or address of this server; can be given several times
        #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
        names: Vec<String>,
        /// Replaces files that are there already
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Key {
    /// Make one; it is printed alone on the last line, and cannot be shown again
    Create {
        /// What it permits
        #[arg(long, value_parser = ["admin", "send", "read"])]
        scope: String,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// Calls a second, up to 100000; twice as many in a row [default: 1000]
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
    },
    /// All of them, without the keys themselves
    List,
    /// End one
    Revoke { id: i64 },
}

#[derive(Debug, clap::Subcommand)]
enum Account {
    /// Make one; its password is asked for, or the first line of standard input
    Add {
        user: String,
        /// Its password is the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Agents and administrators need their password whatever auth.mode says
        #[arg(long, default_value = "user", value_parser = ["user", "agent", "admin"])]
        role: String,
    },
    /// Change a password: it is asked for, or the first line of standard input
    Passwd {
        user: String,
        /// The new password is the first line of this file
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Make one something else: user, agent or admin; its password stays
    Role {
        user: String,
        #[arg(value_parser = ["user", "agent", "admin"])]
        role: String,
    },
    /// Remove one; messages stay. Who was an agent of a desk by it is none any more
    Remove { user: String },
    /// All of them
    List,
}

#[derive(Debug, clap::Subcommand)]
enum Block {
    /// Shut a user out, and end his sessions
    User {
        user: String,
        /// For whoever looks at the list
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Refuse logins from an address, or a network as 192.0.2.0/24
    Address {
        address: String,
        /// For whoever looks at the list
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Everybody who is shut out
    List,
}

#[derive(Debug, clap::Subcommand)]
enum Unblock {
    /// A user
    User { user: String },
    /// An address or a network, as it was blocked
    Address { address: String },
}

/// Runs the command.
pub(crate) fn run(args: AdminArgs) -> anyhow::Result<ExitCode> {
    let data = args.data;
    let command = match args.what {
        What::Task(what) => return task::run(&data, what),
        What::Cert { out, names, force } => {
            certificate(&out, &names, force)?;
            return Ok(ExitCode::SUCCESS);
        }
        What::Key(key) => key.into_command()?,
        What::Account(account) => account.into_command()?,
        What::Block(block) => block.into_command(),
        What::Audit { before } => Command::AuditList { before },
        What::Unblock(Unblock::User { user }) => Command::UnblockUser { user },
        What::Unblock(Unblock::Address { address }) => Command::UnblockAddress { address },
    };
    let answer = admin::run(&data, command)?;
    let text = show::answer(&answer);
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Key {
    fn into_command(self) -> anyhow::Result<Command> {
        Ok(match self {
            Key::Create { scope, name, rate } => {
                let Ok(scope) = scope.parse() else {
                    bail!("there is no scope {scope}");
                };
                Command::KeyCreate { scope, name, rate }
            }
            Key::List => Command::KeyList,
            Key::Revoke { id } => Command::KeyRevoke { id },
        })
    }
}

impl Account {
    fn into_command(self) -> anyhow::Result<Command> {
        Ok(match self {
            Account::Add {
                user,
                password_file,
                role,
            } => {
                let Ok(role) = role.parse() else {
                    bail!("there is no role {role}");
                };
                let password = secret::password(password_file.as_deref())?;
                Command::AccountAdd {
                    user,
                    role,
                    password,
                }
            }
            Account::Passwd {
                user,
                password_file,
            } => {
                let password = secret::password(password_file.as_deref())?;
                Command::AccountPassword { user, password }
            }
            Account::Role { user, role } => {
                let Ok(role) = role.parse() else {
                    bail!("there is no role {role}");
                };
                Command::AccountRole { user, role }
            }
            Account::Remove { user } => Command::AccountRemove { user },
            Account::List => Command::AccountList,
        })
    }
}

impl Block {
    fn into_command(self) -> Command {
        match self {
            Block::User { user, reason } => Command::BlockUser { user, reason },
            Block::Address { address, reason } => Command::BlockAddress { address, reason },
            Block::List => Command::BlockList,
        }
    }
}

fn certificate(out: &Path, names: &[String], force: bool) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_s = i64::try_from(now.as_secs())?;
    let pair = self_signed(names, now_s).map_err(anyhow::Error::msg)?;
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let files = [("key.pem", &pair.key), ("cert.pem", &pair.certificate)];
    if !force {
        for (name, _) in files {
            let path = out.join(name);
            if path.exists() {
                bail!("{} is there already; --force replaces it", path.display());
            }
        }
    }
    for (name, text) in files {
        let path = out.join(name);
        write_private(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Under its name only when it is whole, because a server may be watching; never readable to others.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("pem.new");
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
