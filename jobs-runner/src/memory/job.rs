//! All that belongs to one job.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jobs_core::{Failure, ItemId, Link, Millis, RunId, ScheduleState, SessionId, TickInfo, Token};

use super::queue::{Line, Queue};
use super::state::Head;

#[derive(Debug)]
pub(super) struct Job {
    /// How it was linked last.
    pub(super) link: Link,
    pub(super) schedule: Option<Cursor>,
    pub(super) queues: BTreeMap<Line, Queue>,
    /// Where its queues stand in the order of all jobs.
    pub(super) heads: BTreeMap<Line, Head>,
    /// Runs of ticks and by hand that hold its ticks.
    pub(super) busy: BTreeSet<RunId>,
    pub(super) leases: BTreeSet<Token>,
    /// Runs that are over, oldest first.
    pub(super) finished: VecDeque<RunId>,
    /// The failed attempts of items that go on, or are dead.
    pub(super) failures: BTreeMap<ItemId, Vec<Failure>>,
    /// Dead items, in the order of their deaths.
    pub(super) dead: VecDeque<(Millis, ItemId)>,
    /// Items that wait for their time.
    pub(super) delayed: u64,
}

/// Where a schedule stands.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) state: ScheduleState,
    /// Declarations that were in force before.
    pub(super) superseded: BTreeSet<Arc<str>>,
    /// Oldest first.
    pub(super) verdicts: VecDeque<TickInfo>,
    /// The last fire, for its repeat.
    pub(super) last_fire: Option<(Millis, RunId, Option<SessionId>, Option<Token>)>,
}

impl Job {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            schedule: None,
            queues: Line::ALL.into_iter().map(|line| (line, Queue::default())).collect(),
            heads: BTreeMap::new(),
            busy: BTreeSet::new(),
            leases: BTreeSet::new(),
            finished: VecDeque::new(),
            failures: BTreeMap::new(),
            dead: VecDeque::new(),
            delayed: 0,
        }
    }

    pub(super) fn queue(&mut self, line: Line) -> &mut Queue {
        self.queues.entry(line).or_default()
    }

    /// Items that are ready.
    pub(super) fn ready(&self) -> u64 {
        self.queues.values().map(Queue::items).sum()
    }
}

impl Cursor {
    pub(super) fn new(cursor: Millis, fingerprint: Arc<str>) -> Self {
        let state = ScheduleState { cursor, waiting: None, fingerprint };
        Self { state, superseded: BTreeSet::new(), verdicts: VecDeque::new(), last_fire: None }
    }

    /// Records verdicts, neighbours that say the same in one record, and moves on to the last of them.
    pub(super) fn record(&mut self, verdicts: Vec<TickInfo>) {
        for verdict in verdicts {
            self.state.cursor = self.state.cursor.max(verdict.last.into());
            if !self.verdicts.back_mut().is_some_and(|last| last.merge(&verdict)) {
                self.verdicts.push_back(verdict);
            }
        }
        if self.state.waiting.is_some_and(|tick| tick <= self.state.cursor) {
            self.state.waiting = None;
        }
    }
}
