//! Decisions as pure functions: what a store or a runner does with what it knows. Tested without either.

mod attempts;
mod backoff;
mod counting;
mod due;
mod resolved;

pub use attempts::{AfterCrash, MAX_CRASHES, UNDECODABLE_AFTER, after_crash, after_failure, is_undecodable};
pub use backoff::Waits;
pub use counting::count;
pub use due::{Decision, Due, FireTick, MAX_CATCH_UP, ON_TIME, decide};
pub use resolved::{BadOption, Policy};
