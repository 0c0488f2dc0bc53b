//! The chunks of one job that wait for their time.

use std::collections::{BTreeMap, BTreeSet};

use jobs_core::{Chunk, Millis, RunId, Stage};

/// What tells chunks that wait apart, in the order in which they are due.
pub(super) type Key = (Millis, u64, u64, Stage);

#[derive(Debug, Default)]
pub(super) struct Delayed {
    chunks: BTreeMap<Key, Chunk>,
    /// The same, by run.
    of_runs: BTreeSet<(u64, Key)>,
    items: u64,
}

impl Delayed {
    /// How many items there are.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// When the first is due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.chunks.first_key_value().map(|((due, ..), _)| *due)
    }

    pub(super) fn insert(&mut self, chunk: Chunk) -> Key {
        self.items += u64::from(chunk.count());
        let header = &chunk.header;
        let key = (header.due, header.number, header.start, header.stage);
        self.of_runs.insert((header.number, key));
        self.chunks.insert(key, chunk);
        key
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Chunk> {
        let chunk = self.chunks.remove(key)?;
        self.of_runs.remove(&(key.1, *key));
        self.items -= u64::from(chunk.count());
        Some(chunk)
    }

    /// The chunk that is due first.
    pub(super) fn first(&self) -> Option<Key> {
        self.chunks.first_key_value().map(|(key, _)| *key)
    }

    /// The chunks of a run, the first due first.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = (Key, &Chunk)> {
        let first = (run.number(), (Millis::MIN, 0, 0, Stage::Fill));
        let keys = self.of_runs.range(first..).take_while(move |(number, _)| *number == run.number());
        let chunks = keys.filter_map(|(_, key)| Some((*key, self.chunks.get(key)?)));
        chunks.filter(move |(_, chunk)| chunk.header.run() == Some(run))
    }
}
