//! Declarative job groups on plain `impl` blocks.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod memory;
pub mod prelude;

pub use jiff::Timestamp;
pub use jobs_macros::{cron_group, daily, hourly, job, monthly, query, weekly};
pub use jobs_core::{
    AsJob, Backoff, BoxError, CatchUp, Failure, FailureKind, Fatal, ItemId, Job, JobContext, JobOptions, Location,
    Outcome, Overlap, Page, ParseIdError, RunId, Trigger, fatal,
};
