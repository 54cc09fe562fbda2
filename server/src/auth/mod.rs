//! Who may come in. DESIGN §8.
//!
//! Here: deciding whether the credentials of a LOGIN are right. Not here: what the answer means to
//! a session (`core::shard`), who holds which address (`transport`). Called by the router, off its
//! lock.

use std::future::Future;
use std::pin::Pin;

use tidings_core::ids::Name;
use tidings_core::wire::code;

/// What a LOGIN carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who he says he is.
    pub user: Name,
    /// His proof.
    pub token: String,
    /// Whatever the application sends along.
    pub extra: Option<String>,
}

/// An answer that takes a while: a hash, a request.
pub(crate) type Answer = Pin<Box<dyn Future<Output = i32> + Send>>;

/// The answer to a LOGIN: 0, or the code of a refusal.
pub(crate) enum Decision {
    /// Known at once.
    Now(i32),
    /// It will come.
    Later(Answer),
}

/// Decides logins.
#[derive(Debug, Default)]
pub(crate) struct Door;

impl Door {
    /// Never blocks. In `open` mode whoever can reach the server is who he says he is.
    pub(crate) fn verify(&self, _credentials: Credentials) -> Decision {
        Decision::Now(code::OK)
    }
}
