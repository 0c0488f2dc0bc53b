//! What a session says of a job that it links.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{JobOptions, Location, Millis, Overlap};

/// What a session says of a job that it links: all that a store, or a client in another process, has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `group.name`.
    pub job: Arc<str>,
    /// The id it had before a rename: its cursor, pause and items are taken over.
    pub was: Option<Arc<str>>,
    /// When it is due.
    pub schedule: Option<Declaration>,
    /// Whether a query finds its items.
    pub query: bool,
    /// The name of its item's type; `None` for a job that takes no item.
    pub item_type: Option<Arc<str>>,
    /// What a tick does while the last run is busy.
    pub overlap: Overlap,
    /// The priority of its items.
    pub priority: i16,
    /// Items at once in one runner.
    pub concurrency: u32,
    /// Items at once over all runners.
    pub global_concurrency: Option<u32>,
    /// Whether it runs, as the code says.
    pub enabled: bool,
    /// Finished runs kept.
    pub keep_runs: u32,
    /// Verdict records kept.
    pub keep_ticks: u32,
    /// How long a dead item is kept.
    pub keep_dead: Duration,
    /// Where it is declared.
    pub location: Location,
}

/// A schedule as the code declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// The canonical text.
    pub text: Arc<str>,
    /// The zone.
    pub tz: Arc<str>,
    /// What tells it from other declarations: a hash of text and zone.
    pub fingerprint: Arc<str>,
    /// For a schedule of one instant: when.
    pub instant: Option<Millis>,
}

impl Link {
    /// Whether one attempt at a time runs over the cluster: a job without a query, unless its runs may overlap.
    #[must_use]
    pub fn exclusive(&self) -> bool {
        !self.query && self.overlap != Overlap::Allow
    }

    /// Whether its items are limited over all sessions.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.global_concurrency.is_some() || self.exclusive()
    }

    /// A job with every option at its default.
    #[must_use]
    pub fn new(job: impl Into<Arc<str>>) -> Self {
        let policy = JobOptions::new().resolve_defaults();
        Self {
            job: job.into(),
            was: None,
            schedule: None,
            query: false,
            item_type: None,
            overlap: policy.overlap,
            priority: policy.priority,
            concurrency: policy.concurrency,
            global_concurrency: policy.global_concurrency,
            enabled: policy.enabled,
            keep_runs: policy.keep_runs,
            keep_ticks: policy.keep_ticks,
            keep_dead: policy.keep_dead,
            location: Location { file: "", line: 0, column: 0 },
        }
    }

    /// Whether it says nothing but the name: so is a job linked that was made by a run and that nobody has declared.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        *self == Self::new(self.job.clone())
    }
}
