//! The slots of the process: how many attempts run at once, whatever their job.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::Notify;

use crate::lock::lock;

/// The slots of the process.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    /// Workers, and attempts of queries.
    running: AtomicUsize,
    /// Attempts of queries.
    fills: AtomicUsize,
    /// Room that calls under way have asked for.
    reserved: AtomicUsize,
    /// Held by who reserves.
    reserving: Mutex<()>,
    /// How many have been given to workers.
    turns: AtomicU64,
    /// Whether a job's items wait for one.
    crowded: AtomicBool,
    /// Tells whoever shuts down that one was freed.
    freed: Notify,
}

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            running: AtomicUsize::new(0),
            fills: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            reserving: Mutex::new(()),
            turns: AtomicU64::new(0),
            crowded: AtomicBool::new(false),
            freed: Notify::new(),
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.running.load(SeqCst)
    }

    /// Takes one for a worker, if one is free, and gives the number of its turn.
    pub(crate) fn take(&self) -> Option<u64> {
        let free = |running| (running < self.most).then_some(running + 1);
        self.running.fetch_update(SeqCst, SeqCst, free).ok()?;
        Some(self.turns.fetch_add(1, SeqCst))
    }

    /// Takes one for the attempt of a query, which was leased for a slot that was reserved.
    pub(crate) fn take_for_fill(&self) {
        self.running.fetch_add(1, SeqCst);
        self.fills.fetch_add(1, SeqCst);
    }

    /// Frees that of a query, before it is [`free`](Self::free)d.
    pub(crate) fn fill_ends(&self) {
        self.fills.fetch_sub(1, SeqCst);
    }

    /// Frees one, and says whether a job waits for it.
    pub(crate) fn free(&self) -> bool {
        self.running.fetch_sub(1, SeqCst);
        self.freed.notify_waiters();
        self.crowded.swap(false, SeqCst)
    }

    /// Notes that a job waits for one: whoever frees one from here on looks for it. Gives whether one was freed
    /// before, by somebody who did not.
    pub(crate) fn wait(&self) -> bool {
        self.crowded.store(true, SeqCst);
        self.taken() < self.most
    }

    /// Whether a job waits for one.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(SeqCst)
    }

    /// How many are left, if workers (and the items fetched ahead for them) take this many.
    pub(crate) fn left(&self, by_workers: usize) -> u32 {
        let taken = by_workers + self.fills.load(SeqCst) + self.reserved.load(SeqCst);
        u32::try_from(self.most.saturating_sub(taken)).unwrap_or(u32::MAX)
    }

    /// Looking what is left and reserving it is one step while this is held.
    pub(crate) fn lock_reservations(&self) -> MutexGuard<'_, ()> {
        lock(&self.reserving)
    }

    pub(crate) fn reserve(&self, slots: u32) {
        self.reserved.fetch_add(slots as usize, SeqCst);
    }

    pub(crate) fn release(&self, slots: u32) {
        self.reserved.fetch_sub(slots as usize, SeqCst);
    }

    /// Waits until one is freed after this was called, not after it is awaited.
    pub(crate) fn freed(&self) -> impl Future<Output = ()> + '_ {
        self.freed.notified()
    }
}
