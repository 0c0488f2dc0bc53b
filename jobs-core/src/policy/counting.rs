//! How the ends of items, and of their attempts, are counted in the report of their run.

use crate::{Counts, End, FailureKind, Header};

/// Counts that `n` items of a run, alike in their header, ended so; `fresh` is how many of the run's have their first
/// attempt still to be settled.
pub fn count(counts: &mut Counts, fresh: &mut u64, header: &Header, n: u64, end: &End) {
    let attempted = match end {
        End::Done(_) | End::Retry { .. } | End::Discarded(_) => true,
        // Nothing was attempted of what a store kills.
        End::Dead(failure) => !matches!(failure.kind, FailureKind::Poison | FailureKind::Undecodable),
        _ => false,
    };
    if attempted && header.attempt > 0 {
        counts.retries += n;
    }
    if header.fresh && !matches!(end, End::Back | End::Undecodable(_)) {
        debug_assert!(*fresh >= n, "a first attempt is settled once");
        *fresh = fresh.saturating_sub(n);
    }
    match end {
        End::Done(_) => counts.ok += n,
        End::Dead(_) => counts.dead += n,
        End::Discarded(_) => counts.discarded += n,
        End::Cancelled => counts.cancelled += n,
        End::Expired => counts.expired += n,
        End::Retry { .. } | End::Snooze { .. } | End::Undecodable(_) | End::Back => {}
    }
}
