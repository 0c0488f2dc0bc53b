//! Everything that the toy keeps.

use std::{collections::BTreeMap, sync::Arc};

use jobs_core::{
    Cell, Chunk, DeadItem, Failure, ItemId, Link, Millis, PAUSES, PutCell, RunId, SessionId, Settled,
    TickInfo, Token,
    ledger::{self, Cursor, OpenItems, Pauses, fits, is_live, merged},
};

#[derive(Default)]
pub(crate) struct State {
    last: Token,
    pub(crate) cells: BTreeMap<String, Cell>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// How each job was linked last.
    pub(crate) links: BTreeMap<Arc<str>, Link>,
    pub(crate) cursors: BTreeMap<Arc<str>, Cursor>,
    pub(crate) ticks: BTreeMap<Arc<str>, Vec<TickInfo>>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// Runs that are over, in the order of their ends.
    pub(crate) ended: Vec<RunId>,
    /// What waits for a slot or for its time.
    pub(crate) waiting: Vec<Chunk>,
    pub(crate) leases: BTreeMap<Token, Held>,
    /// The failed attempts of items that go on.
    pub(crate) failures: BTreeMap<ItemId, Vec<Failure>>,
    /// Dead items in the order of their deaths: each alone in a chunk, with its attempts, and when it died.
    pub(crate) dead: Vec<(Chunk, Vec<Failure>, Millis)>,
    /// When each job was served last.
    pub(crate) served: BTreeMap<Arc<str>, u64>,
}

pub(crate) struct Session {
    pub(crate) state: ledger::Session,
    pub(crate) links: Vec<Link>,
    pub(crate) lanes: BTreeMap<u32, (u64, Settled)>,
}

impl Session {
    pub(crate) fn link(&self, job: &str) -> Option<&Link> {
        self.links.iter().find(|link| *link.job == *job)
    }
}

pub(crate) struct Run {
    pub(crate) job: Arc<str>,
    pub(crate) request: Option<u64>,
    pub(crate) state: ledger::Run,
    pub(crate) staged: Vec<Chunk>,
}

pub(crate) struct Held {
    pub(crate) session: SessionId,
    pub(crate) chunk: Chunk,
    pub(crate) open: OpenItems,
    pub(crate) granted_at: Millis,
}

impl Held {
    /// What is still to be settled.
    pub(crate) fn rest(&self) -> Vec<Chunk> {
        self.open.rest().into_iter().map(|range| self.chunk.range(range.start, range.end)).collect()
    }
}

impl State {
    /// The next number.
    pub(crate) fn number(&mut self, now: Millis) -> Token {
        self.last = self.last.after(now);
        self.last
    }

    pub(crate) fn record(&mut self, schedule: &Arc<str>, verdicts: Vec<TickInfo>) {
        let ticks = self.ticks.entry(schedule.clone()).or_default();
        let (last, added) = merged(ticks.last().cloned(), verdicts);
        if let (Some(last), Some(stored)) = (last, ticks.last_mut()) {
            *stored = last;
        }
        ticks.extend(added);
    }

    pub(crate) fn get(&self, name: &str, now: Millis) -> Option<Cell> {
        self.cells.get(name).filter(|cell| is_live(cell, now)).cloned()
    }

    pub(crate) fn list(&self, prefix: &str, now: Millis) -> Vec<(String, Cell)> {
        let all = self.cells.iter().filter(|(name, cell)| name.starts_with(prefix) && is_live(cell, now));
        all.map(|(name, cell)| (name.clone(), cell.clone())).collect()
    }

    pub(crate) fn pauses(&self, now: Millis) -> Pauses {
        Pauses(self.list(PAUSES, now))
    }

    pub(crate) fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: PutCell,
        now: Millis,
    ) -> Result<u64, Option<Cell>> {
        let there = self.get(name, now);
        if !fits(there.as_ref(), expected) {
            return Err(there);
        }
        self.put(name, put, now).ok_or(there)
    }

    /// Writes a cell; `None` if the session that it would go with is over.
    pub(crate) fn put(&mut self, name: &str, put: PutCell, now: Millis) -> Option<u64> {
        let PutCell { value, expires_in, owner } = put;
        let Some(value) = value else {
            self.cells.remove(name);
            return Some(0);
        };
        if owner.is_some_and(|owner| !self.sessions.contains_key(&owner)) {
            return None;
        }
        let version = self.number(now).0;
        let expires_at = expires_in.map(|wait| now + wait);
        self.cells.insert(name.to_owned(), Cell { version, value, expires_at, owner });
        Some(version)
    }

    /// Keeps the items of a chunk that have died.
    pub(crate) fn keep_dead(&mut self, chunk: &Chunk, now: Millis) {
        for index in 0..chunk.count() {
            let item = chunk.range(index, index + 1);
            let attempts = self.failures.remove(&item.header.item(0)).unwrap_or_default();
            self.dead.push((item, attempts, now));
        }
    }

    pub(crate) fn failed(&mut self, item: ItemId, failure: &Failure) {
        let failures = self.failures.entry(item).or_default();
        if failures.len() == DeadItem::MAX_ATTEMPTS {
            failures.remove(0);
        }
        failures.push(failure.clone());
    }
}
