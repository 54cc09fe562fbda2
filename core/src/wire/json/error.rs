//! Why bytes are not a frame.

use crate::limits;

/// Why bytes are not a frame, in words that name the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where the first wrong byte stands.
        offset: usize,
    },
    /// Not JSON, even read leniently.
    #[error("not JSON: {expected} expected at byte {offset}")]
    NotJson {
        /// Where it went wrong, in bytes.
        offset: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// Some other value than an object, or none at all.
    #[error("{found} instead of a JSON object")]
    NotAnObject {
        /// What stands there.
        found: &'static str,
    },
    /// A known member has a value of the wrong type or out of range.
    #[error("member `{name}` {problem}")]
    BadField {
        /// The member's name on the wire.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something follows the object.
    #[error("something follows the object at byte {offset}")]
    TrailingBytes {
        /// Where it begins.
        offset: usize,
    },
    /// An unknown member is nested deeper than [`limits::JSON_DEPTH_MAX`].
    #[error("nested deeper than {max} levels at byte {offset}", max = limits::JSON_DEPTH_MAX)]
    TooDeep {
        /// Where the level too many begins.
        offset: usize,
    },
}
