//! All that belongs to one job.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jobs_core::{
    Chunk, Failure, ItemId, Link, Millis, RunId, ScheduleState, SessionId, Stage, TickInfo, Token,
};

use super::{
    queue::{Line, Queue},
    state::Head,
};

/// So many declarations that were in force before are known again.
const SUPERSEDED: usize = 100;

#[derive(Debug)]
pub(super) struct Job {
    /// How it was linked last.
    pub(super) link: Link,
    pub(super) schedule: Option<Cursor>,
    /// What is ready; no queue is empty.
    pub(super) queues: BTreeMap<Line, Queue>,
    /// Where its queues stand in the order of all jobs.
    pub(super) heads: BTreeMap<Line, Head>,
    /// Chunks that wait for their time.
    pub(super) delayed: BTreeMap<(Millis, u64, u64, Stage), Chunk>,
    delayed_items: u64,
    /// Runs of ticks and by hand that hold its ticks.
    pub(super) busy: BTreeSet<RunId>,
    pub(super) leases: BTreeSet<Token>,
    /// Runs that are over, oldest first.
    pub(super) finished: VecDeque<RunId>,
    /// The failed attempts of items that go on.
    pub(super) failures: BTreeMap<ItemId, Vec<Failure>>,
    /// The numbers of its dead items, in the order of their deaths.
    pub(super) dead: BTreeSet<u64>,
}

/// Where a schedule stands.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) state: ScheduleState,
    /// Declarations that were in force before, oldest first.
    superseded: VecDeque<Arc<str>>,
    /// Oldest first.
    pub(super) verdicts: VecDeque<TickInfo>,
    /// The last fire and who made it, for its repeat.
    pub(super) last_fire: Option<(Millis, RunId, Option<SessionId>)>,
}

impl Job {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            schedule: None,
            queues: BTreeMap::new(),
            heads: BTreeMap::new(),
            delayed: BTreeMap::new(),
            delayed_items: 0,
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

    /// Items that wait for their time.
    pub(super) fn delayed(&self) -> u64 {
        self.delayed_items
    }

    /// When the first chunk is due that waits for its time.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.delayed.first_key_value().map(|((due, ..), _)| *due)
    }

    /// Keeps a chunk until its time has come.
    pub(super) fn delay(&mut self, chunk: Chunk) {
        self.delayed_items += u64::from(chunk.count());
        let header = &chunk.header;
        self.delayed.insert((header.due, header.number, header.start, header.stage), chunk);
    }

    /// Takes out the chunks whose time has come.
    pub(super) fn undelay(&mut self, now: Millis) -> Vec<Chunk> {
        let mut due = Vec::new();
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let chunk = first.remove();
            self.delayed_items -= u64::from(chunk.count());
            due.push(chunk);
        }
        due
    }

    /// Takes out the chunks of a run that wait for their time.
    pub(super) fn undelay_run(&mut self, run: RunId) -> Vec<Chunk> {
        let of = |chunk: &Chunk| chunk.header.run() == Some(run);
        let out =
            self.delayed.extract_if(.., |_, chunk| of(chunk)).map(|(_, chunk)| chunk).collect::<Vec<_>>();
        self.delayed_items -= out.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        out
    }
}

impl Cursor {
    pub(super) fn new(cursor: Millis, fingerprint: Arc<str>) -> Self {
        let state = ScheduleState { cursor, waiting: None, fingerprint };
        Self { state, superseded: VecDeque::new(), verdicts: VecDeque::new(), last_fire: None }
    }

    /// Whether a declaration was in force before.
    pub(super) fn was(&self, fingerprint: &Arc<str>) -> bool {
        self.superseded.contains(fingerprint)
    }

    /// Puts another declaration in force.
    pub(super) fn redeclare(&mut self, fingerprint: &Arc<str>, now: Millis) {
        let former = std::mem::replace(&mut self.state.fingerprint, fingerprint.clone());
        self.superseded.retain(|other| other != fingerprint);
        self.superseded.push_back(former);
        if self.superseded.len() > SUPERSEDED {
            self.superseded.pop_front();
        }
        self.state.cursor = self.state.cursor.max(now);
        self.state.waiting = None;
    }

    /// Records verdicts, neighbours that say the same in one record, and moves on to the last of them.
    pub(super) fn record(&mut self, verdicts: impl IntoIterator<Item = TickInfo>) {
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
