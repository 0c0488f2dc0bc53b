//! What a store promises.
//!
//! Every operation is one atomic step: it happens whole or not at all, and a repeat with the same idempotence
//! key changes nothing and answers as the first did. Every time is the store's own clock (plus an offset given
//! at connect, so that a test can move it), and every reply carries it. What is in flight is recorded in leases
//! alone, so nothing can disagree with them.
//!
//! One step touches at most [`STEP_RECORDS`] records one by one. An operation that finds more of them does that many,
//! the oldest first, and says that there is more.
//!
//! No stored time is further ahead than it was meant to be. A clock that was in the future for a moment may have
//! stored such times, so each is held against the store's clock when it is read: see [`ledger`](crate::ledger).

mod append;
mod cell;
mod error;
mod fire;
mod records;
mod reply;
mod session;
mod settle;
mod store;
mod upkeep;

pub use append::*;
pub use cell::*;
pub use error::StoreError;
pub use fire::*;
pub use records::JobRecord;
pub use reply::*;
pub use session::*;
pub use settle::*;
pub use store::Store;
pub use upkeep::*;

/// The most records that one step of a store touches one by one. A range of items that is settled as done is one.
pub const STEP_RECORDS: usize = 1_000;
