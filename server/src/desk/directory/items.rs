//! What an operator sets up. As JSON in `desk.db` and in the API.

use serde::{Deserialize, Serialize};
use tidings_core::desk::{DeskSettings, Mode, TeamSettings};

/// A tenant: a company with a desk of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    /// Whether a customer may come without a token.
    pub anonymous: bool,
    /// The team of a customer who names none, without its `@`.
    pub default_team: Option<String>,
    /// What concerns all its agents.
    pub settings: DeskSettings,
    /// What a customer is told before his idle episode is closed (OCIM timeoutTipMessage).
    pub timeout_tip: String,
    /// What he is told when it is (OCIM timeoutCloseMessage).
    pub timeout_close: String,
}

impl Default for Tenant {
    fn default() -> Tenant {
        Tenant {
            anonymous: false,
            default_team: None,
            settings: DeskSettings::default(),
            timeout_tip: "Are you still there?".to_owned(),
            timeout_close: "The conversation was closed because nobody wrote.".to_owned(),
        }
    }
}

/// A team. Its name is the address without `@`, unique over all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// What customers read.
    pub title: String,
    /// The greeting of everybody who gets an agent; none if empty.
    pub greeting: String,
    /// What is told outside business hours.
    pub offline_message: String,
    /// How it is run.
    pub settings: TeamSettings,
}

/// A skill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Skill {
    /// What people read.
    pub title: String,
}

/// A team that an agent serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which, without its `@`.
    pub team: String,
    /// How many customers of it he serves at once; the agent's own capacity if missing.
    #[serde(default)]
    pub capacity: Option<u32>,
}

/// An agent (OCIM: waiter). Its name is that of his account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// What customers read.
    pub title: String,
    /// The teams that he serves.
    pub teams: Vec<Member>,
    /// What he can do: names of skills.
    pub skills: Vec<String>,
    /// How many customers he serves at once.
    pub capacity: u32,
    /// How he comes to customers.
    pub mode: Mode,
    /// Whether he may watch, whisper, join, take over, and close or transfer for others.
    pub supervisor: bool,
    /// His own greeting; none if empty.
    pub greeting: String,
}

impl Default for Agent {
    fn default() -> Agent {
        Agent {
            title: String::new(),
            teams: Vec::new(),
            skills: Vec::new(),
            capacity: 3,
            mode: Mode::Automatic,
            supervisor: false,
            greeting: String::new(),
        }
    }
}

/// A reply that agents have at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// What is written.
    pub text: String,
    /// Only for agents of this team, if it is set.
    pub team: Option<String>,
}
