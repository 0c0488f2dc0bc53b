//! The store's time, as a runner knows it between two replies.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use jobs_core::{Millis, Reply, notice};

use crate::env::Env;

/// The store's time: this machine's uptime, which no one can set, plus what the last reply says is missing.
#[derive(Debug)]
pub(crate) struct StoreClock {
    env: Env,
    /// [`UNKNOWN`] before the first reply.
    offset: AtomicI64,
    stepped: AtomicBool,
}

/// A difference beyond this is a step of a clock; and a reply that took longer than this tells nothing of it.
const STEP: Duration = Duration::from_secs(1);
const UNKNOWN: i64 = i64::MIN;

impl StoreClock {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, offset: AtomicI64::new(UNKNOWN), stepped: AtomicBool::new(false) }
    }

    /// The store's time now.
    pub(crate) fn now(&self) -> Millis {
        self.at(self.env.uptime())
    }

    /// The store's time at an uptime of this machine.
    pub(crate) fn at(&self, uptime: Duration) -> Millis {
        let offset = self.offset.load(Ordering::Relaxed);
        Millis(millis(uptime).saturating_add(if offset == UNKNOWN { 0 } else { offset }))
    }

    /// How long until this instant.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        at.since(self.now())
    }

    /// Takes the time from the reply of a call that was made at the uptime `asked`, and gives what it says.
    pub(crate) fn observe<T>(&self, reply: Reply<T>, asked: Duration) -> T {
        let (now, before) = (self.env.uptime(), self.offset.load(Ordering::Relaxed));
        if now.saturating_sub(asked) > STEP && before != UNKNOWN {
            return reply.value;
        }
        let offset = reply.now.0.saturating_sub(millis(now));
        self.offset.store(offset, Ordering::Relaxed);
        if before != UNKNOWN && u128::from(before.abs_diff(offset)) > STEP.as_millis() {
            self.stepped.store(true, Ordering::Release);
            let step = offset.saturating_sub(before);
            notice::warn(
                "clock",
                format_args!("the store's clock stepped by {step} ms; ticks follow the store's time"),
            );
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
