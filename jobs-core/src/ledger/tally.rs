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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureKind, ItemId, Millis, ledger::sample};

    fn header() -> Header {
        sample::header(1, Millis(0))
    }

    fn failure(kind: FailureKind) -> Box<Failure> {
        Box::new(Failure::new(kind, "no", Millis(0).timestamp()))
    }

    #[test]
    fn what_a_step_ends_is_counted_by_how_it_ends() {
        let mut tally = Tally::default();
        let first = header();
        let later = Header { fresh: false, attempt: 2, ..header() };
        tally.end(&first, 4, &End::Done(None));
        tally.end(&later, 1, &End::Done(None));
        tally.end(&later, 2, &End::Dead(failure(FailureKind::Error)));
        tally.end(&later, 3, &End::Dead(failure(FailureKind::Poison)));
        tally.end(&first, 5, &End::retry(Millis(9), Millis(0), failure(FailureKind::Error)));
        tally.end(&later, 6, &End::Discarded(String::new()));
        tally.end(&first, 7, &End::Expired);
        tally.end(&first, 8, &End::Cancelled);
        tally.end(&first, 9, &End::Back);
        tally.end(&first, 9, &End::Undecodable(String::new()));
        tally.end(&first, 10, &End::snooze(Millis(9), Millis(0)));
        let counted = Counts { total: 0, ok: 5, retries: 9, dead: 5, discarded: 6, expired: 7, cancelled: 8 };
        assert_eq!(tally.counts, counted, "nothing was attempted of what a store kills");
        assert_eq!(tally.fresh, 4 + 5 + 7 + 8 + 10, "what goes back has its first attempt still to come");
        let groups: Vec<_> =
            tally.errors.iter().map(|group| (group.kind, group.count, group.sample)).collect();
        let item = ItemId::new(1, 0);
        assert_eq!(groups, [(FailureKind::Error, 7, item), (FailureKind::Poison, 3, item)]);
    }

    #[test]
    fn of_a_query_only_its_failures_are_counted() {
        let mut tally = Tally::default();
        let query = Header { stage: Stage::Fill, ..header() };
        tally.end(&query, 1, &End::Done(None));
        assert!(tally.is_empty());
        tally.end(&query, 1, &End::Dead(failure(FailureKind::Error)));
        assert_eq!((tally.counts, tally.fresh, tally.errors.len()), (Counts::default(), 0, 1));
    }
}
