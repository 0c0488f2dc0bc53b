//! What a job is, and what a store promises: descriptors, model, policies as pure functions, context, outcome,
//! items, the [`Store`] contract. No I/O, no runtime.
//!
//! People who declare and run jobs depend on `jobs-runner`, which re-exports what they need. This crate is for
//! those who write a store.

mod body;
#[doc(hidden)]
pub mod call;
mod chunk;
mod context;
mod contract;
#[doc(hidden)]
pub mod descriptor;
mod failure;
mod filter;
mod handle;
mod headers;
mod id;
#[doc(hidden)]
pub mod items;
pub mod ledger;
mod link;
#[doc(hidden)]
pub mod notice;
mod options;
mod outcome;
#[doc(hidden)]
pub mod page;
mod pause;
mod policy;
mod report;
#[doc(hidden)]
pub mod returns;
mod source;
mod text;
mod time;
mod timetable;
mod wakeups;

pub use body::{Body, BodyWriter, MAX_BYTES, MAX_ITEMS};
pub use chunk::{Chunk, FORMAT, Header, ItemOptions, STEP, Stage, Undecodable};
pub use context::{Delivery, JobContext};
pub use contract::*;
pub use descriptor::{BoxFuture, Location};
pub use failure::{BoxError, Failure, FailureKind, Fatal, fatal};
pub use filter::{DeadFilter, RunFilter};
pub use handle::{AsJob, Job};
pub use headers::requeued_chunks;
pub use id::{ItemId, ParseIdError, RunId, SessionId, Token};
pub use link::{Declaration, Link};
pub use options::Declared;
pub use options::{Backoff, CatchUp, JobOptions, Overlap};
#[doc(hidden)]
pub use outcome::Finish;
pub use outcome::Outcome;
pub use page::Page;
pub use pause::{PAUSES, covers, pause_cell, pause_cells};
pub use policy::*;
pub use report::*;
#[doc(hidden)]
pub use source::Source;
pub use source::{StoreSource, without_password};
pub use text::{MAX_TEXT, cut, cut_text};
pub use time::Millis;
pub use timetable::Timetable;
pub use wakeups::{Marks, Waker, Wakeups};
