//! One lease: who holds which items, and which of them are settled.

use std::ops::Range;

use jobs_core::{Chunk, Millis, SessionId};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: SessionId,
    pub(super) chunk: Chunk,
    pub(super) granted_at: Millis,
    settled: Vec<bool>,
    open: u32,
}

impl Held {
    pub(super) fn new(session: SessionId, chunk: Chunk, granted_at: Millis) -> Self {
        let open = chunk.count();
        Self { session, chunk, granted_at, settled: vec![false; open as usize], open }
    }

    /// How many of its items are in flight.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// Marks the items `from..to` as settled, and gives the stretches of them that were not: each item is settled
    /// at most once.
    pub(super) fn settle(&mut self, from: u32, to: u32) -> Vec<Range<u32>> {
        let stretches = self.stretches(from, to);
        for stretch in &stretches {
            self.settled[stretch.start as usize..stretch.end as usize].fill(true);
            self.open -= stretch.end - stretch.start;
        }
        stretches
    }

    /// The stretches of `from..to` that are not settled.
    fn stretches(&self, from: u32, to: u32) -> Vec<Range<u32>> {
        let to = to.min(self.chunk.count());
        let settled = |i: &u32| self.settled[*i as usize];
        let (mut stretches, mut at) = (Vec::new(), from);
        while at < to {
            let begin = (at..to).find(|i| !settled(i)).unwrap_or(to);
            let end = (begin..to).find(settled).unwrap_or(to);
            if begin < end {
                stretches.push(begin..end);
            }
            at = end;
        }
        stretches
    }

    /// All items that are not settled.
    pub(super) fn rest(&self) -> Vec<Chunk> {
        let stretches = self.stretches(0, self.chunk.count());
        stretches.into_iter().map(|stretch| self.chunk.range(stretch.start, stretch.end)).collect()
    }
}
