//! What a job is, and what a store promises: descriptors, model, policies as pure functions, context, outcome,
//! items, the [`Store`] contract. No I/O, no runtime.
//!
//! People who declare and run jobs depend on `jobs-runner`, which re-exports what they need. This crate is for
//! those who write a store.

mod body;
mod context;
#[doc(hidden)]
pub mod descriptor;
mod failure;
mod handle;
mod id;
mod items;
mod options;
mod outcome;
mod page;
mod report;
mod returns;
mod time;

pub use body::{Body, BodyWriter, MAX_BYTES, MAX_ITEMS};
pub use context::{Delivery, JobContext};
pub use descriptor::{BoxFuture, Location};
pub use failure::{BoxError, Failure, FailureKind, Fatal, fatal};
pub use id::{ItemId, ParseIdError, RunId, SessionId, Token};
#[doc(hidden)]
pub use options::Declared;
pub use options::{Backoff, CatchUp, JobOptions, Overlap};
#[doc(hidden)]
pub use outcome::Finish;
pub use outcome::Outcome;
pub use report::Trigger;
pub use time::Millis;
