//! Which runs and dead items a list shows.

use jiff::Timestamp;

use crate::{AsJob, DeadItem, ItemId, RunId, RunReport, RunState, Trigger};

/// How long a list may be when nobody says.
const DEFAULT_LIMIT: usize = 100;

/// Which runs to list: all, until something is asked for. Lists are newest first, and at most 100 long unless
/// [`limit`](Self::limit) says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RunFilter {
    job: Option<String>,
    state: Option<RunState>,
    trigger: Option<Trigger>,
    since: Option<Timestamp>,
    limit: usize,
}

impl Default for RunFilter {
    fn default() -> Self {
        Self { job: None, state: None, trigger: None, since: None, limit: DEFAULT_LIMIT }
    }
}

impl RunFilter {
    /// All runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one job.
    pub fn job(mut self, job: impl AsJob) -> Self {
        self.job = Some(job.as_job().to_owned());
        self
    }

    /// Those in one state.
    pub fn state(mut self, state: RunState) -> Self {
        self.state = Some(state);
        self
    }

    /// Those made by one trigger.
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = Some(trigger);
        self
    }

    /// Those that started at this instant or later.
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// At most this many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The job asked for.
    #[must_use]
    pub fn job_id(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// How many at most.
    #[must_use]
    pub fn max(&self) -> usize {
        self.limit
    }

    /// Whether a run is one of those asked for.
    #[must_use]
    pub fn matches(&self, run: &RunReport) -> bool {
        self.job.as_ref().is_none_or(|job| *job == run.job)
            && self.state.is_none_or(|state| state == run.state)
            && self.trigger.is_none_or(|trigger| trigger == run.trigger)
            && self.since.is_none_or(|since| since <= run.started_at)
    }
}

/// Which dead items are meant: all, until something is asked for. Lists are newest first, and at most 100 long unless
/// [`limit`](Self::limit) says otherwise; whoever requeues or discards without a limit means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DeadFilter {
    job: Option<String>,
    run: Option<RunId>,
    item: Option<ItemId>,
    error: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<usize>,
}

impl DeadFilter {
    /// All dead items.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one job.
    pub fn job(mut self, job: impl AsJob) -> Self {
        self.job = Some(job.as_job().to_owned());
        self
    }

    /// Those of one run.
    pub fn run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// One item.
    pub fn item(mut self, item: ItemId) -> Self {
        self.item = Some(item);
        self
    }

    /// Those whose last failure says this somewhere.
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Those that died at this instant or later.
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Those that died at this instant or earlier.
    pub fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// At most this many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The job asked for.
    #[must_use]
    pub fn job_id(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// How many a list has at most.
    #[must_use]
    pub fn max(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// How many were asked for at most, if anybody said.
    #[must_use]
    pub fn bound(&self) -> Option<usize> {
        self.limit
    }

    /// The latest death asked for.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether a dead item is one of those asked for.
    #[must_use]
    pub fn matches(&self, dead: &DeadItem) -> bool {
        let last = dead.attempts.last();
        self.job.as_ref().is_none_or(|job| *job == dead.job)
            && self.run.is_none_or(|run| Some(run) == dead.run)
            && self.item.is_none_or(|item| item == dead.id)
            && self.since.is_none_or(|since| last.is_some_and(|failure| since <= failure.at))
            && self.until.is_none_or(|until| last.is_some_and(|failure| failure.at <= until))
            && self.error.as_ref().is_none_or(|text| {
                last.is_some_and(|f| f.message.contains(text) || f.chain.iter().any(|c| c.contains(text)))
            })
    }
}
