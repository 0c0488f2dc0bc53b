//! The record of one run.

use std::{collections::VecDeque, sync::Arc};

use jobs_core::{Chunk, Counts, ErrorGroup, Millis, RunId, RunReport, RunState, SessionId, Token, Trigger};

#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) job: Arc<str>,
    pub(super) trigger: Trigger,
    pub(super) tick: Option<Millis>,
    pub(super) counts: Counts,
    /// Items whose first attempt is not settled.
    pub(super) fresh: u64,
    pub(super) errors: Vec<ErrorGroup>,
    pub(super) started_at: Millis,
    pub(super) note: Option<String>,
    /// The caller's id of a run by hand.
    pub(super) request: Option<u64>,
    /// The lease that came with the answer to the fire, for its repeat.
    pub(super) first: Option<(SessionId, Token)>,
    /// The filling, until the fill item is settled.
    pub(super) fill: Option<Fill>,
    /// The lease under which the query went through and the number of its last append, for its repeat.
    pub(super) filled: Option<(Token, u64)>,
    /// Whether an item has been leased.
    pub(super) begun: bool,
    pub(super) query_failed: bool,
    pub(super) cancelled: bool,
    /// How it ended, and when.
    pub(super) over: Option<(RunState, Millis)>,
}

/// What a query has found so far.
#[derive(Debug, Default)]
pub(super) struct Fill {
    /// The lease under which it is appended, and the number of the next append.
    pub(super) lease: Option<Token>,
    pub(super) seq: u64,
    /// Found, and not to be seen before all is.
    pub(super) staged: VecDeque<Chunk>,
    pub(super) staged_items: u64,
    /// For a query that is called page by page: where the next page begins.
    pub(super) cursor: Option<Vec<u8>>,
}

impl Fill {
    /// What another lease staged is dropped: nothing is doubled.
    pub(super) fn under(&mut self, token: Token) {
        if self.lease != Some(token) {
            let cursor = self.cursor.take();
            *self = Self { lease: Some(token), cursor, ..Self::default() };
        }
    }
}

impl Run {
    /// A run without items, in which nothing has happened.
    pub(super) fn new(id: RunId, job: Arc<str>, trigger: Trigger, started_at: Millis) -> Self {
        Self {
            id,
            job,
            trigger,
            tick: None,
            counts: Counts::default(),
            fresh: 0,
            errors: Vec::new(),
            started_at,
            note: None,
            request: None,
            first: None,
            fill: None,
            filled: None,
            begun: false,
            query_failed: false,
            cancelled: false,
            over: None,
        }
    }

    /// While it fills, or an item's first attempt is not settled, it holds the ticks of its job.
    pub(super) fn is_busy(&self) -> bool {
        self.over.is_none() && (self.fill.is_some() || self.fresh > 0)
    }

    /// Whether filling is over and every item has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.over.is_none() && self.fill.is_none() && self.counts.ended() == self.counts.total
    }

    pub(super) fn state(&self) -> RunState {
        match (&self.over, &self.fill) {
            (Some((state, _)), _) => *state,
            _ if !self.begun => RunState::Queued,
            (None, Some(_)) => RunState::Filling,
            (None, None) => RunState::Working,
        }
    }

    /// The state in which it ends.
    pub(super) fn verdict(&self) -> RunState {
        let Counts { total, dead, .. } = self.counts;
        match () {
            () if self.cancelled => RunState::Cancelled,
            () if self.query_failed || (dead > 0 && dead == total) => RunState::Failed,
            () if dead > 0 => RunState::Partial,
            () => RunState::Succeeded,
        }
    }

    pub(super) fn report(&self) -> RunReport {
        let mut report = RunReport::new(self.id, &*self.job, self.trigger, self.started_at.timestamp());
        report.tick = self.tick.map(Millis::timestamp);
        report.state = self.state();
        report.counts = self.counts;
        report.errors.clone_from(&self.errors);
        report.finished_at = self.over.map(|(_, at)| at.timestamp());
        report.note.clone_from(&self.note);
        report
    }
}
