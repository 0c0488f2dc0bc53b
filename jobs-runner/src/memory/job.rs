//! All that belongs to one job.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jobs_core::{
    Failure, ItemId, Link, RunId, TickInfo, Token,
    ledger::{Cursor, QueueKey, merged},
};

use super::{delayed::Delayed, queue::Queue, state::Head};

#[derive(Debug)]
pub(super) struct Job {
    /// How it was linked last.
    pub(super) link: Link,
    pub(super) schedule: Option<Cursor>,
    /// Oldest first.
    pub(super) verdicts: VecDeque<TickInfo>,
    /// What is ready; no queue is empty.
    pub(super) queues: BTreeMap<QueueKey, Queue>,
    /// Where its queues stand in the order of all jobs.
    pub(super) heads: BTreeMap<QueueKey, Head>,
    pub(super) delayed: Delayed,
    /// Runs of ticks and by hand that hold its ticks.
    pub(super) busy: BTreeSet<RunId>,
    pub(super) leases: BTreeSet<Token>,
    /// Runs that are over, oldest first.
    pub(super) finished: VecDeque<(u64, RunId)>,
    /// The failed attempts of items that go on.
    pub(super) failures: BTreeMap<ItemId, Vec<Failure>>,
    /// The numbers of its dead items, in the order of their deaths.
    pub(super) dead: BTreeSet<u64>,
}

impl Job {
    pub(super) fn new(id: Arc<str>) -> Self {
        Self {
            link: Link::new(id),
            schedule: None,
            verdicts: VecDeque::new(),
            queues: BTreeMap::new(),
            heads: BTreeMap::new(),
            delayed: Delayed::default(),
            busy: BTreeSet::new(),
            leases: BTreeSet::new(),
            finished: VecDeque::new(),
            failures: BTreeMap::new(),
            dead: BTreeSet::new(),
        }
    }

    /// Items that are ready.
    pub(super) fn ready(&self) -> u64 {
        self.queues.values().map(Queue::items).sum()
    }

    /// Records verdicts over which the cursor has moved.
    pub(super) fn record(&mut self, verdicts: impl IntoIterator<Item = TickInfo>) {
        let (last, added) = merged(self.verdicts.back().cloned(), verdicts);
        if let (Some(last), Some(stored)) = (last, self.verdicts.back_mut()) {
            *stored = last;
        }
        self.verdicts.extend(added);
    }
}
