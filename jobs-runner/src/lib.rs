//! Scheduled jobs declared on plain `impl` blocks: say when, find the items, work on each.
//!
//! ```no_run
//! use jobs_runner::prelude::*;
//!
//! #[derive(Default)]
//! struct Digest;
//!
//! #[cron_group("digest")]
//! impl Digest {
//!     #[query("send")]
//!     async fn users(&self) -> Result<Vec<String>> {
//!         Ok(vec!["ada@example.com".into()])
//!     }
//!
//!     #[job("send", "0 9 * * *", tz = "Europe/Paris", retries = 3, timeout = "30s")]
//!     async fn send(&self, user: String) -> Result<()> {
//!         println!("to {user}: good morning");
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//!     Runner::start().await?.wait().await?;
//!     Ok(())
//! }
//! ```
//!
//! Every day at nine in Paris the query runs once, its items are stored, and the job is called for each. The README
//! tells the rules; here is where to find things:
//!
//! | to | see |
//! |---|---|
//! | declare groups, jobs and queries | [`cron_group`], [`job`], [`query`], [`daily`] and its siblings |
//! | say when | [`schedule`] |
//! | start, stop and shut down | [`Runner`], [`RunnerBuilder`] |
//! | run by hand, pause, cancel, requeue, look | [`Client`] |
//! | watch | [`Runner::events`], and `tracing` with the target `jobs` |
//! | know about an attempt | [`JobContext`], [`Outcome`], [`fatal`] |
//! | test over time | `testing`, with the feature of that name |
//! | read how it all goes together | the guides in `docs/` of the repository |
//! | write a store | `jobs-core` and `jobs-conformance` |
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `redis` | the store on a server of Redis, `redis://localhost` |
//! | `testing` | the harness; it turns on tokio's test clock, so make it a dev-dependency's feature |

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod appends;
mod aside;
mod attempt;
mod attempts;
mod banner;
mod batch;
mod builder;
mod client;
mod clock;
mod control;
mod desk;
mod dispatcher;
mod drive;
mod ending;
mod env;
mod error;
mod event;
mod failing;
mod fill;
mod found;
mod heartbeat;
mod host;
mod lane;
mod lease;
mod leases;
mod lock;
mod memory;
mod node;
mod outbox;
mod panic;
pub mod prelude;
mod refusal;
mod registry;
mod rivals;
mod runner;
mod scheduler;
mod signals;
mod skew;
mod slots;
mod source;
mod sweep;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tries;
mod trust;
mod upkeep;
mod worker;

pub use builder::RunnerBuilder;
pub use client::{Client, RunHandle, RunRequest};
pub use error::{ClientError, ShutdownError, StartError, StartProblem};
pub use event::{Event, Events};
pub use jiff::Timestamp;
pub use jobs_core::{
    AsJob, Backoff, BoxError, CatchUp, Counts, DeadFilter, DeadItem, ErrorGroup, Failure, FailureKind, Fatal,
    ItemId, ItemInfo, ItemState, Job, JobContext, JobInfo, JobOptions, JobStats, Location, NodeInfo, Outcome,
    Overlap, Page, ParseIdError, RunFailed, RunFilter, RunId, RunReport, RunState, SkipReason, Stage, Stats,
    Store, StoreError, StoreSource, TickInfo, Trigger, Verdict, fatal,
};
pub use jobs_macros::{cron_group, daily, hourly, job, monthly, query, weekly};
#[cfg(feature = "postgres")]
pub use jobs_postgres::{Once, OnceIn, Pooler, PostgresOptions, PostgresStore};
#[cfg(feature = "redis")]
pub use jobs_redis::{ConnectionManager, RedisOptions, RedisStore};
pub use jobs_schedule as schedule;
#[cfg(feature = "sqlite")]
pub use jobs_sqlite::{Durability, SqliteOptions, SqliteStore};
pub use memory::MemoryStore;
pub use runner::Runner;

/// The README's code is compiled.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So is that of the guides.
#[cfg(all(doctest, feature = "testing"))]
mod guides {
    #[doc = include_str!("../../docs/job-lifecycle.md")]
    struct JobLifecycle;
    #[doc = include_str!("../../docs/schedules.md")]
    struct Schedules;
    #[doc = include_str!("../../docs/errors-and-retries.md")]
    struct ErrorsAndRetries;
    #[doc = include_str!("../../docs/testing.md")]
    struct Testing;
    #[doc = include_str!("../../docs/many-machines.md")]
    struct ManyMachines;
    #[doc = include_str!("../../docs/coming-from.md")]
    struct ComingFrom;
}
