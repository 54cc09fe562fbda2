//! Accounts and agents without a running server: the same rules as with one. A plain account does not
//! take the name of an agent, and whoever has no account is no agent.

use std::path::Path;

use serde_json::Value;

use super::now_ms;
use crate::auth::{Command, Fault, Registry, check_not_an_agents};
use crate::desk::directory::{self, Directory, Entry};

const BY: &str = "tidings admin";

/// Carries a command out on the files.
pub(super) fn execute(dir: &Path, registry: &Registry, command: Command) -> Result<Value, Fault> {
    let desk = match dir.join(directory::FILE).is_file() {
        true => Some(Directory::open(Some(dir)).map_err(storage)?),
        false => None,
    };
    let tenant_of = |user: &str| {
        let roster = desk.as_ref().map(Directory::roster);
        roster.and_then(|roster| roster.tenant_of(user).cloned())
    };
    if let Command::AccountAdd { user, role, .. } = &command {
        check_not_an_agents(*role, tenant_of(user).is_some(), user)?;
    }
    let no_agent = command.ends().filter(|ends| ends.no_agent);
    let done = registry.execute(command, now_ms(), BY)?;
    if let Some(user) = no_agent.as_ref().and_then(|ends| ends.user())
        && let (Some(desk), Some(tenant)) = (&desk, tenant_of(user))
    {
        let by = Entry {
            time_ms: now_ms(),
            who: BY.to_owned(),
        };
        desk.remove("agent", &tenant, user, &by).map_err(storage)?;
    }
    Ok(done)
}

fn storage(error: directory::DirectoryError) -> Fault {
    Fault::Storage(error.to_string())
}
