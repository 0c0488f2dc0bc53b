//! Declarative job groups on plain `impl` blocks.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod memory;
pub mod prelude;

pub use jiff::Timestamp;
pub use jobs_core::{
    Backoff, BoxError, CatchUp, Failure, FailureKind, Fatal, ItemId, JobContext, JobOptions, Location, Outcome,
    Overlap, ParseIdError, RunId, Trigger, fatal,
};
