//! Declarative job groups on plain `impl` blocks.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod attempt;
mod attempts;
mod banner;
mod builder;
mod client;
mod clock;
mod control;
mod desk;
mod dispatcher;
mod env;
mod error;
mod event;
mod fill;
mod heartbeat;
mod host;
mod lease;
mod memory;
mod node;
mod outbox;
mod panic;
pub mod prelude;
mod registry;
mod runner;
mod scheduler;
mod signals;
mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod upkeep;
mod worker;

pub use builder::RunnerBuilder;
pub use client::{Client, RunHandle, RunRequest};
pub use error::{ClientError, ShutdownError, StartError, StartProblem};
pub use event::{Event, Events};
pub use jiff::Timestamp;
pub use jobs_core::{
    AsJob, Backoff, BoxError, CatchUp, Counts, DeadFilter, DeadItem, ErrorGroup, Failure, FailureKind, Fatal,
    ItemId, Job, JobContext, JobInfo, JobOptions, Location, Outcome, Overlap, Page, ParseIdError, RunFailed,
    RunFilter, RunId, RunReport, RunState, SkipReason, Store, StoreError, StoreSource, TickInfo, Trigger,
    Verdict, fatal,
};
pub use jobs_macros::{cron_group, daily, hourly, job, monthly, query, weekly};
pub use jobs_schedule as schedule;
pub use memory::MemoryStore;
pub use runner::Runner;
