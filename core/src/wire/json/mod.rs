//! JSON as MobileIMSDK's clients and server read and write it.
//!
//! Here: a lenient reader that accepts what Gson 2.8 accepts (`docs/protocol.md` §1), one
//! value at a time and without recursion, and the writer's primitives. Not here: which members a
//! frame has. Called by `wire/mobileimsdk`.

mod error;
mod reader;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use error::DecodeError;
pub(crate) use reader::{Reader, Token, unescape};
pub(crate) use write::{put_int, put_string, put_uint};
