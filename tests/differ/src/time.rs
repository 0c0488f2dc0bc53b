//! The time of a sequence: it moves between operations alone, and is the same on each store.
//!
//! A store's own clock runs on while an operation is under way, by some milliseconds. No answer shows that, since all
//! times are compared by the second, and no decision does:
//!
//! - an operation happens half a second after a whole one, at least ten seconds from any other;
//! - waits that a store adds to its clock are of whole seconds, and end in five;
//! - instants that are named (ticks, due times) end in 5.25 or 7.75 seconds, so that they fall together with nothing.

use jobs_core::Millis;

/// When a sequence begins.
pub const START: i64 = 1_767_225_600_000;
/// The least time between two operations.
pub const STEP: i64 = 10_000;
/// When in its second an operation happens.
pub const AT: i64 = 500;
/// Where in its ten seconds a tick is.
pub const TICK: i64 = 5_250;
/// Where in its ten seconds a due time is that is named.
pub const DUE: i64 = 7_750;

/// An instant by the second; those that mean something else than a time stay as they are.
#[must_use]
pub fn by_the_second(at: Millis) -> Millis {
    if at.0.unsigned_abs() < 1_000_000_000_000 || at == Millis::MAX || at == Millis::MIN {
        return at;
    }
    Millis(at.0.div_euclid(1_000) * 1_000)
}
