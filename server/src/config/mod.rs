//! Configuration: from defaults, a file, the environment and the command line to one validated
//! [`Settings`].
//!
//! What lives here: the table of keys (`keys`), from which the file's reader, the environment's
//! names and `config/default.toml` are made; which variables are meant (`environment`); the TOML reader (`file`); errors that name the key, the
//! value, what is allowed and where it was said (`error`); what differs between two settings, and what
//! of it a running server takes over (`reload`). What does not: deciding anything with a setting. Called by `tidings serve` and by applications that embed the server.

#[macro_use]
mod reload;
mod door_keys;
mod environment;
mod error;
mod file;
mod keys;
mod ocim_keys;
#[cfg(test)]
mod tests;
mod web_keys;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use tidings_core::ids::{self, Address};
use tidings_core::limits;
use tidings_core::session::Sense;
use tidings_core::shard::SecondLogin;

use crate::store::Durability;

use environment::{Meaning, meaning};
pub use error::{ConfigError, Origin};
pub use keys::check;
pub use reload::Change;

/// Everything that an operator can set. Made by [`Settings::load`], or from the default by an
/// application, which then calls [`Settings::validate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where messages, logins and cursors are kept. Created if it is not there.
    pub data: PathBuf,
    /// Where clients connect.
    pub listen: Listen,
    /// How messages are kept and sent.
    pub delivery: Delivery,
    /// How long sessions last and what a second login meets.
    pub session: SessionSettings,
    /// Who may log in.
    pub auth: Auth,
    /// TLS around TCP, WebSocket and HTTP.
    pub tls: Tls,
    /// What one address may take.
    pub limits: Limits,
    /// The customers and agents of OCIM.
    pub ocim: Ocim,
    /// Which web pages may use the server.
    pub web: Web,
    /// How long an embedding application's listener may take.
    pub hooks: HookSettings,
    /// Fixed groups, by name without the `#`; made to have exactly these members at start.
    pub groups: BTreeMap<String, Vec<String>>,
    /// How long a graceful stop may take.
    pub shutdown_ms: u64,
    /// What is logged to standard error, and how. Of no concern to the library.
    pub log: Log,
    /// There is a desk to try out, with passwords that everybody knows: on loopback only. Only by an
    /// option.
    pub demo: bool,
    /// Adds the WebSocket path `/echo`, for conformance suites. Only by a hidden option.
    pub echo: bool,
    /// Starts although acknowledged data is missing or damaged. Only by `serve --accept-loss`: it is
    /// meant for one start.
    pub accept_loss: bool,
}

/// Where clients connect; `None` is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Length-prefixed frames.
    pub tcp: Option<SocketAddr>,
    /// Datagrams.
    pub udp: Option<SocketAddr>,
    /// WebSocket, at `/websocket`.
    pub ws: Option<SocketAddr>,
    /// The API, its description, `/healthz`, `/readyz` and `/metrics`.
    pub http: Option<SocketAddr>,
    /// The same as `http` once more, for OCIM's old pages.
    pub ocim: Option<SocketAddr>,
    /// Desktop agents of OCIM.
    pub agents: Option<SocketAddr>,
}

impl Listen {
    /// Every listener by its key. One that is added here is asked about wherever all are.
    #[must_use]
    pub fn all(&self) -> [(&'static str, Option<SocketAddr>); 6] {
        let Listen {
            tcp,
            udp,
            ws,
            http,
            ocim,
            agents,
        } = *self;
        [
            ("listen.tcp", tcp),
            ("listen.udp", udp),
            ("listen.ws", ws),
            ("listen.http", http),
            ("listen.ocim", ocim),
            ("listen.agents", agents),
        ]
    }

    /// The first that other machines reach.
    #[must_use]
    pub fn public(&self) -> Option<(&'static str, SocketAddr)> {
        let all = self.all().into_iter();
        let mut on = all.filter_map(|(key, address)| Some((key, address?)));
        on.find(|(_, address)| !is_loopback(address.ip()))
    }
}

/// How messages are kept and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// What an acknowledgement means.
    pub durability: Durability,
    /// `sm` on outgoing frames is the time of custody; −1 otherwise.
    pub server_timestamp: bool,
    /// Messages of one conversation in flight to one UDP client.
    pub udp_window: usize,
    /// Longest frame that leaves, in bytes; a message that needs more is refused to its sender.
    pub frame_bytes_max: usize,
    /// Messages older than this are removed once acknowledged everywhere; 0 keeps them for ever.
    pub retention_days: u32,
}

/// How long sessions last and what a second login meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Heartbeat class of all clients; `None` learns each session's rhythm.
    pub sense: Option<Sense>,
    /// What a second login of the same user and class meets.
    pub second_login: SecondLogin,
}

pub use crate::auth::settings::{Auth, AuthMode, Jwt, JwtAlgorithm, Webhook, WhenDown};
pub use crate::ocim::settings::{Compat, Ocim, Origin as PageOrigin};
pub use crate::origins::{PageOrigins, Web};

