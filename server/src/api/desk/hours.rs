//! Business hours in words: on which days, from when to when.

use serde::{Deserialize, Serialize};
use tidings_core::desk::{Holiday, Opening};
use tidings_core::limits;

use crate::api::problem::Problem;

const DAY_MIN: u32 = 24 * 60;
const WEEK_MIN: u32 = 7 * DAY_MIN;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Opening times, the same on some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hours {
    days: Vec<String>,
    /// As `09:00`.
    from: String,
    /// As `18:00`; `24:00` is the end of the day. Before `from`: on the next day.
    to: String,
}

/// A day with other hours than its weekday has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HolidayBody {
    /// As `2026-12-25`, in the team's time zone.
    date: String,
    /// None: closed.
    #[serde(default)]
    hours: Vec<Times>,
}

/// From when to when on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Times {
    /// As `09:00`.
    from: String,
    /// As `18:00`; `24:00` is the end of the day. Before `from`: on the next day.
    to: String,
}

/// From words.
pub(super) fn holidays(bodies: &[HolidayBody]) -> Result<Vec<Holiday>, Problem> {
    let (max, times) = (limits::DESK_HOLIDAYS_MAX, limits::DESK_HOURS_MAX);
    if bodies.len() > max {
        let detail = format!("a team has at most {max} holidays: remove those that are over");
        return Err(Problem::unprocessable(detail)
            .field("holidays")
            .limit(max, bodies.len()));
    }
    let mut holidays: Vec<Holiday> = Vec::new();
    for (at, body) in bodies.iter().enumerate() {
        let field = format!("holidays[{at}].date");
        let wrong = |detail: &str| {
            let problem = Problem::unprocessable(detail).field(field.clone());
            problem.with("value", &*body.date)
        };
        if crate::desk::day(&body.date).is_none() {
            return Err(wrong("a day is written as 2026-12-25"));
        }
        if holidays.iter().any(|known| *known.date == *body.date) {
            return Err(wrong("the day is there twice: give all its hours at once"));
        }
        if body.hours.len() > times {
            let detail = format!("a day has at most {times} opening times");
            return Err(Problem::unprocessable(detail)
                .field(format!("holidays[{at}].hours"))
                .limit(times, body.hours.len()));
        }
        let mut hours = Vec::new();
        for (number, part) in body.hours.iter().enumerate() {
            let place = format!("holidays[{at}].hours[{number}]");
            let (from_min, to_min) = span(&part.from, &part.to, &place)?;
            hours.push(Opening { from_min, to_min });
        }
        let date = body.date.as_str().into();
        holidays.push(Holiday { date, hours });
    }
    Ok(holidays)
}

/// To words.
pub(super) fn holiday_words(holidays: &[Holiday]) -> Vec<HolidayBody> {
    let words = |holiday: &Holiday| HolidayBody {
        date: holiday.date.to_string(),
        hours: { holiday.hours.iter() }
            .map(|opening| Times {
                from: clock(opening.from_min),
                to: clock(opening.to_min),
            })
            .collect(),
    };
    holidays.iter().map(words).collect()
}

