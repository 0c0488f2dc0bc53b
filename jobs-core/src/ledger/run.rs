//! One run: what it counts, whether it is busy, and how it ends.

use serde::{Deserialize, Serialize};

use super::{Fill, FillEnd, Tally};
use crate::{Counts, ErrorGroup, FailureKind, Millis, RunId, RunReport, RunState, SessionId, Token, Trigger};

/// A run. Which job it belongs to, and by which request it was made, is kept beside it: stores find runs by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// How its items ended so far.
    pub counts: Counts,
    /// Items whose first attempt is not settled.
    pub fresh: u64,
    /// The lease under which its query went through, for the repeat of the last append.
    pub filled: Option<Token>,
    /// For a query that is called page by page: where the next page begins.
    pub cursor: Option<Vec<u8>>,
    /// All else.
    pub record: RunRecord,
}

/// What is kept of a run and is not looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// What made it.
    pub trigger: Trigger,
    /// Its scheduled instant.
    pub tick: Option<Millis>,
    /// When it was made.
    pub started_at: Millis,
    /// What was noted when it was made.
    pub note: Option<String>,
    /// Its failed attempts.
    pub errors: Vec<ErrorGroup>,
    /// The lease that came with the answer to the fire, for its repeat.
    pub first: Option<(SessionId, Token)>,
    /// The filling, until the fill item is settled.
    pub fill: Option<Fill>,
    /// The number of the append that ended the filling.
    pub last_append: u64,
    /// Whether an item has been leased.
    #[serde(default)]
    pub begun: bool,
    /// Whether its query failed for good.
    pub query_failed: bool,
    /// Whether it was cancelled.
    #[serde(default)]
    pub cancelled: bool,
    /// How it ended, and when.
    pub over: Option<(RunState, Millis)>,
}

/// What is said of items that are missing.
pub const GONE: &str = "its items are gone: they were removed from the store";

impl Run {
    /// A run in which nothing has happened, of so many items: with a query, none yet.
    #[must_use]
    pub fn new(id: RunId, trigger: Trigger, started_at: Millis, items: u64) -> Self {
        let record = RunRecord {
            trigger,
            tick: None,
            started_at,
            note: None,
            errors: Vec::new(),
            first: None,
            fill: None,
            last_append: 0,
            begun: false,
            query_failed: false,
            cancelled: false,
            over: None,
        };
        let counts = Counts { total: items, ..Counts::default() };
        Self { id, counts, fresh: 0, filled: None, cursor: None, record }
    }

