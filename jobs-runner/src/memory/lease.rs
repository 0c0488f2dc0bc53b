//! One lease: who holds which items, and which of them are settled.

use jobs_core::{Chunk, Millis, SessionId, ledger::OpenItems};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: SessionId,
    pub(super) chunk: Chunk,
    pub(super) granted_at: Millis,
    pub(super) items: OpenItems,
}

impl Held {
    pub(super) fn new(session: SessionId, chunk: Chunk, granted_at: Millis) -> Self {
        let items = OpenItems::all(chunk.count());
        Self { session, chunk, granted_at, items }
    }

    /// All items that are not settled.
    pub(super) fn rest(&self) -> Vec<Chunk> {
        let stretches = self.items.rest();
        stretches.into_iter().map(|stretch| self.chunk.range(stretch.start, stretch.end)).collect()
    }
}
