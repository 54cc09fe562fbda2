//! Which variables of the environment are meant for the server. A name may be a key's, a command's,
//! or come from whoever started the process: a Kubernetes Service named `tidings` sets a dozen.

use super::keys::{self, Key};

/// What our variables begin with.
const PREFIX: &str = "TIDINGS_";
/// Variables of other commands, and of `serve` where they are no settings.
const OF_COMMANDS: [&str; 15] = [
    "TIDINGS_CA",
    "TIDINGS_CONFIG",
    "TIDINGS_COUNT",
    "TIDINGS_DEVICE",
    "TIDINGS_FILE",
    "TIDINGS_JSON",
    "TIDINGS_PIN",
    "TIDINGS_PLAIN",
    "TIDINGS_SERVER",
    "TIDINGS_TIMEOUT",
    "TIDINGS_TO",
    "TIDINGS_TOKEN",
    "TIDINGS_TOKEN_FILE",
    "TIDINGS_TYPEU",
    "TIDINGS_USER",
];
/// From this similarity on (0 to 1, by Jaro and Winkler) a name is taken for a misspelt key.
const NEAR: f64 = 0.85;

/// What a variable is.
pub(super) enum Meaning {
    /// It sets this key.
    Key(&'static Key),
    /// Nothing of ours.
    Foreign,
    /// Ours by its first word, but unknown: almost certainly a mistake.
    Unknown,
    /// Something for the server to pass over, as whoever set it may want to know.
    Ignored,
}

/// What a variable with this name and value is.
pub(super) fn meaning(name: &str, value: &str) -> Meaning {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Meaning::Foreign;
    };
    if let Some(key) = keys::by_variable(name) {
        return Meaning::Key(key);
    }
    if OF_COMMANDS.contains(&name) {
        return Meaning::Foreign;
    }
    if is_of_a_service(rest, value) {
        return Meaning::Ignored;
    }
    let first = rest.split('_').next().unwrap_or_default();
    match keys::is_section(&first.to_lowercase()) || nearest(name).is_some() {
        true => Meaning::Unknown,
        false => Meaning::Ignored,
    }
}

/// The variables that Kubernetes, and Docker before it, set for each Service (or link), as they go
/// on after its name: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_<port's name>`,
/// `PORT=tcp://10.0.0.1:8901`, `PORT_8901_TCP`, `PORT_8901_TCP_ADDR` and so on.
fn is_of_a_service(rest: &str, value: &str) -> bool {
    // Names of services that begin like ours: `tidings-http` is TIDINGS_HTTP_SERVICE_HOST.
    let from = |part: &str| {
        let at = rest.find(part)?;
        (at == 0 || rest.as_bytes().get(at - 1) == Some(&b'_')).then(|| &rest[at + part.len()..])
    };
    if from("SERVICE_HOST") == Some("") {
        return true;
    }
    if from("SERVICE_PORT").is_some_and(|rest| rest.is_empty() || rest.starts_with('_')) {
        return true;
    }
    let protocols = ["tcp", "udp", "sctp"];
    match from("PORT") {
        Some("") => protocols
            .iter()
            .any(|protocol| value.starts_with(&format!("{protocol}://"))),
        Some(port) => {
            let mut words = port.trim_start_matches('_').split('_');
            let is_number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
            let protocol = words.next().unwrap_or_default().to_lowercase();
            is_number && protocols.contains(&&*protocol)
        }
        None => false,
    }
}

/// The key's variable that was probably meant.
pub(super) fn nearest(name: &str) -> Option<String> {
    // The prefix is the same for all and says nothing.
    let bare = |text: &str| text.trim_start_matches(PREFIX).to_owned();
    let likeness = |variable: &String| strsim::jaro_winkler(&bare(name), &bare(variable));
    let found = keys::variables().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    found.filter(|variable| likeness(variable) >= NEAR)
}
