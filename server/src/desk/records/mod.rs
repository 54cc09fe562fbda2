//! What was: conversations, their messages, figures, from the tables that the storage listener
//! "database" writes. Nothing here writes but the erasure of a customer's texts.
//!
//! - this file: one conversation, and looking for some; `reports`: figures over a time;
//!   `customer`: everything of one customer, and taking it away

pub(crate) mod customer;
pub(crate) mod reports;

use rusqlite::{Connection, Row, params};
use tidings_core::limits;

use super::sink::TYPE_NOTE;
use super::{DeskError, Desks};

/// One customer with one agent, or waiting.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) episode: u64,
    pub(crate) part: u32,
    pub(crate) customer: String,
    pub(crate) team: String,
    pub(crate) agent: Option<String>,
    pub(crate) opened_ms: i64,
    pub(crate) began_ms: i64,
    pub(crate) ended_ms: Option<i64>,
    pub(crate) waited_ms: i64,
    pub(crate) how: String,
    pub(crate) close_type: u8,
    pub(crate) customer_messages: u64,
    pub(crate) agent_messages: u64,
    pub(crate) first_answer_ms: Option<i64>,
    pub(crate) stars: Option<u8>,
    pub(crate) suggest: Option<String>,
}

const PART: &str = "SELECT episode, part, customer, team, agent, opened_ms, began_ms, ended_ms,
    waited_ms, how, close_type, customer_messages, agent_messages, first_answer_ms, stars, suggest
    FROM chat WHERE tenant = ?1";

impl Part {
    fn read(row: &Row<'_>) -> rusqlite::Result<Part> {
        Ok(Part {
            episode: row.get(0)?,
            part: row.get(1)?,
            customer: row.get(2)?,
            team: row.get(3)?,
            agent: row.get(4)?,
            opened_ms: row.get(5)?,
            began_ms: row.get(6)?,
            ended_ms: row.get(7)?,
            waited_ms: row.get(8)?,
            how: row.get(9)?,
            close_type: row.get(10)?,
            customer_messages: row.get(11)?,
            agent_messages: row.get(12)?,
            first_answer_ms: row.get(13)?,
            stars: row.get(14)?,
            suggest: row.get(15)?,
        })
    }

    /// Who ended it, for people.
    pub(crate) fn closed_by(&self) -> Option<&'static str> {
        match self.close_type {
            1 => Some("customer"),
            2 => Some("agent"),
            3 => Some("system"),
            4 => Some("transfer"),
            _ => None,
        }
    }
}

/// Where a conversation stands, of those that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    Active,
    Closed,
}

impl Standing {
    /// Of an episode, by its last part.
    pub(crate) fn of(last: &Part) -> Standing {
        match (last.close_type, &last.agent) {
            (0, None) => Standing::Waiting,
            (0, Some(_)) => Standing::Active,
            _ => Standing::Closed,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Standing::Waiting => "waiting",
            Standing::Active => "active",
            Standing::Closed => "closed",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Standing> {
        let all = [Standing::Waiting, Standing::Active, Standing::Closed];
        all.into_iter().find(|standing| standing.word() == word)
    }
}

/// What is looked for. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) customer: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) state: Option<Standing>,
    /// Opened since.
    pub(crate) from_ms: Option<i64>,
    /// Opened before.
    pub(crate) to_ms: Option<i64>,
    /// Somebody wrote this.
    pub(crate) text: Option<String>,
    /// Episodes below this number.
    pub(crate) before: Option<u64>,
}

/// A page of conversations, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The parts of each.
    pub(crate) episodes: Vec<Vec<Part>>,
    /// Where the next page goes on; `None` if nothing is left.
    pub(crate) before: Option<u64>,
}

/// A line of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) owner: u8,
    pub(crate) author: String,
    pub(crate) kind: u8,
    pub(crate) offline: bool,
    pub(crate) recalled: bool,
    pub(crate) text: String,
    pub(crate) time_ms: i64,
}

impl Line {
    /// Whether only agents see it.
    pub(crate) fn is_note(&self) -> bool {
        self.kind == TYPE_NOTE
    }
}

