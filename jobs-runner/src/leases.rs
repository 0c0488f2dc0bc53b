//! All that this runner has leased.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs_core::{Lease, RunId, Token};

use crate::{
    lease::{Held, Revoked},
    lock::lock,
};

/// A lease as it came.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) lease: Lease,
    /// This machine's uptime when the call that brought it was made for the first time.
    pub(crate) asked: Duration,
}

/// All that this runner has leased.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<BTreeMap<Token, Arc<Held>>>,
    unannounced: Mutex<BTreeMap<RunId, Unannounced>>,
}

/// A run that is about to be said to be filled, and what came of it meanwhile.
#[derive(Debug)]
struct Unannounced {
    job: Arc<str>,
    kept: Vec<Granted>,
}

impl Leases {
    /// Notes a lease that came.
    pub(crate) fn hold(&self, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        lock(&self.held).insert(held.token, held.clone());
        held
    }

    /// Notes that `n` items of a lease are settled.
    pub(crate) fn settled(&self, token: Token, n: u32) {
        let mut leases = lock(&self.held);
        if leases.get(&token).is_some_and(|held| held.settled(n)) {
            leases.remove(&token);
        }
    }

    /// A lease that is held.
    pub(crate) fn get(&self, token: Token) -> Option<Arc<Held>> {
        lock(&self.held).get(&token).cloned()
    }

    /// Whether a lease is held.
    pub(crate) fn holds(&self, token: Token) -> bool {
        lock(&self.held).contains_key(&token)
    }

    /// Forgets a lease that is lost or over.
    pub(crate) fn let_go(&self, token: Token) -> Option<Arc<Held>> {
        lock(&self.held).remove(&token)
    }

    /// The tokens of all.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        lock(&self.held).keys().copied().collect()
    }

    /// Keeps the items of leases from being started.
    pub(crate) fn revoke(&self, which: impl Fn(&Held) -> bool, why: Revoked) {
        for held in lock(&self.held).values().filter(|held| which(held)) {
            held.revoke(why);
        }
    }

    // The order of events: a run is said to be filled before any of its items is started here.

    /// The next items of this run are kept back until it is announced.
    pub(crate) fn keep_back(&self, run: RunId, job: &Arc<str>) {
        let none = || Unannounced { job: job.clone(), kept: Vec::new() };
        lock(&self.unannounced).entry(run).or_insert_with(none);
    }

    /// Keeps back a lease, if its run is not announced.
    pub(crate) fn kept_back(&self, granted: Granted) -> Option<Granted> {
        let mut unannounced = lock(&self.unannounced);
        match granted.lease.chunk.header.run().and_then(|run| unannounced.get_mut(&run)) {
            Some(run) => {
                run.kept.push(granted);
                None
            }
            None => Some(granted),
        }
    }

    /// The run is announced; what was kept back is handed over.
    pub(crate) fn announced(&self, run: RunId) -> Vec<Granted> {
        lock(&self.unannounced).remove(&run).map(|run| run.kept).unwrap_or_default()
    }

    /// The jobs of runs that are not announced: what is leased of them waits, so nothing more is wanted.
    pub(crate) fn unannounced_jobs(&self) -> Vec<Arc<str>> {
        lock(&self.unannounced).values().map(|run| run.job.clone()).collect()
    }
}
