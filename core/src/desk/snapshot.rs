//! A desk as it stands, so that a start costs what came since and not what ever was.

use serde::{Deserialize, Serialize};

use super::state::State;

/// Of what a snapshot holds. Whoever changes the state in a way that an older one cannot be read
/// as counts on; the desk is then rebuilt from its records once.
const VERSION: u32 = 1;

/// All that a desk knows, up to some record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    state: State,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Another version of the program wrote it.
    #[error("the snapshot has version {0}; this program reads {VERSION}")]
    Version(u32),
}

impl Snapshot {
    pub(super) fn new(state: &State) -> Snapshot {
        Snapshot {
            version: VERSION,
            state: state.clone(),
        }
    }

    pub(super) fn into_state(self) -> Result<State, SnapshotError> {
        let mut state = self.state;
        if self.version != VERSION {
            return Err(SnapshotError::Version(self.version));
        }
        state.pool.index_anew();
        Ok(state)
    }
}