impl Desks {
    /// Reads from the tables, on a thread where it may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DeskError> {
        let directory = self.directory().clone();
        let read = tokio::task::spawn_blocking(move || directory.read(look)).await;
        let read = read.map_err(|e| e.to_string());
        let read = read.and_then(|read| read.map_err(|e| e.to_string()));
        read.map_err(DeskError::Store)
    }
}

/// The parts of an episode, in order.
pub(crate) fn parts(db: &Connection, tenant: &str, episode: u64) -> rusqlite::Result<Vec<Part>> {
    let sql = format!("{PART} AND episode = ?2 ORDER BY part");
    let mut statement = db.prepare_cached(&sql)?;
    let parts = statement.query_map(params![tenant, episode], Part::read)?;
    parts.collect()
}

/// The last lines of an episode below a number, ascending.
pub(crate) fn lines(
    db: &Connection,
    tenant: &str,
    episode: u64,
    before: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Line>> {
    let sql = "SELECT seq, message_id, owner, author, type, offline, recalled, text, time_ms
        FROM chat_record WHERE tenant = ?1 AND episode = ?2 AND seq < ?3
        ORDER BY seq DESC LIMIT ?4";
    let mut statement = db.prepare_cached(sql)?;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let lines = statement.query_map(params![tenant, episode, before, limit], |row| {
        Ok(Line {
            seq: row.get(0)?,
            id: row.get(1)?,
            owner: row.get(2)?,
            author: row.get(3)?,
            kind: row.get(4)?,
            offline: row.get(5)?,
            recalled: row.get(6)?,
            text: row.get(7)?,
            time_ms: row.get(8)?,
        })
    })?;
    let mut lines: Vec<Line> = lines.collect::<rusqlite::Result<_>>()?;
    lines.reverse();
    Ok(lines)
}

/// A page of what is looked for. Looks through a bounded number of episodes.
pub(crate) fn search(
    db: &Connection,
    tenant: &str,
    wanted: &Wanted,
    limit: usize,
) -> rusqlite::Result<Found> {
    let narrowed = match wanted.customer {
        Some(_) => "AND customer = ?3",
        None => "AND ?3 IS NULL",
    };
    let sql = format!(
        "SELECT DISTINCT episode FROM chat WHERE tenant = ?1 AND episode < ?2 {narrowed}
         ORDER BY episode DESC LIMIT ?4"
    );
    let before = wanted
        .before
        .map_or(i64::MAX, |b| i64::try_from(b).unwrap_or(i64::MAX));
    let most = limits::DESK_SEARCH_EPISODES_MAX;
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant, before, wanted.customer, most])?;
    let mut found = Found::default();
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        let episode = row.get(0)?;
        let parts = parts(db, tenant, episode)?;
        looked += 1;
        let opened_ms = parts.first().map_or(0, |part| part.opened_ms);
        if wanted.from_ms.is_some_and(|from| opened_ms < from) {
            return Ok(Found {
                before: None,
                ..found
            }); // numbers rise with time
        }
        if fits(&parts, wanted) && says(db, tenant, episode, wanted.text.as_deref())? {
            found.episodes.push(parts);
        }
        if found.episodes.len() == limit || looked == most {
            found.before = Some(episode);
            break;
        }
    }
    Ok(found)
}

fn fits(parts: &[Part], wanted: &Wanted) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    let by = |agent: &String| parts.iter().any(|part| part.agent.as_ref() == Some(agent));
    let of = |team: &String| parts.iter().any(|part| part.team == *team);
    wanted.to_ms.is_none_or(|to| first.opened_ms < to)
        && wanted.agent.as_ref().is_none_or(by)
        && wanted.team.as_ref().is_none_or(of)
        && wanted.state.is_none_or(|state| state == Standing::of(last))
}

/// Whether a line of the episode has the text in it; letters of ASCII in either case.
fn says(db: &Connection, tenant: &str, episode: u64, text: Option<&str>) -> rusqlite::Result<bool> {
    let Some(text) = text else {
        return Ok(true);
    };
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let sql = "SELECT EXISTS (SELECT 1 FROM chat_record WHERE tenant = ?1 AND episode = ?2
        AND recalled = 0 AND text LIKE ?3 ESCAPE '\\')";
    let mut statement = db.prepare_cached(sql)?;
    statement.query_row(params![tenant, episode, pattern], |row| row.get(0))
}
