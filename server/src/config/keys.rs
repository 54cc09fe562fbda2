//! The table of keys: the one place that knows which settings exist.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tidings_core::limits;
use tidings_core::shard::SecondLogin;

use super::reload::Place;
use super::{
    Auth, Compat, ConfigError, Delivery, HookSettings, Limits, Listen, Log, LogFormat, Ocim,
    Origin, PageOrigin, SessionSettings, Settings, Tls,
};
use super::{Web, door_keys, ocim_keys, web_keys};
use crate::store::Durability;

/// Which TOML value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    /// A table of arrays of strings.
    Groups,
}

/// One setting.
pub(super) struct Key {
    /// Section and name: `listen.tcp`.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// The default, as it stands in a TOML file.
    pub(super) default: &'static str,
    /// What can be given, for errors and for the file's comments.
    pub(super) allowed: &'static str,
    /// What it does, for the file's comments.
    pub(super) doc: &'static str,
    /// The option of `tidings serve`, if it has one.
    pub(super) option: Option<&'static str>,
    /// Where it stands in the settings, and whether a running server takes a new value over.
    pub(super) place: Place,
    /// Sets it from text; `None` if the text is not allowed.
    pub(super) set: fn(&mut Settings, &str) -> Option<()>,
}

const ADDRESS: &str =
    "an address with a port, as \"127.0.0.1:8901\" (port 0: any free one), or \"off\"";

