//! Filling a run: what its query found is staged, or published page by page, until the fill item is settled.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{Append, Appended, End, Token};

/// What a query has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The lease under which it is appended.
    pub lease: Option<Token>,
    /// The number of the next append.
    pub seq: u64,
    /// Where a store has put what is staged.
    #[serde(rename = "line")]
    pub place: Option<i64>,
    /// How many items are staged: found, and not to be seen before all are.
    pub staged: u64,
}

/// What an append under a lease that is held comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling {
    /// It is answered, and nothing is stored: it is lost, out of order, or the repeat of one that was stored.
    Answered(Option<Appended>),
    /// It is the next one: its first item has this number in the run.
    Next(u64),
}

/// What becomes of what is staged: when a fill item is settled or leased anew, an append is stored, or a run is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FillEnd {
    /// Nothing.
    Nothing,
    /// It is dropped.
    Drop(Fill),
    /// It is shown: it may be leased from now on.
    Publish(Fill),
}

impl Run {
    /// Begins to fill under a lease. Returns what another lease staged, which is dropped: nothing is doubled.
    pub fn fill_under(&mut self, token: Token) -> FillEnd {
        match &mut self.record.fill {
            Some(fill) if fill.lease != Some(token) => {
                let former = std::mem::replace(fill, Fill { lease: Some(token), ..Fill::default() });
                dropped(former)
            }
            _ => FillEnd::Nothing,
        }
    }

    /// Judges an append under the lease of the fill item, which is held; `fill_under` comes first. A repeat is answered
    /// with `None` inside: as [`stored`](Self::stored) says.
    #[must_use]
    pub fn judge(&self, append: &Append) -> Filling {
        let lost = Filling::Answered(Some(Appended::Lost));
        let Some(fill) = &self.record.fill else { return lost };
        if self.record.cancelled {
            return lost;
        }
        match append.seq.cmp(&fill.seq) {
            std::cmp::Ordering::Greater => {
                Filling::Answered(Some(Appended::OutOfOrder { expected: fill.seq }))
            }
            std::cmp::Ordering::Less => Filling::Answered(None),
            std::cmp::Ordering::Equal => Filling::Next(self.counts.total + fill.staged),
        }
    }

    /// Whether an append under a lease that has ended is the repeat of one that was stored: the query went through.
    #[must_use]
    pub fn was_stored(&self, append: &Append) -> bool {
        self.filled == Some(append.token) && append.seq <= self.record.last_append
    }

    /// Takes in an append of so many items that was judged to be the next, and says what becomes of what is staged. With
    /// `Publish`, so many items as [`Fill::staged`] says join the run.
    pub fn take_in(&mut self, append: &Append, found: u64) -> FillEnd {
        if let Some(cursor) = &append.page {
            self.cursor.clone_from(cursor);
            self.counts.total += found;
            self.fresh += found;
        }
        let Some(fill) = &mut self.record.fill else { return FillEnd::Nothing };
        fill.seq += 1;
        if append.page.is_none() {
            fill.staged += found;
        }
        if !append.last {
            return FillEnd::Nothing;
        }
        self.filled = Some(append.token);
        self.record.last_append = append.seq;
        match self.record.fill.take() {
            Some(fill) if fill.staged > 0 => {
                self.counts.total += fill.staged;
                self.fresh += fill.staged;
                FillEnd::Publish(fill)
            }
            Some(fill) => dropped(fill),
            None => FillEnd::Nothing,
        }
    }

    /// The answer to an append that is stored; `ready`: how many items of the job are ready.
    #[must_use]
    pub fn stored(&self, ready: u64) -> Appended {
        let staged = self.record.fill.as_ref().map_or(0, |fill| fill.staged);
        Appended::Stored { ready, total: self.counts.total + staged }
    }

    /// What the end of an attempt of the fill item means for its run: what was staged is dropped, and what was published
    /// page by page stays, with the cursor.
    pub fn fill_ended(&mut self, end: &End) -> FillEnd {
        let Some(fill) = &mut self.record.fill else { return FillEnd::Nothing };
        let former = std::mem::take(fill);
        match end {
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) => {}
            End::Dead(_) => {
                self.record.query_failed = true;
                self.record.fill = None;
            }
            _ => self.record.fill = None,
        }
        dropped(former)
    }

    /// Drops what was staged. Its fill item ends when it is settled.
    pub fn drop_staged(&mut self) -> FillEnd {
        let Some(fill) = &mut self.record.fill else { return FillEnd::Nothing };
        let kept = Fill { lease: fill.lease, ..Fill::default() };
        dropped(std::mem::replace(fill, kept))
    }
}

