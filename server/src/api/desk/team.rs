//! A team in words: names instead of numbers, hours of days, OCIM's rule as a shorthand.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_core::desk::{Mode, Order, Ring, TeamId, TeamSettings};
use tidings_core::limits;

use super::hours::{self, HolidayBody, Hours};
use super::items::{text, time, title};
use crate::api::extract::from_value;
use crate::api::problem::Problem;
use crate::desk::directory::{Team, TenantRoster};

/// How agents come to customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeWord {
    #[default]
    Automatic,
    Ring,
    Pull,
}

impl From<Mode> for ModeWord {
    fn from(mode: Mode) -> ModeWord {
        match mode {
            Mode::Automatic => ModeWord::Automatic,
            Mode::Ring => ModeWord::Ring,
            Mode::Pull => ModeWord::Pull,
        }
    }
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Mode {
        match word {
            ModeWord::Automatic => Mode::Automatic,
            ModeWord::Ring => Mode::Ring,
            ModeWord::Pull => Mode::Pull,
        }
    }
}

/// In which order agents are chosen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderWord {
    LeastFlexible,
    MostIdle,
    RoundRobin,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingBody {
    after_ms: u64,
    /// Names of skills.
    #[serde(default)]
    waive: Vec<String>,
    /// Name of a team.
    #[serde(default)]
    join: Option<String>,
}

/// A team as the API takes and shows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TeamBody {
    title: String,
    greeting: String,
    offline_message: String,
    mode: ModeWord,
    order: OrderWord,
    affinity: bool,
    rings: Vec<RingBody>,
    hours: Vec<Hours>,
    zone: Option<String>,
    utc_offset_min: i32,
    holidays: Vec<HolidayBody>,
    offer_ms: u64,
    answer_warn_ms: Option<u64>,
    answer_ms: Option<u64>,
    customer_grace_ms: Option<u64>,
    idle_hold_ms: Option<u64>,
    idle_warn_ms: Option<u64>,
    idle_close_ms: Option<u64>,
    wrap_up_ms: u64,
    transfer_asks: bool,
    transfer_ms: u64,
    transfer_keeps_age: bool,
    transfer_to_absent: bool,
    rating_ms: u64,
    /// `None`: at any time.
    recall_ms_max: Option<u64>,
}

/// The team, in words.
pub(super) fn show(team: &Team, roster: &TenantRoster) -> Value {
    json!(body(team, roster))
}

fn body(team: &Team, roster: &TenantRoster) -> TeamBody {
    let settings = &team.settings;
    TeamBody {
        title: team.title.clone(),
        greeting: team.greeting.clone(),
        offline_message: team.offline_message.clone(),
        mode: settings.mode.into(),
        order: match settings.order {
            Order::LeastFlexible => OrderWord::LeastFlexible,
            Order::MostIdle => OrderWord::MostIdle,
            Order::RoundRobin => OrderWord::RoundRobin,
        },
        affinity: settings.affinity,
        rings: settings
            .rings
            .iter()
            .map(|ring| ring_words(ring, roster))
            .collect(),
        hours: hours::words(&settings.hours),
        zone: settings.zone.as_deref().map(ToOwned::to_owned),
        utc_offset_min: settings.utc_offset_min,
        holidays: hours::holiday_words(&settings.holidays),
        offer_ms: settings.offer_ms,
        answer_warn_ms: settings.answer_warn_ms,
        answer_ms: settings.answer_ms,
        customer_grace_ms: settings.customer_grace_ms,
        idle_hold_ms: settings.idle_hold_ms,
        idle_warn_ms: settings.idle_warn_ms,
        idle_close_ms: settings.idle_close_ms,
        wrap_up_ms: settings.wrap_up_ms,
        transfer_asks: settings.transfer_asks,
        transfer_ms: settings.transfer_ms,
        transfer_keeps_age: settings.transfer_keeps_age,
        transfer_to_absent: settings.transfer_to_absent,
        rating_ms: settings.rating_ms,
        recall_ms_max: (settings.recall_ms_max != u64::MAX).then_some(settings.recall_ms_max),
    }
}

fn ring_words(ring: &Ring, roster: &TenantRoster) -> RingBody {
    let mut waive: Vec<String> = Vec::new();
    for (name, skill) in &roster.skills {
        if ring
            .waive
            .iter()
            .any(|number| u32::from(number) == skill.number)
        {
            waive.push(name.to_string());
        }
    }
    waive.sort();
    let join = ring.join.and_then(|team| roster.team(team.0));
    RingBody {
        after_ms: ring.after_ms,
        waive,
        join: join.map(|(name, _)| name.to_string()),
    }
}

