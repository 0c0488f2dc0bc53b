//! What one step adds to the counts of a run: added up once, whatever it carries.

use serde::{Deserialize, Serialize};

use crate::{Counts, End, ErrorGroup, Failure, Header, Stage, count};

/// What is added to the counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Ends of items; `total` stays 0.
    pub counts: Counts,
    /// How many first attempts were settled.
    pub fresh: u64,
    /// Failed attempts.
    pub errors: Vec<ErrorGroup>,
}

impl Tally {
    /// Counts that `n` items, alike in their header, ended so. `end` is what [`fate`](super::fate) made of it.
    pub fn end(&mut self, header: &Header, n: u32, end: &End) {
        if let End::Retry { failure, .. } | End::Dead(failure) = end {
            self.failed(header, n, failure);
        }
        if header.stage == Stage::Work {
            let (n, mut left) = (u64::from(n), u64::from(n));
            count(&mut self.counts, &mut left, header, n, end);
            self.fresh += n - left;
        }
    }

    /// Counts items that nobody has touched and that are cancelled: their first attempt was still to come.
    pub fn cancel_untouched(&mut self, items: u64) {
        self.counts.cancelled += items;
        self.fresh += items;
    }

    fn failed(&mut self, header: &Header, n: u32, failure: &Failure) {
        for index in 0..n {
            ErrorGroup::count_in(&mut self.errors, header.item(index), failure);
        }
    }

    /// Whether it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
