//! How much history is kept, and who is pruned first.

use std::time::Duration;

/// How long a repeat of a discard is answered as the first was.
pub const REPEATED: Duration = Duration::from_secs(24 * 3600);

/// The cell in which the answer to a discard is kept.
#[must_use]
pub fn discard_cell(request: u64) -> String {
    format!("discarded/{request}")
}

/// How many of a job's records are to be removed in one step, when so many jobs have too many: all get the same share of
/// the limit, so that one with very many keeps none of the others waiting.
#[must_use]
pub fn share_of(limit: usize, jobs: usize) -> usize {
    (limit / jobs.max(1)).max(1)
}

/// How many records are too many.
#[must_use]
pub fn over(records: u64, keep: u32) -> usize {
    usize::try_from(records.saturating_sub(u64::from(keep))).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_jobs_get_the_same_share() {
        assert_eq!(share_of(1_000, 1), 1_000);
        assert_eq!(share_of(1_000, 3), 333);
        assert_eq!(share_of(10, 1_000), 1, "each some, and the rest in the next step");
        assert_eq!((over(5, 3), over(3, 3), over(0, 3)), (2, 0, 0));
    }

    #[test]
    fn the_answer_to_a_discard_is_kept_by_its_request() {
        assert_eq!(discard_cell(7), "discarded/7");
    }
}
