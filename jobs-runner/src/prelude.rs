//! What a file with jobs in it imports: `use jobs_runner::prelude::*;`.

pub use crate::{Client, Runner};
pub use jiff::Timestamp;
pub use jobs_core::{BoxError, Failure, Job, JobContext, JobOptions, Outcome, Page, RunReport, fatal};
pub use jobs_macros::{cron_group, daily, hourly, job, monthly, query, weekly};

/// A `Result` whose error is any error, so that `?` takes all of them.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;
