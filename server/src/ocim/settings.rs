//! What an operator sets about OCIM.

use crate::config::ConfigError;

/// Settings of OCIM's customers and agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ocim {
    /// Pages from elsewhere that may use it, beside those from the same host.
    pub origin: Origin,
    /// The team that customers write to, without its `@`; empty: the default of the only tenant.
    pub team: String,
    /// How long a poll waits for something to say.
    pub poll_hold_ms: u64,
    /// A customer who neither polls nor has a WebSocket for so long has gone.
    pub life_ms: u64,
    /// A WebSocket or an agent's connection from which nothing is heard for so long is closed.
    pub idle_ms: u64,
    /// A connection to the HTTP port on which nothing arrives for so long is closed.
    pub first_data_ms: u64,
    /// Sessions of one address at a time; 0 is no limit. This machine itself is spared.
    pub sessions_per_address: u32,
    /// What old pages need and new ones should not do.
    pub compat: Compat,
}

/// From where pages may use it, beside the same host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// From nowhere.
    #[default]
    Same,
    /// From everywhere: the origin of each request is reflected.
    Any,
    /// From this one: `https://shop.example`.
    One(String),
}

impl Origin {
    /// Reads `""`, `any` or an origin; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Origin> {
        if text.is_empty() {
            return Some(Origin::Same);
        }
        if text == "any" {
            return Some(Origin::Any);
        }
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let clean = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        (!host.is_empty() && host.chars().all(clean)).then(|| Origin::One(text.to_owned()))
    }
}

/// What the published demo pages do and what is unsafe on a public server. All off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compat {
    /// Passwords and tokens in URLs, which proxies and histories keep.
    pub credentials_in_url: bool,
    /// Changing something by GET, which caches and prefetching may do by themselves.
    pub send_by_get: bool,
    /// Pages from everywhere.
    pub any_origin: bool,
    /// Places in a queue are told a second time, as WAITTING and WAITTING_NO.
    pub waitting: bool,
}

impl Ocim {
    /// Checks what no single key can tell.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.life_ms <= self.poll_hold_ms {
            let problem = format!(
                "is {} and ocim.poll_hold_ms is {}: a customer needs time to poll again, so it must \
                 be longer",
                self.life_ms, self.poll_hold_ms
            );
            let key = "ocim.life_ms";
            return Err(ConfigError::Together { key, problem });
        }
        Ok(())
    }
}