/// Followed by those of `door_keys`, `ocim_keys` and `web_keys`, in the order of `config/default.toml`: what has no section
/// comes first, because TOML wants that.
static KEYS: [Key; 20] = [
    Key {
        path: "data",
        kind: Kind::Text,
        default: "\"tidings-data\"",
        allowed: "the path of a directory",
        doc: "Where messages, logins and cursors are kept. Created if it is not there; one process \
              at a time.",
        option: Some("--data DIR"),
        place: place!(restart data),
        set: |s, v| set(&mut s.data, (!v.is_empty()).then(|| PathBuf::from(v))),
    },
    Key {
        path: "shutdown_ms",
        kind: Kind::Number,
        default: "10000",
        allowed: "milliseconds, 0 to 600000",
        doc: "How long a graceful stop may take before the rest is cut off.",
        option: Some("--shutdown-ms N"),
        place: place!(live shutdown_ms),
        set: |s, v| set(&mut s.shutdown_ms, number(v, 0, 600_000)),
    },
    Key {
        path: "listen.tcp",
        kind: Kind::Text,
        default: "\"127.0.0.1:8901\"",
        allowed: ADDRESS,
        doc: "MobileIMSDK frames with a length prefix.",
        option: Some("--tcp ADDR|off"),
        place: place!(restart listen.tcp),
        set: |s, v| set(&mut s.listen.tcp, address(v)),
    },
    Key {
        path: "listen.udp",
        kind: Kind::Text,
        default: "\"127.0.0.1:7901\"",
        allowed: ADDRESS,
        doc: "MobileIMSDK frames, one a datagram.",
        option: Some("--udp ADDR|off"),
        place: place!(restart listen.udp),
        set: |s, v| set(&mut s.listen.udp, address(v)),
    },
    Key {
        path: "listen.ws",
        kind: Kind::Text,
        default: "\"127.0.0.1:3000\"",
        allowed: ADDRESS,
        doc: "MobileIMSDK frames over WebSocket, at the path /websocket.",
        option: Some("--ws ADDR|off"),
        place: place!(restart listen.ws),
        set: |s, v| set(&mut s.listen.ws, address(v)),
    },
    Key {
        path: "listen.http",
        kind: Kind::Text,
        default: "\"127.0.0.1:8080\"",
        allowed: ADDRESS,
        doc: "HTTP: the API, its description, /healthz, /readyz and /metrics.",
        option: Some("--http ADDR|off"),
        place: place!(restart listen.http),
        set: |s, v| set(&mut s.listen.http, address(v)),
    },
    Key {
        path: "listen.ocim",
        kind: Kind::Text,
        default: "\"off\"",
        allowed: ADDRESS,
        doc: "The same as listen.http once more: OCIM's old pages expect port 6066.",
        option: None,
        place: place!(restart listen.ocim),
        set: |s, v| set(&mut s.listen.ocim, address(v)),
    },
    Key {
        path: "listen.agents",
        kind: Kind::Text,
        default: "\"127.0.0.1:6067\"",
        allowed: ADDRESS,
        doc: "OCIM's desktop agents: JSON packets with a length prefix, SASL. Without TLS they log in \
              with SCRAM-SHA-256; PLAIN only from this machine. If something else listens at the \
              default address, the server starts without.",
        option: Some("--agents ADDR|off"),
        place: place!(restart listen.agents),
        set: |s, v| set(&mut s.listen.agents, address(v)),
    },
    Key {
        path: "delivery.durability",
        kind: Kind::Text,
        default: "\"disk\"",
        allowed: "\"disk\", \"os\" or \"memory\"",
        doc: "What an acknowledgement means: disk survives a power cut; os survives a killed \
              process, not a power cut; memory is lost at exit.",
        option: Some("--durability disk|os|memory"),
        place: place!(restart delivery.durability),
        set: |s, v| set(&mut s.delivery.durability, v.parse().ok()),
    },
    Key {
        path: "delivery.server_timestamp",
        kind: Kind::Flag,
        default: "true",
        allowed: "true or false",
        doc: "Frames carry the server's time in `sm` (messages: their time of custody); -1 otherwise.",
        option: None,
        place: place!(restart delivery.server_timestamp),
        set: |s, v| set(&mut s.delivery.server_timestamp, v.parse().ok()),
    },
    Key {
        path: "delivery.udp_window",
        kind: Kind::Number,
        default: "1",
        allowed: "1 to 64",
        doc: "Messages of one conversation in flight to one UDP client. 1 keeps them in order on a \
              network that reorders; more is faster.",
        option: None,
        place: place!(restart delivery.udp_window),
        set: |s, v| {
            set(
                &mut s.delivery.udp_window,
                number(v, 1, limits::WINDOW_MESSAGES_MAX),
            )
        },
    },
    Key {
        path: "delivery.frame_bytes_max",
        kind: Kind::Number,
        default: "6144",
        allowed: "bytes, 1024 to 65536",
        doc: "Longest frame taken over TCP, and longest message from the API and from an embedding \
              application. Nobody is sent more than his transport and client take: what a MobileIMSDK \
              client on TCP (6144 bytes) or UDP (1024) cannot take waits for another transport.",
        option: None,
        place: place!(restart delivery.frame_bytes_max),
        set: |s, v| {
            let max = limits::WEBSOCKET_MESSAGE_BYTES_MAX;
            set(&mut s.delivery.frame_bytes_max, number(v, 1024, max))
        },
    },
    Key {
        path: "delivery.retention_days",
        kind: Kind::Number,
        default: "0",
        allowed: "days, 7 to 36500, or 0 to keep everything",
        doc: "Messages older than this are removed, but none that a device seen in the last 90 \
              days has not acknowledged.",
        option: None,
        place: place!(live delivery.retention_days),
        set: |s, v| {
            let days = number(v, 0, 36_500)
                .filter(|days| *days == 0 || *days >= limits::RETENTION_DAYS_MIN);
            set(&mut s.delivery.retention_days, days)
        },
    },
    Key {
        path: "session.sense",
        kind: Kind::Text,
        default: "\"learned\"",
        allowed: "\"learned\", \"3S\", \"5S\", \"10S\", \"15S\", \"30S\", \"60S\" or \"120S\"",
        doc: "After how long a silent session ends: learned from each client's own heartbeat, or \
              the fixed sense mode that all clients share.",
        option: None,
        place: place!(restart session.sense),
        set: |s, v| {
            let sense = match v {
                "learned" => Some(None),
                mode => mode.parse().ok().map(Some),
            };
            set(&mut s.session.sense, sense)
        },
    },
    Key {
        path: "session.second_login",
        kind: Kind::Text,
        default: "\"replace\"",
        allowed: "\"replace\", \"coexist\" or \"refuse\"",
        doc: "What a second login of the same user and device class meets: it kicks the first one \
              out, both stay if they are different devices, or it is refused.",
        option: None,
        place: place!(restart session.second_login),
        set: |s, v| {
            let policy = match v {
                "replace" => Some(SecondLogin::Replace),
                "coexist" => Some(SecondLogin::Coexist),
                "refuse" => Some(SecondLogin::Refuse),
                _ => None,
            };
            set(&mut s.session.second_login, policy)
        },
    },
    Key {
        path: "hooks.timeout_ms",
        kind: Kind::Number,
        default: "5000",
        allowed: "milliseconds, 10 to 20000",
        doc: "How long one call of an embedding application's listener may take. A login or message \
              that it was asked about is refused then, with code 320; a message to `0` is handed \
              over again.",
        option: None,
        place: place!(restart hooks.timeout_ms),
        set: |s, v| set(&mut s.hooks.timeout_ms, number(v, 10, 20_000)),
    },
    Key {
        path: "log.level",
        kind: Kind::Text,
        default: "\"info\"",
        allowed: "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        doc: "The least serious level that is logged to standard error.",
        option: Some("--log-level L"),
        place: place!(live log.level),
        set: |s, v| {
            let levels = ["off", "error", "warn", "info", "debug", "trace"];
            set(&mut s.log.level, levels.contains(&v).then(|| v.to_owned()))
        },
    },
    Key {
        path: "log.format",
        kind: Kind::Text,
        default: "\"human\"",
        allowed: "\"human\" or \"json\"",
        doc: "Lines for people, or one JSON object a line.",
        option: Some("--log-format F"),
        place: place!(restart log.format),
        set: |s, v| {
            let format = match v {
                "human" => Some(LogFormat::Human),
                "json" => Some(LogFormat::Json),
                _ => None,
            };
            set(&mut s.log.format, format)
        },
    },
    Key {
        path: "log.messages",
        kind: Kind::Flag,
        default: "false",
        allowed: "true or false",
        doc: "Logs each message with its id at every stage: received, committed, sent to a session, \
              acknowledged; with the target tidings::message, whatever log.level is.",
        option: None,
        place: place!(live log.messages),
        set: |s, v| set(&mut s.log.messages, v.parse().ok()),
    },
    Key {
        path: "groups",
        kind: Kind::Groups,
        default: "",
        allowed: "arrays of user ids by group name, as crew = [\"alice\", \"bob\"]; in the \
                  environment crew=alice,bob;all=carl",
        doc: "Fixed groups: name = [members]. Members send to `#name`.",
        option: None,
        place: place!(live groups),
        set: |s, v| set(&mut s.groups, groups(v)),
    },
];

