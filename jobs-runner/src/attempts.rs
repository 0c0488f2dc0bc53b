//! The attempts that are waiting for something: those that can be broken off.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use jobs_core::JobContext;

use crate::{lease::Held, lock::lock};

/// The attempts that have not ended at their first poll.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    held: Arc<Held>,
    cx: JobContext,
    blocks: Arc<AtomicBool>,
}

impl Waiting {
    fn blocks(&self) -> bool {
        self.blocks.load(Ordering::Acquire)
    }
}

/// An attempt's entry, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    attempts: &'a Attempts,
    key: u64,
}

impl Attempts {
    /// Enters an attempt. One whose lease was revoked before is cancelled at once.
    pub(crate) fn enter(&self, held: &Arc<Held>, cx: &JobContext) -> Entry<'_> {
        self.enter_blocking_while(held, cx, Arc::default())
    }

    /// Enters an attempt that blocks: it hears of a cancel, and cannot be broken off.
    pub(crate) fn enter_blocking(&self, held: &Arc<Held>, cx: &JobContext) -> Entry<'_> {
        self.enter_blocking_while(held, cx, Arc::new(AtomicBool::new(true)))
    }

    /// Enters an attempt that blocks while this says so.
    pub(crate) fn enter_blocking_while(
        &self,
        held: &Arc<Held>,
        cx: &JobContext,
        blocks: Arc<AtomicBool>,
    ) -> Entry<'_> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.waiting).insert(key, Waiting { held: held.clone(), cx: cx.clone(), blocks });
        if held.revoked().is_some() {
            cx.cancel();
        }
        Entry { attempts: self, key }
    }

    pub(crate) fn cancel(&self, which: impl Fn(&Held) -> bool) {
        for attempt in lock(&self.waiting).values().filter(|attempt| which(&attempt.held)) {
            attempt.cx.cancel();
        }
    }

    pub(crate) fn only_blocking(&self) -> bool {
        let waiting = lock(&self.waiting);
        !waiting.is_empty() && waiting.values().all(Waiting::blocks)
    }

    /// Whether an attempt blocks.
    pub(crate) fn is_blocked(&self) -> bool {
        lock(&self.waiting).values().any(Waiting::blocks)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        lock(&self.attempts.waiting).remove(&self.key);
    }
}
