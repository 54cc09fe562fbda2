//! How messages reach one session: a cursor over its user's conversations, and a window of what is
//! in flight. `ARCHITECTURE.md`, "One delivery path".
//!
//! Live, offline, slow and resumed are one thing here: a conversation whose `head` lies above what
//! was `sent` is *behind*, and what is behind is loaded from the store as the window opens. A
//! message that has just been committed is only a conversation whose head was raised, and that may
//! be sent without a load if it is the very next one.
//!
//! Knows nothing of sockets, logins or frames. Called by `shard`; owned by one session; does not
//! exist for a session that has nothing to wait for.

mod aside;
mod flow;
mod rules;
#[cfg(test)]
mod tests;
mod track;

pub use aside::Blamed;
pub use flow::{Acked, Flow, Overdue};
pub use rules::{Passing, WindowRules};
pub use track::Track;
