//! Names: who sends, where a message goes, which log it belongs to.

use std::sync::Arc;

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::limits;

/// A user id, group name or message id: cheap to clone, shared by everything that mentions it.
pub type Name = Arc<str>;

/// The server itself, as a sender and as a receiver (`to="0"` is client-to-server).
pub const SERVER: &str = "0";
/// What a frame carries when nobody is named. Never a valid address.
pub const UNSET: &str = "-1";
/// Everybody who has ever logged in, as a receiver in the API. Never a user: an answer to him would go to all.
pub const EVERYBODY: &str = "*";

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty.
    #[error("is empty; 1 to {bytes_max} bytes are allowed")]
    Empty {
        /// How long it may be, in bytes.
        bytes_max: usize,
    },
    /// Longer than its kind may be: [`limits::NAME_BYTES_MAX`], or
    /// [`limits::MESSAGE_ID_BYTES_MAX`] for the id of a message.
    #[error("has {bytes} bytes; 1 to {bytes_max} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Contains a control character.
    #[error("contains a control character")]
    Control,
    /// Contains a character that nobody sees: what formats text, separates lines or turns its
    /// direction.
    #[error("contains U+{:04X}, which is invisible: names are what people see of them", u32::from(*.0))]
    Invisible(char),
    /// Has nothing but blanks.
    #[error("has nothing but blanks")]
    Blank,
    /// `0`, `-1`, `*`, or starting with `#`, `@` or `~`, which mean something else.
    #[error(
        "is reserved: `0`, `-1`, `*` and names that start with `#`, `@` or `~` are not user ids"
    )]
    Reserved,
}

fn check_length(name: &str, bytes_max: usize) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty { bytes_max }),
        bytes if bytes > bytes_max => Err(NameError::TooLong { bytes, bytes_max }),
        _ => Ok(()),
    }
}

fn check_plain(name: &str) -> Result<(), NameError> {
    check_length(name, limits::NAME_BYTES_MAX)?;
    if is_plain(name) {
        return match name.bytes().all(|byte| byte == b' ') {
            true => Err(NameError::Blank),
            false => Ok(()),
        };
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    match name.chars().find(|c| is_invisible(*c)) {
        Some(invisible) => Err(NameError::Invisible(invisible)),
        None if name.chars().all(char::is_whitespace) => Err(NameError::Blank),
        None => Ok(()),
    }
}

/// Whether a text is printable ASCII, as nearly every name is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Whether a character shows nothing of its own: two names that differ in such ones alone look the
/// same, and some of them turn around what stands beside them.
fn is_invisible(c: char) -> bool {
    let unseen = [
        GeneralCategory::Format,
        GeneralCategory::LineSeparator,
        GeneralCategory::ParagraphSeparator,
        GeneralCategory::Unassigned,
    ];
    // Letters and marks by category that are fillers by nature.
    let fills = matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
    );
    fills || !c.is_ascii() && unseen.contains(&get_general_category(c))
}

/// Checks that `name` can be a user's account id: 1–64 bytes of UTF-8, no control and no invisible
/// characters, not blank, not `0`, `-1` or `*`, not starting with `#`, `@` or `~`.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_user(name: &str) -> Result<(), NameError> {
    check_plain(name)?;
    if [SERVER, UNSET, EVERYBODY].contains(&name) || name.starts_with(['#', '@', '~']) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// Checks the id of a message (`fp`): 1–[`limits::MESSAGE_ID_BYTES_MAX`] bytes, no control
/// characters.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_message_id(id: &str) -> Result<(), NameError> {
    check_length(id, limits::MESSAGE_ID_BYTES_MAX)?;
    check_stored_id(id)
}

/// Checks the id of a message as the log has it: an agent's begins with who he is.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_stored_id(id: &str) -> Result<(), NameError> {
    check_length(id, limits::STORED_ID_BYTES_MAX)?;
    if !is_plain(id) && id.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(())
}

/// A team, or `team/customer`: each of the two names may be as long as a name may be.
fn check_team(names: &str) -> Result<(), NameError> {
    match names.split_once('/') {
        Some((team, customer)) if !team.is_empty() => {
            check_plain(team)?;
            check_plain(customer.strip_prefix('~').unwrap_or(customer))
        }
        _ => check_plain(names),
    }
}

