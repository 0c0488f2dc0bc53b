//! One lease: who holds which items, and which of them are settled.

use std::ops::Range;

use jobs_core::{Chunk, Millis, OpenItems, SessionId};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: SessionId,
    pub(super) chunk: Chunk,
    pub(super) granted_at: Millis,
    items: OpenItems,
}

impl Held {
    pub(super) fn new(session: SessionId, chunk: Chunk, granted_at: Millis) -> Self {
        let items = OpenItems::all(chunk.count());
        Self { session, chunk, granted_at, items }
    }

    /// How many of its items are in flight.
    pub(super) fn open(&self) -> u32 {
        self.items.left()
    }

    /// As [`OpenItems::settle`].
    pub(super) fn settle(&mut self, from: u32, to: u32) -> Vec<Range<u32>> {
        self.items.settle(from, to)
    }

    /// All items that are not settled.
    pub(super) fn rest(&self) -> Vec<Chunk> {
        let stretches = self.items.rest();
        stretches.into_iter().map(|stretch| self.chunk.range(stretch.start, stretch.end)).collect()
    }
}
