//! Figures over a time. A part of a conversation counts in the time in which it began: when its
//! agent got it or, if none did, when the customer began to wait.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tidings_core::limits;

use super::{PART, Part};

/// Whoever gives up so soon had not meant it: counted apart.
pub(crate) const SHORT_ABANDON_MS: i64 = 5_000;

/// Since when, and up to when but not with it, milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

/// A mean under way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    count: u64,
    sum: i64,
}

impl Mean {
    fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Rounded down; `None` of nothing.
    pub(crate) fn value(self) -> Option<i64> {
        self.sum.checked_div(i64::try_from(self.count).ok()?)
    }
}

/// How customers rated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ratings {
    pub(crate) rated: u64,
    sum: u64,
    /// With 4 or 5 stars.
    satisfied: u64,
}

impl Ratings {
    fn add(&mut self, stars: Option<u8>) {
        if let Some(stars) = stars {
            self.rated += 1;
            self.sum += u64::from(stars);
            self.satisfied += u64::from(stars >= 4);
        }
    }

    pub(crate) fn mean(self) -> Option<f64> {
        ratio(self.sum, self.rated)
    }

    pub(crate) fn satisfied(self) -> Option<f64> {
        ratio(self.satisfied, self.rated)
    }
}

/// A share; `None` of nothing.
pub(crate) fn ratio(part: u64, all: u64) -> Option<f64> {
    // `as`: exact to 2^53 conversations.
    (all > 0).then(|| part as f64 / all as f64)
}

/// What a team did.
#[derive(Debug, Clone, Default)]
pub(crate) struct TeamReport {
    /// Conversations that began with it.
    pub(crate) offered: u64,
    /// Of those: an agent got it.
    pub(crate) answered: u64,
    /// Of those: the customer gave up before.
    pub(crate) abandoned: u64,
    /// Of those: within [`SHORT_ABANDON_MS`].
    pub(crate) short_abandoned: u64,
    /// Of the answered: within the target.
    pub(crate) in_target: u64,
    /// How long the answered waited, ascending once [`TeamReport::finish`] was called.
    waits: Vec<i64>,
    pub(crate) wait: Mean,
    pub(crate) first_answer: Mean,
    pub(crate) handle: Mean,
    /// Came by transfer, from whichever team.
    pub(crate) transferred_in: u64,
    pub(crate) ratings: Ratings,
}

impl TeamReport {
    fn add(&mut self, part: &Part, target_ms: i64) {
        if part.part == 0 {
            self.offered += 1;
            match (&part.agent, part.ended_ms) {
                (Some(_), _) => {
                    self.answered += 1;
                    self.in_target += u64::from(part.waited_ms <= target_ms);
                    self.waits.push(part.waited_ms);
                    self.wait.add(part.waited_ms);
                }
                (None, Some(ended)) if part.close_type == 1 => {
                    self.abandoned += 1;
                    let short = ended - part.opened_ms < SHORT_ABANDON_MS;
                    self.short_abandoned += u64::from(short);
                }
                _ => {}
            }
        }
        self.transferred_in += u64::from(part.how == "transferred");
        if part.agent.is_some() {
            if let Some(ms) = part.first_answer_ms {
                self.first_answer.add(ms);
            }
            if let Some(ended) = part.ended_ms {
                self.handle.add(ended - part.began_ms);
            }
        }
        self.ratings.add(part.stars);
    }

    /// Answered within the target, of all but those who did not mean it.
    pub(crate) fn service_level(&self) -> Option<f64> {
        ratio(self.in_target, self.offered - self.short_abandoned)
    }

    /// The wait that so many per cent of the answered did not exceed.
    pub(crate) fn wait_percentile(&self, percent: usize) -> Option<i64> {
        let last = self.waits.len().checked_sub(1)?;
        let at = (self.waits.len() * percent).div_ceil(100).saturating_sub(1);
        self.waits.get(at.min(last)).copied()
    }
}

/// What an agent did.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentReport {
    /// Customers that he got.
    pub(crate) conversations: u64,
    /// Of those: he wrote.
    pub(crate) answered: u64,
    pub(crate) customer_messages: u64,
    pub(crate) agent_messages: u64,
    pub(crate) first_answer: Mean,
    pub(crate) handle: Mean,
    pub(crate) closed: u64,
    pub(crate) transferred_away: u64,
    pub(crate) ratings: Ratings,
    /// How long he was online and took customers, milliseconds.
    pub(crate) online_ms: i64,
    /// How long he was there and did not.
    pub(crate) not_taking_ms: i64,
}

