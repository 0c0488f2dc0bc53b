//! A run, and what its query has found so far.

use std::{collections::VecDeque, sync::Arc};

use jobs_core::{Chunk, RunReport, ledger};

#[derive(Debug)]
pub(super) struct Run {
    pub(super) job: Arc<str>,
    /// The caller's id of a run by hand.
    pub(super) request: Option<u64>,
    pub(super) state: ledger::Run,
    /// What its query found, and is not to be seen before all is.
    pub(super) staged: VecDeque<Chunk>,
}

impl Run {
    pub(super) fn new(job: Arc<str>, request: Option<u64>, state: ledger::Run) -> Self {
        Self { job, request, state, staged: VecDeque::new() }
    }

    pub(super) fn report(&self) -> RunReport {
        self.state.report(&self.job)
    }
}