/// Reads a team. What is not given is as usual, or as OCIM has it if there is a `rule`.
pub(super) fn read(
    mut given: Map<String, Value>,
    name: &str,
    roster: &TenantRoster,
) -> Result<Team, Problem> {
    let settings = match given.remove("rule") {
        None | Some(Value::Null) => TeamSettings::default(),
        Some(rule) => rule.as_str().and_then(TeamSettings::ocim).ok_or_else(|| {
            let detail = "a rule is \"0\" (memory), \"1\" (round robin) or \"2\" (most idle)";
            Problem::unprocessable(detail)
                .field("rule")
                .with("value", rule.clone())
        })?,
    };
    let usual = Team {
        settings,
        ..Team::default()
    };
    let mut all = json!(body(&usual, roster));
    if let Value::Object(all) = &mut all {
        all.extend(given);
    }
    let body: TeamBody = from_value(all)?;
    title("title", &body.title)?;
    text("greeting", &body.greeting)?;
    text("offline_message", &body.offline_message)?;
    let far = limits::DESK_UTC_OFFSET_MIN_MAX;
    if !(-far..=far).contains(&body.utc_offset_min) {
        let detail = format!("local time is at most {far} minutes from UTC");
        return Err(Problem::unprocessable(detail)
            .field("utc_offset_min")
            .limit(far, body.utc_offset_min));
    }
    let zone = zone(&body)?;
    check_times(&body)?;
    Ok(Team {
        settings: TeamSettings {
            mode: body.mode.into(),
            order: match body.order {
                OrderWord::LeastFlexible => Order::LeastFlexible,
                OrderWord::MostIdle => Order::MostIdle,
                OrderWord::RoundRobin => Order::RoundRobin,
            },
            affinity: body.affinity,
            rings: rings(&body.rings, name, roster)?,
            hours: hours::openings(&body.hours)?,
            zone,
            utc_offset_min: body.utc_offset_min,
            holidays: hours::holidays(&body.holidays)?,
            offer_ms: body.offer_ms,
            answer_warn_ms: body.answer_warn_ms,
            answer_ms: body.answer_ms,
            customer_grace_ms: body.customer_grace_ms,
            idle_hold_ms: body.idle_hold_ms,
            idle_warn_ms: body.idle_warn_ms,
            idle_close_ms: body.idle_close_ms,
            wrap_up_ms: body.wrap_up_ms,
            transfer_asks: body.transfer_asks,
            transfer_ms: body.transfer_ms,
            transfer_keeps_age: body.transfer_keeps_age,
            transfer_to_absent: body.transfer_to_absent,
            greeting: !body.greeting.is_empty(),
            rating_ms: body.rating_ms,
            recall_ms_max: body.recall_ms_max.unwrap_or(u64::MAX),
        },
        title: body.title,
        greeting: body.greeting,
        offline_message: body.offline_message,
    })
}

/// The time zone. A fixed offset beside it would say something else for half of the year.
fn zone(body: &TeamBody) -> Result<Option<Box<str>>, Problem> {
    let Some(name) = &body.zone else {
        return Ok(None);
    };
    let problem = |detail: &str| {
        let problem = Problem::unprocessable(detail).field("zone");
        problem.with("value", &**name)
    };
    if name.len() > limits::DESK_NAME_BYTES_MAX || crate::desk::zone(name).is_none() {
        let detail = "there is no such time zone: names are those of IANA, as Europe/Berlin, \
                      Asia/Shanghai or UTC";
        return Err(problem(detail));
    }
    match body.utc_offset_min {
        0 => Ok(Some(name.as_str().into())),
        _ => Err(problem("give a `zone` or an `utc_offset_min`, not both")),
    }
}

fn check_times(body: &TeamBody) -> Result<(), Problem> {
    for (name, ms) in [
        ("offer_ms", Some(body.offer_ms)),
        ("answer_warn_ms", body.answer_warn_ms),
        ("answer_ms", body.answer_ms),
        ("customer_grace_ms", body.customer_grace_ms),
        ("idle_hold_ms", body.idle_hold_ms),
        ("idle_warn_ms", body.idle_warn_ms),
        ("idle_close_ms", body.idle_close_ms),
        ("wrap_up_ms", Some(body.wrap_up_ms)),
        ("transfer_ms", Some(body.transfer_ms)),
        ("rating_ms", Some(body.rating_ms)),
        ("recall_ms_max", body.recall_ms_max),
    ] {
        time(name, ms.unwrap_or(0))?;
    }
    Ok(())
}

fn rings(bodies: &[RingBody], own: &str, roster: &TenantRoster) -> Result<Vec<Ring>, Problem> {
    let max = limits::RINGS_MAX;
    if bodies.len() > max {
        let detail = format!("a team has at most {max} rings");
        return Err(Problem::unprocessable(detail)
            .field("rings")
            .limit(max, bodies.len()));
    }
    if !bodies.is_sorted_by_key(|ring| ring.after_ms) {
        let detail = "rings are given in the order in which they open";
        return Err(Problem::unprocessable(detail).field("rings"));
    }
    let mut rings = Vec::new();
    for (at, ring) in bodies.iter().enumerate() {
        let unknown = |field: &str, kind: &str, name: &str| {
            let detail = format!("there is no {kind} `{name}` of this tenant: make it first");
            let field = format!("rings[{at}].{field}");
            Problem::unprocessable(detail)
                .field(field)
                .with("value", name)
        };
        time(&format!("rings[{at}].after_ms"), ring.after_ms)?;
        for skill in &ring.waive {
            if !roster.skills.contains_key(&**skill) {
                return Err(unknown("waive", "skill", skill));
            }
        }
        let join = match &ring.join {
            None => None,
            Some(team) if team == own => {
                let detail = "a ring joins another team";
                let problem = Problem::unprocessable(detail).field(format!("rings[{at}].join"));
                return Err(problem.with("value", &**team));
            }
            Some(team) => {
                let known = roster.teams.get(&**team);
                let known = known.ok_or_else(|| unknown("join", "team", team))?;
                Some(TeamId(known.number))
            }
        };
        rings.push(Ring {
            after_ms: ring.after_ms,
            waive: crate::desk::skills(roster, &ring.waive),
            join,
        });
    }
    Ok(rings)
}