    /// While it fills, or an item's first attempt is not settled, it holds the ticks of its job.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.record.over.is_none() && (self.record.fill.is_some() || self.fresh > 0)
    }

    /// Whether filling is over and every item has ended, and nobody has completed it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let RunRecord { over, fill, .. } = &self.record;
        over.is_none() && fill.is_none() && self.counts.ended() >= self.counts.total
    }

    /// Whether it was cancelled and is not over: nothing of it is leased or tried again. What comes after its end is.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.record.cancelled && self.record.over.is_none()
    }

    /// How far it is, or how it ended.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (&self.record.over, &self.record.fill) {
            (Some((state, _)), _) => *state,
            _ if !self.record.begun => RunState::Queued,
            (None, Some(_)) => RunState::Filling,
            (None, None) => RunState::Working,
        }
    }

    /// Ends it.
    pub fn end(&mut self, now: Millis) {
        let Counts { total, dead, .. } = self.counts;
        let state = match () {
            () if self.record.cancelled => RunState::Cancelled,
            () if self.record.query_failed || (dead > 0 && dead == total) => RunState::Failed,
            () if dead > 0 => RunState::Partial,
            () => RunState::Succeeded,
        };
        self.record.over = Some((state, now));
    }

    /// Adds what a step has counted.
    pub fn add(&mut self, tally: Tally) {
        let Tally { counts, fresh, errors } = tally;
        self.counts.ok += counts.ok;
        self.counts.retries += counts.retries;
        self.counts.dead += counts.dead;
        self.counts.discarded += counts.discarded;
        self.counts.expired += counts.expired;
        self.counts.cancelled += counts.cancelled;
        self.fresh = self.fresh.saturating_sub(fresh);
        for group in errors {
            ErrorGroup::add(&mut self.record.errors, group);
        }
    }

    /// Ends what is missing of it: it is not over, and nothing of it is left in the store, so somebody has removed it. What
    /// is missing is dead; a query that is missing has failed. Returns how many items those are, and what was staged.
    pub fn give_up(&mut self) -> (u64, FillEnd) {
        let staged = self.drop_staged();
        self.record.query_failed |= self.record.fill.take().is_some();
        let missing = self.counts.total.saturating_sub(self.counts.ended());
        self.counts.dead += missing;
        self.fresh = 0;
        let group = ErrorGroup {
            kind: FailureKind::Undecodable,
            message: GONE.to_owned(),
            count: missing.max(1),
            sample: self.id.item(0),
        };
        ErrorGroup::add(&mut self.record.errors, group);
        (missing, staged)
    }

    /// What users see of it.
    #[must_use]
    pub fn report(&self, job: &str) -> RunReport {
        let RunRecord { trigger, tick, started_at, note, errors, over, .. } = &self.record;
        let mut report = RunReport::new(self.id, job, *trigger, started_at.timestamp());
        report.tick = tick.map(Millis::timestamp);
        report.state = self.state();
        report.counts = self.counts;
        report.errors.clone_from(errors);
        report.finished_at = over.map(|(_, at)| at.timestamp());
        report.note.clone_from(note);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(items: u64) -> Run {
        Run::new(RunId::new(1), Trigger::Manual, Millis(0), items)
    }

    fn ended(change: impl FnOnce(&mut Run)) -> RunState {
        let mut run = run(2);
        change(&mut run);
        run.end(Millis(9));
        assert!(!run.has_ended() && !run.is_busy(), "what is over is neither busy nor to be completed");
        run.state()
    }

    #[test]
    fn a_run_ends_by_what_became_of_its_items() {
        assert_eq!(ended(|run| run.counts.ok = 2), RunState::Succeeded);
        assert_eq!(ended(|run| (run.counts.ok, run.counts.dead) = (1, 1)), RunState::Partial);
        assert_eq!(ended(|run| run.counts.dead = 2), RunState::Failed);
        assert_eq!(ended(|run| run.record.query_failed = true), RunState::Failed);
        assert_eq!(ended(|run| (run.counts.dead, run.record.cancelled) = (2, true)), RunState::Cancelled);
        assert_eq!(ended(|run| run.counts.total = 0), RunState::Succeeded, "no item is no failure");
    }

    #[test]
    fn a_run_is_busy_while_it_fills_or_a_first_attempt_is_to_come() {
        let mut run = run(0);
        assert!(!run.is_busy() && run.has_ended());
        run.record.fill = Some(Fill::default());
        assert!(run.is_busy() && !run.has_ended());
        assert_eq!(run.state(), RunState::Queued);
        run.record.begun = true;
        assert_eq!(run.state(), RunState::Filling);
        run.record.fill = None;
        (run.counts.total, run.fresh) = (2, 1);
        assert!(run.is_busy() && !run.has_ended());
        run.fresh = 0;
        assert!(!run.is_busy(), "one that only has retries to do is trailing");
        assert_eq!(run.state(), RunState::Working);
    }

    #[test]
    fn what_comes_after_a_cancelled_run_is_not_cancelled() {
        let mut run = run(0);
        assert!(!run.is_cancelled());
        run.record.cancelled = true;
        assert!(run.is_cancelled());
        run.end(Millis(9));
        assert!(!run.is_cancelled(), "its finish item is leased and tried again like any other");
    }

    #[test]
    fn what_steps_count_is_added_up() {
        let mut run = Run { fresh: 3, ..run(3) };
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        tally.counts.ok = 1;
        tally.cancel_untouched(2);
        tally.fresh += 1;
        run.add(tally.clone());
        assert_eq!((run.counts.ok, run.counts.cancelled, run.fresh), (1, 2, 0));
        assert!(run.has_ended());
    }

    #[test]
    fn what_is_missing_of_a_run_is_no_success() {
        let mut run = Run { fresh: 2, ..run(3) };
        run.counts.ok = 1;
        assert_eq!(run.give_up(), (2, FillEnd::Nothing));
        assert!(run.has_ended() && !run.is_busy());
        assert_eq!((run.counts.total, run.counts.dead, run.record.errors[0].count), (3, 2, 2));
        run.end(Millis(9));
        assert_eq!(run.state(), RunState::Partial);

        let mut filling = self::run(0);
        let fill = Fill { staged: 5, ..Fill::default() };
        filling.record.fill = Some(fill.clone());
        assert_eq!(filling.give_up(), (0, FillEnd::Drop(fill)));
        filling.end(Millis(9));
        assert_eq!(filling.state(), RunState::Failed, "nobody knows what its query found");
    }

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let older = r#"{"trigger":"Manual","tick":null,"started_at":5,"note":null,"errors":[],"first":null,
            "fill":{"lease":7,"seq":2,"line":9,"staged":3},"last_append":0,"query_failed":false,"over":null}"#;
        let record: RunRecord = serde_json::from_str(older).unwrap_or_else(|error| panic!("{error}"));
        let fill = record.fill.unwrap_or_else(|| panic!("it fills"));
        assert_eq!((fill.lease, fill.seq, fill.place, fill.staged), (Some(Token(7)), 2, Some(9), 3));
        assert!(!record.begun && !record.cancelled);
    }

    #[test]
    fn a_report_says_all_that_is_known_of_a_run() {
        let mut run = run(3);
        run.record.tick = Some(Millis(7));
        run.record.note = Some("please".into());
        run.counts.dead = 3;
        let failure = crate::Failure::new(crate::FailureKind::Error, "no", Millis(0).timestamp());
        ErrorGroup::count_in(&mut run.record.errors, crate::ItemId::new(1, 0), &failure);
        let report = run.report("a.b");
        assert_eq!((report.id, &*report.job, report.trigger), (RunId::new(1), "a.b", Trigger::Manual));
        assert_eq!(
            (report.state, report.started_at, report.finished_at),
            (RunState::Queued, Millis(0).timestamp(), None)
        );
        assert_eq!((report.tick, report.note.as_deref()), (Some(Millis(7).timestamp()), Some("please")));
        assert_eq!((report.counts, report.errors.len()), (run.counts, 1));
        run.end(Millis(9));
        let ended = run.report("a.b");
        assert_eq!((ended.state, ended.finished_at), (RunState::Failed, Some(Millis(9).timestamp())));
    }

    #[test]
    fn every_count_of_a_step_is_added() {
        let mut run = run(100);
        let counts = Counts { total: 0, ok: 1, retries: 2, dead: 3, discarded: 4, expired: 5, cancelled: 6 };
        for _ in 0..2 {
            run.add(Tally { counts, ..Tally::default() });
        }
        let twice =
            Counts { total: 100, ok: 2, retries: 4, dead: 6, discarded: 8, expired: 10, cancelled: 12 };
        assert_eq!(run.counts, twice);
    }
}
