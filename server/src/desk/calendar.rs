//! When a team is open: its weekly hours and holidays in its time zone. The zones come with the
//! program. What is found here is told to the machine, which knows no clock on a wall.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tidings_core::desk::{Event, Opening, TeamId, TeamSettings};

use super::driver::{Batch, Driver};

const DAY_MIN: u32 = 24 * 60;
const WEEK_MIN: u32 = 7 * DAY_MIN;
/// Opening times that began so long ago may last until now: the longest is a week.
const DAYS_BACK: i32 = 8;
/// So far ahead is looked for the next change; after that, again.
const DAYS_AHEAD: i32 = 9;
/// The hours are looked at again after so long at the latest: somebody may have set the clock.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whether a team is open, and until when that stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) open: bool,
    /// When it changes, or is to be looked at again, milliseconds since 1970 UTC; `None`: never.
    pub(super) until_ms: Option<i64>,
}

const ALWAYS: Standing = Standing {
    open: true,
    until_ms: None,
};

/// The time zone with this name, if there is one.
#[must_use]
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The day, if it is one.
#[must_use]
pub(crate) fn day(date: &str) -> Option<Date> {
    let day: Date = date.parse().ok()?;
    // One way to write each: two holidays of one day are found.
    (day.to_string() == date).then_some(day)
}

fn zone_of(settings: &TeamSettings) -> TimeZone {
    let named = settings.zone.as_deref().and_then(zone);
    named.unwrap_or_else(|| {
        let offset = Offset::from_seconds(settings.utc_offset_min.saturating_mul(60));
        TimeZone::fixed(offset.unwrap_or(Offset::UTC))
    })
}

/// The opening times that begin on a day, in minutes after its midnight and how long they are.
fn of_day(settings: &TeamSettings, date: Date) -> Vec<(u32, u32)> {
    let holiday = settings.holidays.iter();
    let mut holiday = holiday.filter(|holiday| day(&holiday.date) == Some(date));
    let length = |opening: &Opening, around: u32| match opening.to_min > opening.from_min {
        true => opening.to_min - opening.from_min,
        false => opening.to_min + around - opening.from_min,
    };
    if let Some(holiday) = holiday.next() {
        let hours = holiday.hours.iter();
        return hours
            .map(|opening| (opening.from_min, length(opening, DAY_MIN)))
            .collect();
    }
    if settings.hours.is_empty() {
        return vec![(0, DAY_MIN)];
    }
    let weekday = u32::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hours = settings.hours.iter();
    let hours = hours.filter(|opening| opening.from_min / DAY_MIN == weekday);
    hours
        .map(|opening| (opening.from_min % DAY_MIN, length(opening, WEEK_MIN)))
        .collect()
}

/// From when to when, milliseconds since 1970 UTC. Local times that a change of clocks leaves out
/// count as if the clock went on.
fn span(date: Date, (from, length): (u32, u32), zone: &TimeZone) -> Option<(i64, i64)> {
    let midnight: DateTime = date.at(0, 0, 0, 0);
    let at = |minutes: u32| {
        let local = midnight.checked_add(SignedDuration::from_mins(minutes.into()));
        Some(zone.to_timestamp(local.ok()?).ok()?.as_millisecond())
    };
    Some((at(from)?, at(from + length)?))
}

/// Whether a team is open at `wall_ms`, milliseconds since 1970 UTC.
pub(super) fn standing(settings: &TeamSettings, wall_ms: i64) -> Standing {
    if settings.hours.is_empty() && settings.holidays.is_empty() {
        return ALWAYS;
    }
    let zone = zone_of(settings);
    let Ok(now) = Timestamp::from_millisecond(wall_ms) else {
        return ALWAYS; // no clock says so
    };
    let today = zone.to_datetime(now).date();
    let mut spans = Vec::new();
    for days in -DAYS_BACK..=DAYS_AHEAD {
        let Ok(date) = today.checked_add(days.days()) else {
            continue;
        };
        let of_day = of_day(settings, date).into_iter();
        spans.extend(of_day.filter_map(|times| span(date, times, &zone)));
    }
    spans.sort_unstable();
    let look_again = wall_ms + i64::from(DAYS_AHEAD - 1) * 24 * 3_600_000;
    let mut open_until: Option<i64> = None;
    for (from, to) in spans {
        match open_until {
            // One that begins where another ends goes on with it.
            Some(until) if from <= until => open_until = Some(until.max(to)),
            Some(_) => break,
            None if from <= wall_ms && wall_ms < to => open_until = Some(to),
            None if from > wall_ms => {
                let until_ms = Some(from.min(look_again));
                let open = false;
                return Standing { open, until_ms };
            }
            None => {}
        }
    }
    Standing {
        open: open_until.is_some(),
        until_ms: Some(open_until.map_or(look_again, |until| until.min(look_again))),
    }
}

impl Driver {
    /// Tells the machine which teams have opened and closed.
    pub(super) fn mind_hours(&mut self, batch: &mut Batch) {
        let wall_ms = self.router.wall_ms();
        let mut next = None;
        let roster = self.roster.clone();
        for team in roster.teams.values() {
            let id = TeamId(team.number);
            let standing = standing(&team.item.settings, wall_ms);
            next = [next, standing.until_ms].into_iter().flatten().min();
            if standing.open != self.desk.is_open(id) {
                self.step(Event::TeamOpen(id, standing.open), batch);
            }
        }
        self.hours_change_ms = next;
    }

    /// Whether a team opens or closes now.
    pub(super) fn hours_are_due(&self) -> bool {
        let change = self.hours_change_ms;
        change.is_some_and(|at| at <= self.router.wall_ms())
    }

    /// How long until one does, so far as it is known.
    pub(super) fn until_hours(&self) -> Option<Duration> {
        let wait = self.hours_change_ms?.saturating_sub(self.router.wall_ms());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Some(wait.min(LOOK_AGAIN))
    }
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
