//! The ready chunks of one job.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jobs_core::{Chunk, FORMAT, Header, RunId, Stage};

/// Why chunks wait in different queues: what is leased of them, and to whom, differs. All of one queue may be
/// leased to the same sessions, so that its first chunk speaks for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// Fill and finish items: they count against no limit of the job.
    Control,
    /// Items of the job.
    Work,
    /// Items that a dead node held: one at a time, one per session.
    Suspect,
    /// Items that these builds could not decode.
    Aside(Vec<Arc<str>>),
    /// Chunks of a newer format: for nobody here.
    Newer,
}

impl Line {
    pub(super) fn of(header: &Header) -> Self {
        match header {
            Header { format, .. } if *format > FORMAT => Self::Newer,
            Header { undecodable: Some(failed), .. } => Self::Aside(failed.builds.clone()),
            Header { suspect: true, .. } => Self::Suspect,
            Header { stage: Stage::Work, .. } => Self::Work,
            _ => Self::Control,
        }
    }

    /// Whether nothing of this queue is for that build.
    pub(super) fn excludes(&self, build: &Arc<str>) -> bool {
        match self {
            Self::Aside(builds) => builds.contains(build),
            Self::Newer => true,
            _ => false,
        }
    }
}

/// What is first in a queue: its rank, and the number of its run.
pub(super) type Place = (i64, u64);

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

    /// The chunks of a run.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = &Chunk> {
        let runs = self.runs.iter().filter(move |(place, _)| place.1 == run.number());
        runs.flat_map(|(_, chunks)| chunks).filter(move |chunk| chunk.header.run() == Some(run))
    }

    /// The first chunk.
    pub(super) fn first(&self) -> Option<&Chunk> {
        self.runs.first_key_value().and_then(|(_, run)| run.front())
    }

    /// Takes the first `n` items of the first chunk, and leaves the rest.
    pub(super) fn take(&mut self, n: u32) -> Option<Chunk> {
        let mut first = self.runs.first_entry()?;
        let run = first.get_mut();
        let chunk = run.front_mut()?;
        let taken = if n < chunk.count() { chunk.split_to(n) } else { run.pop_front()? };
        if run.is_empty() {
            first.remove();
        }
        self.items -= u64::from(taken.count());
        Some(taken)
    }

    /// Takes out all chunks of a run.
    pub(super) fn drain_run(&mut self, run: RunId) -> Vec<Chunk> {
        let of = |place: &Place| place.1 == run.number();
        let places: Vec<Place> = self.runs.keys().copied().filter(of).collect();
        let (drained, kept) = places
            .into_iter()
            .filter_map(|place| Some((place, self.runs.remove(&place)?)))
            .flat_map(|(place, chunks)| chunks.into_iter().map(move |chunk| (place, chunk)))
            .partition::<Vec<_>, _>(|(_, chunk)| chunk.header.run() == Some(run));
        for (place, chunk) in kept {
            self.runs.entry(place).or_default().push_back(chunk);
        }
        let drained: Vec<Chunk> = drained.into_iter().map(|(_, chunk)| chunk).collect();
        self.items -= drained.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        drained
    }

    /// Takes out all chunks that are `out`.
    pub(super) fn drain(&mut self, out: impl Fn(&Header) -> bool) -> Vec<Chunk> {
        let mut drained = Vec::new();
        self.runs.retain(|_, run| {
            let (gone, kept): (VecDeque<_>, _) =
                std::mem::take(run).into_iter().partition(|chunk| out(&chunk.header));
            drained.extend(gone);
            *run = kept;
            !run.is_empty()
        });
        self.items -= drained.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        drained
    }
}

fn place(header: &Header) -> Place {
    (header.rank(), header.number)
}
