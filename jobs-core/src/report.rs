//! What became of runs, ticks and items, as users see it.

use serde::{Deserialize, Serialize};

/// What made a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Trigger {
    /// Its schedule, on time.
    Schedule,
    /// Its schedule, for a tick that was noticed more than 10 s late.
    CatchUp,
    /// Somebody, by `run`.
    Manual,
    /// Items that were enqueued.
    Enqueued,
    /// Dead items that were given another chance.
    Requeued,
}
