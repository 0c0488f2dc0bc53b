//! What is written down beside a kept place: the numbers that its store gave out, and all that could be read of it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use jobs_core::{BoxError, Lease, Millis, SessionId, Token};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When the story ends, by the store's clock: 2026-03-02T09:00:00Z, a Monday.
pub const END: Millis = Millis(1_772_442_000_000);

/// What is written down beside a kept place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Numbers of runs, requests, versions and ticks, by what the story calls them.
    pub numbers: BTreeMap<String, u64>,
    /// Leases that are held when the place is closed, by what the story calls them.
    pub leases: BTreeMap<String, Held>,
    /// What its namespaces answered to all reads, by their names: in a file of its own.
    #[serde(skip)]
    pub reads: BTreeMap<String, Value>,
}

/// A lease that is held when the place is closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Who holds it.
    pub session: SessionId,
    /// Its token.
    pub token: Token,
    /// The first of its items, by its place in the run.
    pub start: u64,
    /// How many items it has, settled ones included.
    pub count: u32,
}

impl Held {
    /// A lease of a session.
    #[must_use]
    pub fn new(session: SessionId, lease: &Lease) -> Self {
        let start = lease.chunk.header.start;
        Self { session, token: lease.token, start, count: lease.chunk.count() }
    }
}

impl Kept {
    /// A number of the story.
    ///
    /// # Errors
    /// If the story has none of that name.
    pub fn number(&self, name: &str) -> Result<u64, BoxError> {
        self.numbers.get(name).copied().ok_or_else(|| format!("the story has no number `{name}`").into())
    }

    /// A lease of the story.
    ///
    /// # Errors
    /// If the story has none of that name.
    pub fn lease(&self, name: &str) -> Result<&Held, BoxError> {
        self.leases.get(name).ok_or_else(|| format!("the story has no lease `{name}`").into())
    }
}

/// How many milliseconds a store's clock is to be ahead of what it is, so that it stands so many seconds after [`END`].
#[must_use]
pub fn offset(seconds: i64) -> i64 {
    clock(seconds).0.saturating_sub(Timestamp::now().as_millisecond())
}

/// So long after [`END`], or before it if negative.
#[must_use]
pub fn clock(seconds: i64) -> Millis {
    match u64::try_from(seconds) {
        Ok(seconds) => END + Duration::from_secs(seconds),
        Err(_) => END - Duration::from_secs(seconds.unsigned_abs()),
    }
}
