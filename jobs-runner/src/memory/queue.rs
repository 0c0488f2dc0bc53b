//! The ready chunks of one job that may be leased to the same sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jobs_core::{Chunk, Header, RunId};

/// What is first in a queue: its rank, and the number of its run.
pub(super) type Place = (i64, u64);

/// Ready chunks in the order in which they are leased. Those of one run stand together, so that a run of any
/// size is published, and cancelled, in one step.
#[derive(Debug, Default)]
pub(super) struct Queue {
    runs: BTreeMap<Place, VecDeque<Chunk>>,
    /// The same places, by run.
    places: BTreeSet<(u64, i64)>,
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
        let run = self.at(place(&chunk.header));
        let at = run.partition_point(|other| other.header.start < chunk.header.start);
        run.insert(at, chunk);
    }

    /// Publishes the chunks of a run, which are in its order: at one place, unless a clock was set back meanwhile.
    pub(super) fn publish(&mut self, chunks: VecDeque<Chunk>) {
        let Some(first) = chunks.front().map(|chunk| place(&chunk.header)) else { return };
        if chunks.iter().any(|chunk| place(&chunk.header) != first) {
            chunks.into_iter().for_each(|chunk| self.push(chunk));
            return;
        }
        self.items += chunks.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        let run = self.at(first);
        if run.is_empty() { *run = chunks } else { run.extend(chunks) }
    }

    fn at(&mut self, place: Place) -> &mut VecDeque<Chunk> {
        self.places.insert((place.1, place.0));
        self.runs.entry(place).or_default()
    }

    /// The chunks of a run.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = &Chunk> {
        let chunks = self.places_of(run.number()).filter_map(|place| self.runs.get(&place)).flatten();
        chunks.filter(move |chunk| chunk.header.run() == Some(run))
    }

    fn places_of(&self, number: u64) -> impl Iterator<Item = Place> {
        self.places.range((number, i64::MIN)..=(number, i64::MAX)).map(|(number, rank)| (*rank, *number))
    }

    /// The first chunk.
    pub(super) fn first(&self) -> Option<&Chunk> {
        self.runs.first_key_value().and_then(|(_, run)| run.front())
    }

    /// Takes the first `n` items of the first chunk, and leaves the rest.
    pub(super) fn take(&mut self, n: u32) -> Option<Chunk> {
        let place = self.head()?;
        let run = self.runs.get_mut(&place)?;
        let chunk = run.front_mut()?;
        let taken = if n < chunk.count() { chunk.split_to(n) } else { run.pop_front()? };
        if run.is_empty() {
            self.remove(place);
        }
        self.items -= u64::from(taken.count());
        Some(taken)
    }

    fn remove(&mut self, place: Place) -> VecDeque<Chunk> {
        self.places.remove(&(place.1, place.0));
        self.runs.remove(&place).unwrap_or_default()
    }

    /// Drops what the query of a run found and nobody has touched, in one piece, and says how many items that are.
    pub(super) fn drop_untouched(&mut self, run: RunId) -> u64 {
        let untouched = |chunk: &Chunk| {
            let Header { fresh, suspect, .. } = chunk.header;
            fresh && !suspect && chunk.header.undecodable.is_none() && chunk.header.run() == Some(run)
        };
        let places: Vec<Place> = self.places_of(run.number()).collect();
        let mut dropped = 0;
        for place in places {
            let Some(chunks) = self.runs.get_mut(&place) else { continue };
            chunks.retain(|chunk| {
                let drops = untouched(chunk);
                dropped += if drops { u64::from(chunk.count()) } else { 0 };
                !drops
            });
            if chunks.is_empty() {
                self.remove(place);
            }
        }
        self.items -= dropped;
        dropped
    }

    /// Takes out at most `limit` chunks of a run.
    pub(super) fn take_run(&mut self, run: RunId, limit: usize) -> Vec<Chunk> {
        let places: Vec<Place> = self.places_of(run.number()).collect();
        let mut taken = Vec::new();
        for place in places {
            while taken.len() < limit
                && let Some(chunks) = self.runs.get_mut(&place)
                && let Some(at) = chunks.iter().position(|chunk| chunk.header.run() == Some(run))
            {
                taken.extend(chunks.remove(at));
                if chunks.is_empty() {
                    self.remove(place);
                }
            }
        }
        self.items -= taken.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        taken
    }

    /// Takes out items, of the first `looks` chunks those that are `out`: at most `limit` items.
    pub(super) fn drain(&mut self, looks: usize, limit: usize, out: impl Fn(&Header) -> bool) -> Vec<Chunk> {
        let (mut looked, mut drained, mut left) = (0, Vec::new(), u32::try_from(limit).unwrap_or(u32::MAX));
        let places: Vec<Place> = self.runs.keys().copied().take(looks).collect();
        for place in places {
            let Some(chunks) = self.runs.get_mut(&place) else { continue };
            let mut at = 0;
            while looked < looks && left > 0 && at < chunks.len() {
                looked += 1;
                if !out(&chunks[at].header) {
                    at += 1;
                    continue;
                }
                let whole = chunks[at].count() <= left;
                let taken = if whole { chunks.remove(at) } else { Some(chunks[at].split_to(left)) };
                let Some(taken) = taken else { break };
                left -= taken.count();
                drained.push(taken);
            }
            if chunks.is_empty() {
                self.remove(place);
            }
        }
        self.items -= drained.iter().map(|chunk| u64::from(chunk.count())).sum::<u64>();
        drained
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Chunk> {
        std::mem::take(self).runs.into_values().flatten().collect()
    }
}

fn place(header: &Header) -> Place {
    (header.rank(), header.number)
}
