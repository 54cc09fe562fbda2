//! The accounts of `serve --demo`: their passwords stand in the documentation.

use rusqlite::{Connection, OptionalExtension as _};

use super::trail::Act;
use super::{Fault, Registry, Role};
use crate::auth::crypt;

/// Account and password. The last is whom OCIM's old pages log in as.
pub(crate) const ACCOUNTS: [(&str, &str); 4] = [
    ("agent1", "demo"),
    ("agent2", "demo"),
    ("boss", "demo"),
    ("zhangsan", "password"),
];

/// Those that a version made which did not mark them. Hashes their passwords: once.
pub(super) fn mark_those_from_before(db: &Connection) -> rusqlite::Result<()> {
    for (user, password) in ACCOUNTS {
        let sql = "SELECT hash FROM account WHERE user = ?1";
        let hash: Option<String> = db.query_row(sql, [user], |row| row.get(0)).optional()?;
        if hash.is_some_and(|hash| crypt::verify_password(password, &hash)) {
            db.execute("UPDATE account SET demo = 1 WHERE user = ?1", [user])?;
        }
    }
    Ok(())
}

impl Registry {
    /// Makes those that are not there, and lets all of them be good for something. Blocks.
    pub(crate) fn demo_accounts(&self, now_ms: i64) -> Result<(), Fault> {
        self.allow_demo();
        for (user, password) in ACCOUNTS {
            if self.standing(user).is_some() {
                continue; // whatever was changed since stays
            }
            let act = Act {
                by: "serve --demo",
                now_ms,
                what: "account add",
            };
            self.account_insert(user, Role::Agent, password, true, act)?;
        }
        Ok(())
    }
}