fn dropped(fill: Fill) -> FillEnd {
    if fill.place.is_some() || fill.staged > 0 { FillEnd::Drop(fill) } else { FillEnd::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, FailureKind, Millis, RunId, Trigger};

    fn filling() -> Run {
        let mut run = Run::new(RunId::new(1), Trigger::Schedule, Millis(0), 0);
        run.record.fill = Some(Fill::default());
        assert_eq!(run.fill_under(Token(7)), FillEnd::Nothing);
        run
    }

    fn append(seq: u64, last: bool) -> Append {
        Append { token: Token(7), seq, item_type: "u64".into(), bodies: Vec::new(), page: None, last }
    }

    fn page(seq: u64, cursor: Option<&str>, last: bool) -> Append {
        Append { page: Some(cursor.map(|cursor| cursor.as_bytes().to_vec())), ..append(seq, last) }
    }

    #[test]
    fn appends_come_in_their_order_and_each_once() {
        let mut run = filling();
        assert_eq!(
            run.judge(&append(1, false)),
            Filling::Answered(Some(Appended::OutOfOrder { expected: 0 }))
        );
        assert_eq!(run.judge(&append(0, false)), Filling::Next(0));
        run.take_in(&append(0, false), 5);
        assert_eq!(run.judge(&append(0, false)), Filling::Answered(None), "a repeat");
        assert_eq!(run.judge(&append(1, false)), Filling::Next(5));
    }

    #[test]
    fn what_is_staged_joins_the_run_with_the_last_append() {
        let mut run = filling();
        run.take_in(&append(0, false), 5);
        assert_eq!((run.counts.total, run.stored(3)), (0, Appended::Stored { ready: 3, total: 5 }));
        let end = run.take_in(&append(1, true), 2);
        assert!(matches!(end, FillEnd::Publish(Fill { staged: 7, .. })), "{end:?}");
        assert_eq!((run.counts.total, run.fresh, run.is_busy()), (7, 7, true));
        assert!(run.was_stored(&append(1, true)) && run.was_stored(&append(0, false)));
        assert!(!run.was_stored(&append(2, true)), "there was no such append");
        assert!(!run.was_stored(&Append { token: Token(8), ..append(1, true) }), "under another lease");
    }

    #[test]
    fn a_query_that_found_nothing_ends_its_filling_too() {
        let mut run = filling();
        assert_eq!(run.take_in(&append(0, true), 0), FillEnd::Nothing);
        assert!(run.has_ended());
    }

    #[test]
    fn a_page_joins_the_run_at_once_and_keeps_its_cursor() {
        let mut run = filling();
        assert_eq!(run.take_in(&page(0, Some("next"), false), 5), FillEnd::Nothing);
        assert_eq!((run.counts.total, run.fresh, run.cursor.as_deref()), (5, 5, Some(&b"next"[..])));
        run.fill_ended(&End::Back);
        assert_eq!(run.cursor.as_deref(), Some(&b"next"[..]), "the next attempt begins there");
        assert_eq!(run.judge(&page(0, None, true)), Filling::Next(5));
        assert_eq!(run.take_in(&page(0, None, true), 1), FillEnd::Nothing);
        assert_eq!((run.counts.total, run.cursor.as_deref()), (6, None));
    }

    #[test]
    fn what_a_failed_attempt_staged_is_dropped() {
        let mut run = filling();
        run.take_in(&append(0, false), 5);
        assert!(matches!(run.fill_ended(&End::Back), FillEnd::Drop(Fill { staged: 5, .. })));
        assert_eq!(run.judge(&append(0, false)), Filling::Next(0), "the next attempt begins anew");
        run.take_in(&append(0, false), 5);
        assert!(matches!(run.fill_under(Token(9)), FillEnd::Drop(_)), "so does another lease");
        let failure = Failure::new(FailureKind::Error, "no", Millis(0).timestamp());
        assert_eq!(run.fill_ended(&End::Dead(Box::new(failure))), FillEnd::Nothing);
        assert!(run.has_ended() && run.record.query_failed);
    }

    #[test]
    fn what_another_lease_staged_is_dropped() {
        let mut run = filling();
        run.take_in(&append(0, false), 5);
        assert_eq!(run.fill_under(Token(7)), FillEnd::Nothing, "it is the same lease");
        assert!(matches!(run.fill_under(Token(9)), FillEnd::Drop(Fill { staged: 5, .. })));
        let other = Append { token: Token(9), ..append(0, false) };
        assert_eq!(run.judge(&other), Filling::Next(0));
    }

    #[test]
    fn a_cancelled_run_takes_nothing_in() {
        let mut run = filling();
        run.take_in(&append(0, false), 5);
        run.record.cancelled = true;
        assert!(matches!(run.drop_staged(), FillEnd::Drop(_)));
        assert_eq!(run.judge(&append(1, false)), Filling::Answered(Some(Appended::Lost)));
        assert!(run.is_busy(), "its fill item is still to be settled");
        run.fill_ended(&End::Cancelled);
        assert!(run.has_ended());
    }
}
