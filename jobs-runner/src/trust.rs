//! How long the leases of this runner can be taken for its own.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long the leases can be trusted, by this machine's uptime.
///
/// Trust ends before the lease does, and is counted from before the store was asked: when it is over, another node may
/// have the items, or soon will.
#[derive(Debug)]
pub(crate) struct Trust {
    lease: Duration,
    /// In nanoseconds.
    until: AtomicU64,
    /// When the session began anew, in nanoseconds.
    anew: AtomicU64,
}

impl Trust {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, until: AtomicU64::new(0), anew: AtomicU64::new(0) }
    }

    /// The store has renewed the session; it was asked at this uptime.
    pub(crate) fn renew(&self, asked: Duration) {
        self.until.fetch_max(nanos(asked + self.span()), Ordering::AcqRel);
    }

    /// When it ends.
    pub(crate) fn until(&self) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire))
    }

    /// The session has begun anew: what was asked for before is lost.
    pub(crate) fn begin_anew(&self, now: Duration) {
        self.anew.store(nanos(now), Ordering::Release);
    }

    /// Whether a lease can be ours now that was asked for then: its answer may have been so late that the store has
    /// given it to another.
    pub(crate) fn covers(&self, asked: Duration, now: Duration) -> bool {
        asked >= Duration::from_nanos(self.anew.load(Ordering::Acquire)) && now < asked + self.span()
    }

    fn span(&self) -> Duration {
        self.lease.mul_f64(0.8)
    }
}

/// An uptime as it is kept where many read it.
pub(crate) fn nanos(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)
}
