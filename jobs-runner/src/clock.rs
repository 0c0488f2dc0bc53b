//! The store's time, as a runner knows it between two replies.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use jobs_core::{Millis, Reply};

use crate::env::Env;

/// The store's time: this machine's uptime, which no one can set, plus what the last reply says is missing.
#[derive(Debug)]
pub(crate) struct StoreClock {
    env: Env,
    offset: AtomicI64,
    stepped: AtomicBool,
}

/// A difference beyond this is a step of a clock, and not a slow reply.
const STEP: u64 = 1_000;

impl StoreClock {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, offset: AtomicI64::new(0), stepped: AtomicBool::new(false) }
    }

    /// The store's time now.
    pub(crate) fn now(&self) -> Millis {
        self.at(self.env.uptime())
    }

    /// The store's time at an uptime of this machine.
    pub(crate) fn at(&self, uptime: Duration) -> Millis {
        Millis(millis(uptime).saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// How long until this instant.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        at.since(self.now())
    }

    /// Takes the time from a reply, and gives what it says.
    pub(crate) fn observe<T>(&self, reply: Reply<T>) -> T {
        let offset = reply.now.0.saturating_sub(millis(self.env.uptime()));
        let before = self.offset.swap(offset, Ordering::Relaxed);
        if before != 0 && before.abs_diff(offset) > STEP {
            self.stepped.store(true, Ordering::Release);
            let step = offset.saturating_sub(before);
            tracing::warn!(target: "jobs", step_ms = step, "the store's clock stepped; ticks follow the store's time");
        }
        reply.value
    }

    /// Whether the store's clock has stepped since this was asked last: what sleeps towards an instant of it then
    /// has to look again.
    pub(crate) fn take_step(&self) -> bool {
        self.stepped.swap(false, Ordering::AcqRel)
    }
}

fn millis(uptime: Duration) -> i64 {
    i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX)
}
