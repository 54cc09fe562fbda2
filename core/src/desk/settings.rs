//! What an operator sets: for the tenant, a team, an agent. Times in milliseconds; `None` switches
//! a deadline off.

use serde::{Deserialize, Serialize};

use super::types::{AgentId, Mode, Order, Skills, TeamId};

/// Settings of the whole tenant: what concerns agents, who may serve several teams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeskSettings {
    /// What an episode on hold counts against capacity, in thousandths of a slot.
    pub hold_weight_permille: u32,
    /// Last free slots of an agent with at least [`RESERVING_SKILLS_MIN`] skills that only the
    /// rarest of his skills may use; 0 switches the reservation off.
    pub reserved_slots: u32,
    /// How long an agent without a session keeps his customers.
    pub grace_ms: u64,
    /// Offers missed or declined, or first answers owed, in a row that make an agent
    /// `NotResponding`; 0 switches that off.
    pub misses_max: u32,
    /// By how much one level of priority makes a customer look longer waiting.
    pub priority_boost_ms: u64,
}

/// Only agents with at least so many skills have slots reserved: the variant that was simulated.
pub const RESERVING_SKILLS_MIN: u32 = 3;

impl Default for DeskSettings {
    fn default() -> DeskSettings {
        DeskSettings {
            hold_weight_permille: 250,
            reserved_slots: 1,
            grace_ms: 60_000,
            misses_max: 2,
            priority_boost_ms: 60_000,
        }
    }
}

/// From some age on, a waiting customer is served by more agents. Rings add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// Since when, measured from his arrival.
    pub after_ms: u64,
    /// Skills that he does not need any more.
    pub waive: Skills,
    /// A further team whose agents may serve him: the overflow team.
    pub join: Option<TeamId>,
}

/// One opening time, in minutes of the week from Monday 00:00 local time; `to_min` is not part of
/// it and may lie before `from_min` (over the end of the week).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// First minute.
    pub from_min: u32,
    /// First minute after it.
    pub to_min: u32,
}

/// A day with other opening times than its weekday has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    /// The local day, as `2026-12-25`.
    pub date: Box<str>,
    /// Its opening times, in minutes of that day; none: closed. `to_min` above 1440 goes on into
    /// the next day.
    pub hours: Vec<Opening>,
}

/// Settings of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamSettings {
    /// How its agents come to customers.
    pub mode: Mode,
    /// How an agent is chosen among the free.
    pub order: Order,
    /// Whether a returning customer gets his former agent, if that one is free now.
    pub affinity: bool,
    /// Relaxation, ascending by `after_ms`.
    pub rings: Vec<Ring>,
    /// Business hours; empty means always. Like the following three, for the driver: it tells the
    /// desk when the team opens and closes.
    pub hours: Vec<Opening>,
    /// Name of the time zone, as `Europe/Berlin`; without one `utc_offset_min` counts.
    pub zone: Option<Box<str>>,
    /// Local time minus UTC, in minutes.
    pub utc_offset_min: i32,
    /// Days with other hours.
    pub holidays: Vec<Holiday>,
    /// How long an offer rings.
    pub offer_ms: u64,
    /// An agent who has not given a first answer after so long is warned.
    pub answer_warn_ms: Option<u64>,
    /// An agent who has not given a first answer after so long loses the customer.
    pub answer_ms: Option<u64>,
    /// A customer whose session is gone for so long has left.
    pub customer_grace_ms: Option<u64>,
    /// A customer who has not answered for so long is put on hold. This and the following two run
    /// only while it is the customer who owes the next word.
    pub idle_hold_ms: Option<u64>,
    /// The customer is warned that the episode will be closed.
    pub idle_warn_ms: Option<u64>,
    /// The episode is closed.
    pub idle_close_ms: Option<u64>,
    /// How long a slot stays taken after the close, unless the agent says that he is done.
    pub wrap_up_ms: u64,
    /// Whether an agent to whom a customer is transferred is asked (OCIM: no).
    pub transfer_asks: bool,
    /// How long he may think about it.
    pub transfer_ms: u64,
    /// Whether a customer transferred to this team keeps his age (OCIM: no, he joins the tail).
    pub transfer_keeps_age: bool,
    /// Whether a customer may be transferred to this team while none of its agents has a session
    /// (OCIM: yes).
    pub transfer_to_absent: bool,
    /// Whether the team greets.
    pub greeting: bool,
    /// How long after the close a customer may rate, or change his rating.
    pub rating_ms: u64,
    /// How old a message may be when its author recalls it.
    pub recall_ms_max: u64,
}

impl Default for TeamSettings {
    fn default() -> TeamSettings {
        TeamSettings {
            mode: Mode::Automatic,
            order: Order::LeastFlexible,
            affinity: true,
            rings: Vec::new(),
            hours: Vec::new(),
            zone: None,
            utc_offset_min: 0,
            holidays: Vec::new(),
            offer_ms: 25_000,
            answer_warn_ms: Some(60_000),
            answer_ms: Some(90_000),
            customer_grace_ms: Some(120_000),
            idle_hold_ms: Some(10 * 60_000),
            idle_warn_ms: Some(25 * 60_000),
            idle_close_ms: Some(30 * 60_000),
            wrap_up_ms: 0,
            transfer_asks: true,
            transfer_ms: 30_000,
            transfer_keeps_age: true,
            transfer_to_absent: false,
            greeting: false,
            rating_ms: 24 * 3_600_000,
            recall_ms_max: 120_000,
        }
    }
}

impl TeamSettings {
    /// A team as OCIM runs it: `rule` "0" memory, "1" round robin, "2" most idle. One queue per
    /// team, immediate transfer, no hold, no ringing, a customer who disconnects has left.
    #[must_use]
    pub fn ocim(rule: &str) -> Option<TeamSettings> {
        let (order, affinity) = match rule {
            "0" => (Order::RoundRobin, true),
            "1" => (Order::RoundRobin, false),
            "2" => (Order::MostIdle, false),
            _ => return None,
        };
        Some(TeamSettings {
            order,
            affinity,
            answer_warn_ms: None,
            answer_ms: None,
            customer_grace_ms: Some(0),
            idle_hold_ms: None,
            idle_warn_ms: None,
            idle_close_ms: None,
            transfer_asks: false,
            transfer_keeps_age: false,
            transfer_to_absent: true,
            recall_ms_max: u64::MAX,
            ..TeamSettings::default()
        })
    }
}

/// A team that an agent serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which.
    pub team: TeamId,
    /// Slots that he may use for it.
    pub capacity: u32,
}

/// Settings of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSettings {
    /// The teams that he serves.
    pub teams: Vec<Membership>,
    /// What he can do.
    pub skills: Skills,
    /// Slots over all teams.
    pub capacity: u32,
    /// How he comes to customers.
    pub mode: Mode,
    /// Whether he may watch, whisper, join, take over, and close or transfer for others.
    pub supervisor: bool,
    /// Whether he has a greeting of his own.
    pub greeting: bool,
}

/// What a customer needs, as he arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The team that he asked for.
    pub team: TeamId,
    /// What his agent must be able to do.
    pub skills: Skills,
    /// Levels of priority; each counts [`DeskSettings::priority_boost_ms`].
    pub priority: u8,
    /// Who served him last, from the conversation's log.
    pub former: Option<AgentId>,
    /// Agents who must not serve him.
    pub excluded: Vec<AgentId>,
}