/// Every setting there is.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    let door = door_keys::KEYS.iter();
    let rest = ocim_keys::KEYS.iter().chain(&web_keys::KEYS);
    KEYS.iter().chain(door).chain(rest)
}

/// Stores a value that was understood.
pub(super) fn set<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

pub(super) fn number<T: std::str::FromStr + PartialOrd>(text: &str, min: T, max: T) -> Option<T> {
    let value: T = text.parse().ok()?;
    (value >= min && value <= max).then_some(value)
}

/// Empty is none.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Empty is none.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

#[allow(clippy::option_option)] // understood or not; on or off
fn address(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    match text.strip_prefix("localhost:") {
        Some(port) => {
            let port = port.parse().ok()?;
            Some(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
        }
        None => text.parse().ok().map(Some),
    }
}

/// The environment's form: `crew=alice,bob;all=carl`.
fn groups(text: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let mut groups = BTreeMap::new();
    for item in text.split(';').map(str::trim).filter(|i| !i.is_empty()) {
        let (name, members) = item.split_once('=')?;
        let members = members.split(',').map(|m| m.trim().to_owned()).collect();
        groups.insert(name.trim().to_owned(), members);
    }
    Some(groups)
}

impl Key {
    /// Sets the key from text.
    pub(super) fn put(
        &self,
        settings: &mut Settings,
        value: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        match (self.set)(settings, value) {
            Some(()) => Ok(()),
            None => Err(self.refuse(format!("\"{value}\""), origin)),
        }
    }

    /// An error for a value that this key does not take.
    pub(super) fn refuse(&self, value: String, origin: Origin) -> ConfigError {
        ConfigError::BadValue {
            key: self.path.to_owned(),
            value,
            allowed: self.allowed.to_owned(),
            origin,
        }
    }

    fn variable(&self) -> String {
        format!("TIDINGS_{}", self.path.replace('.', "_").to_uppercase())
    }

    fn section(&self) -> &'static str {
        match (self.path.rsplit_once('.'), self.kind) {
            (Some((section, _)), _) => section,
            (None, Kind::Groups) => self.path,
            (None, _) => "",
        }
    }
}

pub(super) fn by_path(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

pub(super) fn by_variable(name: &str) -> Option<&'static Key> {
    all().find(|key| key.variable() == name)
}

/// The variables of all keys.
pub(super) fn variables() -> impl Iterator<Item = String> {
    all().map(Key::variable)
}

/// True if there are keys inside it, as in `auth` or `auth.jwt`.
pub(super) fn is_section(path: &str) -> bool {
    let inside = |key: &Key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    all().any(inside)
}

/// All keys, for an error.
pub(super) fn paths() -> String {
    join(all())
}

/// The keys of a section, for an error; all of them if there is no such section.
pub(super) fn paths_in(section: &str) -> String {
    let inside: Vec<_> = all().filter(|k| k.section() == section).collect();
    if section.is_empty() || inside.is_empty() {
        return paths();
    }
    join(inside.into_iter())
}

fn join<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    keys.map(|key| key.path).collect::<Vec<_>>().join(", ")
}

