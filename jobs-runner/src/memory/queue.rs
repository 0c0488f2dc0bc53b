//! The ready chunks of one job.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use jobs_core::{Chunk, Header, Millis, Stage};

/// Why chunks wait in different queues: what is leased of them, and to whom, differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// Fill and finish items: they count against no limit of the job.
    Control,
    /// Items of the job.
    Work,
    /// Items that a dead node held: one at a time, one per session.
    Suspect,
    /// Items that some build could not decode: not for that build.
    Aside,
}

impl Line {
    pub(super) const ALL: [Self; 4] = [Self::Control, Self::Work, Self::Suspect, Self::Aside];

    pub(super) fn of(header: &Header) -> Self {
        match header {
            Header { undecodable: Some(_), .. } => Self::Aside,
            Header { suspect: true, .. } => Self::Suspect,
            Header { stage: Stage::Work, .. } => Self::Work,
            _ => Self::Control,
        }
    }
}

/// What is first in a queue: priority, due time and number of the run.
pub(super) type Place = (Reverse<i16>, Millis, u64);

/// Ready chunks in the order in which they are leased. Those of one run stand together, so that a run of any
/// size is published in one step.
#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: BTreeMap<Place, VecDeque<Chunk>>,
    items: u64,
}

impl Queue {
    /// How many items there are.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Where the first chunk stands.
    pub(super) fn head(&self) -> Option<Place> {
        self.runs.first_key_value().map(|(place, _)| *place)
    }

    /// Puts a chunk where it belongs: what was handed out and comes back stands again where it stood.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.items += u64::from(chunk.count());
        let run = self.runs.entry(place(&chunk.header)).or_default();
        let at = run.partition_point(|other| other.header.start < chunk.header.start);
        run.insert(at, chunk);
    }

    /// Publishes the chunks of a run, which are in its order.
    pub(super) fn publish(&mut self, chunks: VecDeque<Chunk>) {
        let Some(first) = chunks.front() else { return };
        self.items += chunks.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        let run = self.runs.entry(place(&first.header)).or_default();
        if run.is_empty() { *run = chunks } else { run.extend(chunks) }
    }

    /// The first chunk that is `fit`.
    pub(super) fn first(&self, fit: impl Fn(&Header) -> bool) -> Option<&Chunk> {
        self.runs.values().flatten().find(|chunk| fit(&chunk.header))
    }

    /// Takes the first `n` items of the first chunk that is `fit`, and leaves the rest.
    pub(super) fn take(&mut self, n: u32, fit: impl Fn(&Header) -> bool) -> Option<Chunk> {
        let (place, at) = self
            .runs
            .iter()
            .find_map(|(place, run)| Some((*place, run.iter().position(|chunk| fit(&chunk.header))?)))?;
        let run = self.runs.get_mut(&place)?;
        let taken = if n < run[at].count() { run[at].split_to(n) } else { run.remove(at)? };
        if run.is_empty() {
            self.runs.remove(&place);
        }
        self.items -= u64::from(taken.count());
        Some(taken)
    }

    /// Takes out all chunks that are `out`.
    pub(super) fn drain(&mut self, out: impl Fn(&Header) -> bool) -> Vec<Chunk> {
        let mut drained = Vec::new();
        self.runs.retain(|_, run| {
            let (gone, kept): (VecDeque<_>, _) = std::mem::take(run).into_iter().partition(|chunk| out(&chunk.header));
            drained.extend(gone);
            *run = kept;
            !run.is_empty()
        });
        self.items -= drained.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        drained
    }
}

fn place(header: &Header) -> Place {
    (Reverse(header.priority), header.due, header.number)
}
