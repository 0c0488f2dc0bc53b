//! The one clock of a world: tokio's, and the store's, which can step.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jobs_core::Millis;
use tokio::time::Instant;

/// When every world begins: 2026-01-01T00:00:00Z.
const BASE: Millis = Millis(1_767_225_600_000);

/// Virtual time, and what the store takes for the time.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    steps: AtomicI64,
    /// By how much it went back in all.
    back: AtomicI64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), steps: AtomicI64::new(0), back: AtomicI64::new(0) }
    }

    /// Milliseconds since the world began, which no step touches.
    pub(crate) fn at(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What the store's clock says.
    pub(crate) fn now(&self) -> Millis {
        let now = BASE + Duration::from_millis(self.at());
        Millis(now.0 + self.steps.load(Ordering::Relaxed))
    }

    pub(crate) fn step(&self, by: i64) {
        self.steps.fetch_add(by, Ordering::Relaxed);
        self.back.fetch_add((-by).max(0), Ordering::Relaxed);
    }

    /// By how much it went back in all: what waits for an instant may wait for so much longer.
    pub(crate) fn back(&self) -> Duration {
        Duration::from_millis(self.back.load(Ordering::Relaxed).unsigned_abs())
    }
}