impl AgentReport {
    fn add(&mut self, part: &Part) {
        self.conversations += 1;
        self.answered += u64::from(part.agent_messages > 0);
        self.customer_messages += part.customer_messages;
        self.agent_messages += part.agent_messages;
        if let Some(ms) = part.first_answer_ms {
            self.first_answer.add(ms);
        }
        if let Some(ended) = part.ended_ms {
            self.handle.add(ended - part.began_ms);
        }
        self.closed += u64::from(part.close_type == 2);
        self.transferred_away += u64::from(part.close_type == 4);
        self.ratings.add(part.stars);
    }
}

/// Each part that began in the time.
fn each(
    db: &Connection,
    tenant: &str,
    span: Span,
    mut each: impl FnMut(Part),
) -> rusqlite::Result<()> {
    let sql = format!("{PART} AND began_ms >= ?2 AND began_ms < ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![tenant, span.from_ms, span.to_ms])?;
    while let Some(row) = rows.next()? {
        each(Part::read(row)?);
    }
    Ok(())
}

/// Figures by team.
pub(crate) fn teams(
    db: &Connection,
    tenant: &str,
    span: Span,
    target_ms: i64,
) -> rusqlite::Result<BTreeMap<String, TeamReport>> {
    let mut teams: BTreeMap<String, TeamReport> = BTreeMap::new();
    each(db, tenant, span, |part| {
        let team = teams.entry(part.team.clone()).or_default();
        team.add(&part, target_ms);
    })?;
    for team in teams.values_mut() {
        team.waits.sort_unstable();
    }
    Ok(teams)
}

/// Figures by agent.
pub(crate) fn agents(
    db: &Connection,
    tenant: &str,
    span: Span,
) -> rusqlite::Result<BTreeMap<String, AgentReport>> {
    let mut agents: BTreeMap<String, AgentReport> = BTreeMap::new();
    each(db, tenant, span, |part| {
        if let Some(agent) = &part.agent {
            agents.entry(agent.clone()).or_default().add(&part);
        }
    })?;
    attendance(db, tenant, span, &mut agents)?;
    Ok(agents)
}

/// How long agents were there, from what is noted of their coming, going and status.
fn attendance(
    db: &Connection,
    tenant: &str,
    span: Span,
    agents: &mut BTreeMap<String, AgentReport>,
) -> rusqlite::Result<()> {
    // Whoever came before is there from its beginning, if that is not longer ago than a report
    // may span.
    let since = span.from_ms - limits::DESK_REPORT_MS_MAX;
    let sql = "SELECT agent, type, status, time_ms FROM agent_log
        WHERE tenant = ?1 AND time_ms >= ?2 AND time_ms < ?3 ORDER BY time_ms, id";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![tenant, since, span.to_ms])?;
    // Here since, with which status.
    let mut here: BTreeMap<String, (bool, String, i64)> = BTreeMap::new();
    let mut count = |agent: &str, (live, status, at): &(bool, String, i64), until: i64| {
        let ms = until - (*at).max(span.from_ms);
        if !*live || status == "4" || ms <= 0 {
            return;
        }
        let report = agents.entry(agent.to_owned()).or_default();
        match &**status {
            "1" => report.online_ms += ms,
            _ => report.not_taking_ms += ms,
        }
    };
    while let Some(row) = rows.next()? {
        let (agent, kind): (String, u8) = (row.get(0)?, row.get(1)?);
        let (status, time_ms): (String, i64) = (row.get(2)?, row.get(3)?);
        let before = here.get(&agent);
        if let Some(before) = before {
            count(&agent, before, time_ms);
        }
        let live = match kind {
            1 => true,
            3 => false,
            _ => before.is_some_and(|(live, _, _)| *live),
        };
        here.insert(agent, (live, status, time_ms));
    }
    for (agent, state) in &here {
        count(agent, state, span.to_ms);
    }
    Ok(())
}

/// Where a page of parts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) began_ms: i64,
    pub(crate) episode: u64,
    pub(crate) part: u32,
}

/// A page of parts, in order of their beginning; of those that were rated only, if so asked.
pub(crate) fn page(
    db: &Connection,
    tenant: &str,
    span: Span,
    rated: bool,
    after: Option<After>,
    limit: usize,
) -> rusqlite::Result<Vec<Part>> {
    let only = if rated { "AND stars IS NOT NULL" } else { "" };
    let sql = format!(
        "{PART} AND began_ms >= ?2 AND began_ms < ?3 {only}
         AND (began_ms, episode, part) > (?4, ?5, ?6)
         ORDER BY began_ms, episode, part LIMIT ?7"
    );
    let (began, episode, part) = after.map_or((i64::MIN, 0, 0), |after| {
        (after.began_ms, after.episode, after.part)
    });
    let mut statement = db.prepare_cached(&sql)?;
    let from = span.from_ms.max(began);
    let values = params![tenant, from, span.to_ms, began, episode, part, limit];
    let parts = statement.query_map(values, Part::read)?;
    parts.collect()
}