/// TLS by rustls; off without a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those that lead to its root, as PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, as PEM.
    pub key_file: Option<PathBuf>,
    /// Around `listen.tcp`.
    pub tcp: bool,
    /// Around `listen.ws`.
    pub ws: bool,
    /// Around `listen.http`.
    pub http: bool,
    /// Around `listen.agents`.
    pub agents: bool,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            cert_file: None,
            key_file: None,
            tcp: true,
            ws: true,
            http: true,
            agents: true,
        }
    }
}

/// What one address may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; 0 is no limit. This machine itself is spared.
    pub connections_per_address: u32,
}

/// How long an embedding application's listener may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookSettings {
    /// For one call. A question that is not answered by then is answered with a refusal.
    pub timeout_ms: u64,
}

/// What is logged to standard error, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least serious level that is logged: off, error, warn, info, debug or trace.
    pub level: String,
    /// For people or for programs.
    pub format: LogFormat,
    /// Each message at every stage, with the target `tidings::message`.
    pub messages: bool,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    /// Every key at the default of the table of keys, nothing else.
    fn default() -> Settings {
        keys::defaults()
    }
}

/// A value from the command line.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The key that it sets: `listen.tcp`.
    pub key: &'a str,
    /// How the option is called: `--tcp`.
    pub name: &'a str,
    /// What was given.
    pub value: &'a str,
}

impl Settings {
    /// Defaults, then the file, then the environment, then the command line: the last word counts.
    ///
    /// `environment` is the process's; only variables that start with `TIDINGS_` are looked at.
    ///
    /// # Errors
    /// The first value that is wrong, a key that does not exist, or settings that do not go
    /// together. The text is for the operator and says what to do.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        command_line: &[Given<'_>],
    ) -> Result<Settings, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            file::read(path, &mut settings)?;
        }
        // Sorted, so that of several mistakes always the same one is told.
        let variables: BTreeMap<String, String> = environment.into_iter().collect();
        for (name, value) in variables {
            match meaning(&name, &value) {
                Meaning::Key(key) => {
                    key.put(&mut settings, &value, Origin::Environment { name })?;
                }
                Meaning::Foreign | Meaning::Ignored => {}
                Meaning::Unknown => {
                    let nearest = environment::nearest(&name);
                    return Err(ConfigError::UnknownVariable { name, nearest });
                }
            }
        }
        for option in command_line {
            let name = option.name.to_owned();
            let origin = Origin::CommandLine { name };
            let Some(key) = keys::by_path(option.key) else {
                return Err(ConfigError::UnknownKey {
                    key: option.key.to_owned(),
                    origin,
                    known: keys::paths(),
                });
            };
            key.put(&mut settings, option.value, origin)?;
        }
        settings.validate()?;
        Ok(settings)
    }

    /// The variables of an environment that begin like ours and were passed over: those that
    /// Kubernetes sets for a Service named `tidings`, and others that are like no key.
    pub fn ignored_variables(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<String> {
        let ignored =
            |(name, value): &(String, String)| matches!(meaning(name, value), Meaning::Ignored);
        let mut found: Vec<String> = environment
            .into_iter()
            .filter(ignored)
            .map(|(name, _)| name)
            .collect();
        found.sort();
        found
    }

    /// Checks what no single key can tell.
    ///
    /// # Errors
    /// If open logins would be offered to other machines, nothing listens, or a group is not one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let public = self.listen.public();
        if let Some((key, address)) = public.filter(|_| self.demo) {
            return Err(ConfigError::DemoOnPublic { key, address });
        }
        let is_open = self.auth.mode == AuthMode::Open && !self.auth.allow_open_on_public;
        if let Some((key, address)) = public.filter(|_| is_open) {
            return Err(ConfigError::OpenOnPublic { key, address });
        }
        let Listen { tcp, udp, ws, .. } = self.listen;
        if [tcp, udp, ws].iter().all(Option::is_none) {
            return Err(ConfigError::NothingListens);
        }
        self.auth.validate()?;
        self.ocim.validate()?;
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            let problem = "tls.cert_file and tls.key_file belong together: set both".to_owned();
            let key = match self.tls.key_file {
                None => "tls.key_file",
                Some(_) => "tls.cert_file",
            };
            return Err(ConfigError::Together { key, problem });
        }
        for (group, members) in &self.groups {
            check_group(group, members).map_err(|problem| ConfigError::Group {
                group: group.clone(),
                problem,
            })?;
        }
        Ok(())
    }

    /// The commented file with every key at its default, as `config/default.toml` holds it.
    #[must_use]
    pub fn default_file() -> String {
        keys::default_file()
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn check_group(group: &str, members: &[String]) -> Result<(), String> {
    if group.starts_with('#') {
        return Err("is written without the `#` here".to_owned());
    }
    Address::parse(&format!("#{group}")).map_err(|error| format!("{error}"))?;
    if members.is_empty() {
        return Err("has no members".to_owned());
    }
    if members.len() > limits::GROUP_MEMBERS_MAX {
        let (count, max) = (members.len(), limits::GROUP_MEMBERS_MAX);
        return Err(format!("has {count} members; at most {max} are allowed"));
    }
    for member in members {
        ids::check_user(member).map_err(|error| format!("has a member `{member}` that {error}"))?;
    }
    Ok(())
}