/// Checks one value of one key, for a command line that wants to say what is wrong before anything
/// else happens.
///
/// # Errors
/// What is allowed, in words; also for a key that does not exist.
pub fn check(path: &str, value: &str) -> Result<(), String> {
    let key = by_path(path).ok_or_else(|| format!("there is no key {path}"))?;
    match (key.set)(&mut defaults(), value) {
        Some(()) => Ok(()),
        None => Err(format!("allowed is {}", key.allowed)),
    }
}

/// Every key at its default.
pub(super) fn defaults() -> Settings {
    let mut settings = Settings {
        data: PathBuf::new(),
        listen: Listen {
            tcp: None,
            udp: None,
            ws: None,
            http: None,
            agents: None,
            ocim: None,
        },
        delivery: Delivery {
            durability: Durability::Disk,
            server_timestamp: true,
            udp_window: 1,
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            retention_days: 0,
        },
        session: SessionSettings {
            sense: None,
            second_login: SecondLogin::Replace,
        },
        auth: Auth::default(),
        tls: Tls::default(),
        limits: Limits {
            connections_per_address: 0,
        },
        ocim: Ocim {
            origin: PageOrigin::Same,
            team: String::new(),
            poll_hold_ms: 0,
            life_ms: 0,
            idle_ms: 0,
            first_data_ms: 0,
            sessions_per_address: 0,
            compat: Compat::default(),
        },
        web: Web::default(),
        hooks: HookSettings { timeout_ms: 0 },
        groups: BTreeMap::new(),
        shutdown_ms: 0,
        log: Log {
            level: String::new(),
            format: LogFormat::Human,
            messages: false,
        },
        demo: false,
        echo: false,
        accept_loss: false,
    };
    for key in all() {
        let value = key.default.trim_matches('"');
        (key.set)(&mut settings, value).expect("invariant: the table's defaults are allowed");
    }
    settings
}

/// What stands above each section of the file.
const SECTIONS: [(&str, &str); 14] = [
    ("listen", "Where clients connect."),
    ("delivery", "How messages are kept and sent."),
    (
        "session",
        "How long sessions last and what a second login meets.",
    ),
    ("auth", "Who may log in."),
    ("auth.jwt", "For auth.mode = \"jwt\": key_file or jwks."),
    ("auth.webhook", "For auth.mode = \"webhook\"."),
    (
        "tls",
        "TLS around TCP, WebSocket and HTTP, once both files are named. Datagrams stay readable.",
    ),
    (
        "limits",
        "What one address may take. This machine itself is spared.",
    ),
    (
        "ocim",
        "Customers and agents of OCIM: /ws.io and /poll.io on listen.http, and listen.agents.",
    ),
    (
        "ocim.compat",
        "What the published demo pages do and a public server should not permit.",
    ),
    ("web", "Which web pages may use the server."),
    ("hooks", "Applications that embed the server."),
    ("log", "What is logged to standard error."),
    ("groups", ""),
];

pub(super) fn default_file() -> String {
    let mut file = String::from(
        "# Every setting of `tidings serve`, at its default. Generated from the server's table of keys:\n\
         #   tidings serve --print-config\n\
         #\n\
         # A later layer wins: defaults, this file (--config F), environment, command line. An unknown\n\
         # key or a bad value is an error that names it.\n\
         #\n\
         # SIGHUP reads everything again. What says `reload: live` counts at once, the rest from the next\n\
         # start on; if anything is wrong, all stays as it was.\n",
    );
    let mut section = "";
    for key in all() {
        if key.section() != section {
            section = key.section();
            let doc = SECTIONS.iter().find(|(name, _)| *name == section);
            let _ = writeln!(file, "\n[{section}]");
            if let Some((_, doc)) = doc.filter(|(_, doc)| !doc.is_empty()) {
                let _ = writeln!(file, "# {doc}");
            }
        }
        let _ = writeln!(file);
        comment(&mut file, key.doc);
        comment(&mut file, &format!("Allowed: {}.", key.allowed));
        let option = key.option.map(|o| format!("; command line: {o}"));
        let live = if key.place.live { "; reload: live" } else { "" };
        comment(
            &mut file,
            &format!(
                "Environment: {}{}{live}",
                key.variable(),
                option.unwrap_or_default()
            ),
        );
        if key.kind == Kind::Groups {
            let _ = writeln!(file, "# crew = [\"alice\", \"bob\"]");
        } else {
            let name = key.path.rsplit('.').next().unwrap_or(key.path);
            let _ = writeln!(file, "{name} = {}", key.default);
        }
    }
    file
}

/// Wraps a sentence into comment lines.
fn comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(file, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(file, "{line}");
}