/// Where a message goes, as read from a frame's `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// `0`: the server, that is the application's listener and the sinks.
    Server,
    /// A user, or a visitor that we named (`~…`).
    User(&'a str),
    /// `#name`: every member of a group.
    Group(&'a str),
    /// `@team`: a support team of the desk; `@team/customer`: a customer of it, for its agents.
    Team(&'a str),
}

impl<'a> Address<'a> {
    /// Reads an address. The prefix stays part of the name.
    ///
    /// # Errors
    /// If the name (without its prefix) breaks a rule of [`check_user`].
    pub fn parse(to: &'a str) -> Result<Address<'a>, NameError> {
        match to.as_bytes().first() {
            None => check_length(to, limits::NAME_BYTES_MAX).map(|()| Address::Server),
            Some(b'#') => check_plain(&to[1..]).map(|()| Address::Group(to)),
            Some(b'@') => check_team(&to[1..]).map(|()| Address::Team(to)),
            Some(b'~') => check_plain(&to[1..]).map(|()| Address::User(to)),
            Some(_) if to == SERVER => Ok(Address::Server),
            Some(_) => check_user(to).map(|()| Address::User(to)),
        }
    }
}

/// The key of the log that messages from `from` to `to` belong to: both directions between two
/// users share one, a group has one, a customer has one with each team.
///
/// Names hold no control characters, so `\n` can separate them.
#[must_use]
pub fn conversation_key(from: &str, to: Address<'_>) -> String {
    match to {
        Address::Group(group) => group.to_owned(),
        Address::Server => pair_key(from, SERVER),
        Address::User(other) | Address::Team(other) => pair_key(from, other),
    }
}

/// The key of the conversation between two users (or a user and [`SERVER`], or himself).
#[must_use]
pub fn pair_key(one: &str, other: &str) -> String {
    let (low, high) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    format!("{low}\n{high}")
}

/// The names in a conversation's key: two for a pair (equal when a user writes to himself), or
/// one group.
#[must_use]
pub fn conversation_members(key: &str) -> (&str, Option<&str>) {
    match key.split_once('\n') {
        Some((low, high)) => (low, Some(high)),
        None => (key, None),
    }
}

/// A conversation's number, issued by the store when its first message is committed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ConversationId(pub u64);

/// A device's number (one installation of one user), issued by the store at its first login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u64);

/// One login on one link, as the machine names it. Never used again after the link is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b20_an_address_of_two_names_may_be_as_long_as_both() {
        let name = "n".repeat(limits::NAME_BYTES_MAX);
        let of = |customer: &str| format!("@{name}/{customer}");
        for customer in [name.clone(), format!("~{name}"), "a/b".to_owned()] {
            let address = of(&customer);
            assert_eq!(Address::parse(&address), Ok(Address::Team(&address)));
            assert!(address.len() <= limits::ADDRESS_BYTES_MAX);
        }
        for (wrong, bytes) in [(of(&format!("{name}n")), 65), (format!("@n{name}/c"), 65)] {
            let bytes_max = limits::NAME_BYTES_MAX;
            let too_long = NameError::TooLong { bytes, bytes_max };
            assert_eq!(Address::parse(&wrong), Err(too_long));
        }
        assert!(Address::parse("@team/").is_err());
        let id = format!("a{}/{}", u32::MAX, "i".repeat(limits::MESSAGE_ID_BYTES_MAX));
        assert_eq!(
            (check_stored_id(&id), id.len()),
            (Ok(()), limits::STORED_ID_BYTES_MAX)
        );
    }

    #[test]
    fn b24_no_reserved_word_of_the_api_is_a_user() {
        for reserved in ["0", "-1", "*", "#g", "@team", "~visitor"] {
            assert_eq!(check_user(reserved), Err(NameError::Reserved), "{reserved}");
        }
        assert_eq!(Address::parse("*"), Err(NameError::Reserved));
        for name in ["**", "a*", "-2", "00", "a#", "0a"] {
            assert_eq!(check_user(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_are_what_people_see_of_them() {
        for unseen in [
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{2029}',
            '\u{200b}',
            '\u{200d}',
            '\u{2060}',
            '\u{feff}',
            '\u{ad}',
            '\u{3164}',
            '\u{e0041}',
        ] {
            let refused = Err(NameError::Invisible(unseen));
            assert_eq!(check_user(&unseen.to_string()), refused);
            assert_eq!(check_user(&format!("al{unseen}ice")), refused);
            for prefix in ["#", "@", "~"] {
                let address = format!("{prefix}al{unseen}ice");
                assert_eq!(Address::parse(&address), Err(NameError::Invisible(unseen)));
            }
        }
        for control in ['\u{0}', '\n', '\u{7f}', '\u{85}'] {
            assert_eq!(check_user(&format!("a{control}")), Err(NameError::Control));
        }
        for blank in [" ", "   ", "\u{a0}", "\u{3000} "] {
            assert_eq!(check_user(blank), Err(NameError::Blank), "{blank:?}");
        }
        for seen in [
            "alice",
            "Ann Lee",
            "王小明",
            "Ωμέγα",
            "שלום",
            "नमस्ते",
            "e\u{301}",
            "❤\u{fe0f}",
            "👍🏽",
        ] {
            assert_eq!(check_user(seen), Ok(()), "{seen}");
        }
    }
}