/// The minutes of the day from when to when; the second may lie before the first.
fn span(from: &str, to: &str, place: &str) -> Result<(u32, u32), Problem> {
    let field = format!("{place}.to");
    let span = (
        minutes(from, &format!("{place}.from"))?,
        minutes(to, &field)?,
    );
    if span.0 == span.1 || span.0 == DAY_MIN {
        let detail = "`from` lies before the end of the day and is not `to`; a whole day is 00:00 \
                      to 24:00";
        return Err(Problem::unprocessable(detail)
            .field(field)
            .with("value", to));
    }
    Ok(span)
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// To minutes of the week.
pub(super) fn openings(hours: &[Hours]) -> Result<Vec<Opening>, Problem> {
    let mut openings = Vec::new();
    for (at, part) in hours.iter().enumerate() {
        let field = |name: &str| format!("hours[{at}].{name}");
        let (from, to) = span(&part.from, &part.to, &format!("hours[{at}]"))?;
        if part.days.is_empty() {
            let detail = "name at least one day; a team without `hours` is always open";
            return Err(Problem::unprocessable(detail).field(field("days")));
        }
        for name in &part.days {
            let Some(day) = DAYS.iter().position(|day| day == name) else {
                let detail = format!("a day is one of {}", DAYS.join(", "));
                let problem = Problem::unprocessable(detail).field(field("days"));
                return Err(problem.with("value", &**name));
            };
            let start = u32::try_from(day).unwrap_or(0) * DAY_MIN;
            let end = start + to + if to < from { DAY_MIN } else { 0 };
            openings.push(Opening {
                from_min: start + from,
                to_min: if end > WEEK_MIN { end - WEEK_MIN } else { end },
            });
        }
    }
    let max = limits::DESK_HOURS_MAX;
    if openings.len() > max {
        let detail = format!("a team has at most {max} opening times, days counted singly");
        return Err(Problem::unprocessable(detail)
            .field("hours")
            .limit(max, openings.len()));
    }
    Ok(openings)
}

fn minutes(text: &str, field: &str) -> Result<u32, Problem> {
    let wrong = || {
        let detail = "a time is written as 09:00, up to 24:00";
        Problem::unprocessable(detail)
            .field(field)
            .with("value", text)
    };
    let two = |part: &str| match part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()) {
        true => part.parse::<u32>().ok(),
        false => None,
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = (two(hour).ok_or_else(wrong)?, two(minute).ok_or_else(wrong)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MIN)
        .then_some(minutes)
        .ok_or_else(wrong)
}

/// From minutes of the week. What is longer than a day is told day by day.
pub(super) fn words(openings: &[Opening]) -> Vec<Hours> {
    let mut hours: Vec<Hours> = Vec::new();
    for opening in openings {
        let length = (opening.to_min + WEEK_MIN - opening.from_min) % WEEK_MIN;
        let mut from = opening.from_min % WEEK_MIN;
        let mut left = if opening.to_min == opening.from_min + WEEK_MIN {
            WEEK_MIN
        } else {
            length
        };
        while left > 0 {
            let part = if left < DAY_MIN {
                left
            } else {
                left.min(DAY_MIN - from % DAY_MIN)
            };
            add(&mut hours, from, part);
            from = (from + part) % WEEK_MIN;
            left -= part;
        }
    }
    hours
}

fn add(hours: &mut Vec<Hours>, from: u32, length: u32) {
    let day = DAYS
        .get((from / DAY_MIN) as usize)
        .copied()
        .unwrap_or(DAYS[0]);
    let end = from % DAY_MIN + length;
    let to = if end > DAY_MIN { end - DAY_MIN } else { end };
    let (from, to) = (clock(from % DAY_MIN), clock(to));
    match hours
        .iter_mut()
        .find(|known| known.from == from && known.to == to)
    {
        Some(known) => known.days.push(day.to_owned()),
        None => hours.push(Hours {
            days: vec![day.to_owned()],
            from,
            to,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &[&str], from: &str, to: &str) -> Hours {
        Hours {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn words_and_minutes_say_the_same() {
        for told in [
            vec![hours(&["mon", "tue", "fri"], "09:00", "18:00")],
            vec![hours(&["sat", "sun"], "22:00", "06:00")],
            vec![hours(&DAYS, "00:00", "24:00")],
            vec![
                hours(&["mon"], "09:00", "12:00"),
                hours(&["mon"], "13:00", "24:00"),
            ],
        ] {
            assert_eq!(words(&openings(&told).unwrap()), told);
        }
        let sunday = openings(&[hours(&["sun"], "22:00", "06:00")]).unwrap();
        assert_eq!(
            (sunday[0].from_min, sunday[0].to_min),
            (6 * DAY_MIN + 1320, 360)
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (days, from, to) in [
            ("mon", "9:00", "18:00"),
            ("mon", "09:60", "18:00"),
            ("mon", "09:00", "24:01"),
            ("mon", "09:00", "09:00"),
            ("mon", "24:00", "01:00"),
            ("monday", "09:00", "18:00"),
        ] {
            assert!(
                openings(&[hours(&[days], from, to)]).is_err(),
                "{days} {from} {to}"
            );
        }
        let never = openings(&[hours(&[], "09:00", "18:00")]);
        assert!(never.is_err(), "b16: no day is not every day");
        let many = vec![hours(&["mon"], "09:00", "10:00"); limits::DESK_HOURS_MAX];
        assert!(openings(&many).is_ok());
        let many = vec![hours(&["mon"], "09:00", "10:00"); limits::DESK_HOURS_MAX + 1];
        assert!(openings(&many).is_err());
    }
}
