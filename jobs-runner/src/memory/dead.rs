//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use jobs_core::{
    Chunk, DeadFilter, DeadItem, Failure, ItemId, Millis, PutCell, Requeue, Requeued, RunId, Trigger,
    ledger::{self, REPEATED, discard_cell},
    requeued_chunks,
};

use super::{job::Job, run::Run, state::State};

/// A dead item.
#[derive(Debug)]
pub(super) struct DeadChunk {
    /// The item alone.
    pub(super) chunk: Chunk,
    attempts: Vec<Failure>,
    died: Millis,
}

impl DeadChunk {
    fn id(&self) -> ItemId {
        self.chunk.header.item(0)
    }

    fn item(&self) -> DeadItem {
        let payload = self.chunk.body.items().next().map(DeadItem::payload).unwrap_or_default();
        let mut item = DeadItem::new(self.id(), &*self.chunk.header.job, payload);
        item.run = self.chunk.header.run();
        item.attempts.clone_from(&self.attempts);
        item
    }
}

impl State {
    pub(super) fn dead(&self, filter: &DeadFilter) -> Vec<DeadItem> {
        let all = self.dead.values().rev().map(DeadChunk::item);
        all.filter(|dead| filter.matches(dead)).take(filter.max()).collect()
    }

    /// Keeps the items of a chunk, whose last attempt has failed.
    pub(super) fn keep_dead(&mut self, chunk: &Chunk, now: Millis) {
        for index in 0..chunk.count() {
            let number = self.number(now).0;
            let chunk = chunk.range(index, index + 1);
            let id = chunk.header.item(0);
            let job = self.job(&chunk.header.job);
            job.dead.insert(number);
            let attempts = job.failures.remove(&id).unwrap_or_default();
            self.dead_items.insert(id, number);
            self.dead.insert(number, DeadChunk { chunk, attempts, died: now });
        }
    }

    /// Takes a dead item out of all lists.
    fn take_dead(&mut self, number: u64) -> Option<DeadChunk> {
        let dead = self.dead.remove(&number)?;
        self.dead_items.remove(&dead.id());
        if let Some(job) = self.jobs.get_mut(&dead.chunk.header.job) {
            job.dead.remove(&number);
        }
        Some(dead)
    }

    /// Whether a job has items that died longer ago than they are kept.
    pub(super) fn has_old(&self, job: &Job, now: Millis) -> bool {
        self.old(job, now).next().is_some()
    }

    /// Items that died longer ago than they are kept, behind those that died when a clock was in the future.
    fn old<'a>(&'a self, job: &'a Job, now: Millis) -> impl Iterator<Item = u64> {
        let is_ahead = move |number: &u64| self.dead.get(number).is_some_and(|dead| dead.died > now);
        let past = job.dead.iter().copied().skip_while(is_ahead);
        past.take_while(move |number| self.is_old(*number, job, now))
    }

    fn is_old(&self, number: u64, job: &Job, now: Millis) -> bool {
        self.dead.get(&number).is_some_and(|dead| now.since(dead.died) > job.link.keep_dead)
    }

    /// Removes at most `limit` items of a job that died longer ago than they are kept, and says how many.
    pub(super) fn remove_old(&mut self, job: &str, limit: usize, now: Millis) -> usize {
        let Some(job) = self.jobs.get(job) else { return 0 };
        let old: Vec<u64> = self.old(job, now).take(limit).collect();
        old.into_iter().filter_map(|number| self.take_dead(number)).count()
    }

    pub(super) fn requeue(&mut self, requeue: Requeue, now: Millis) -> Option<Requeued> {
        if let Some(run) = self.requests.get(&requeue.request).and_then(|run| self.runs.get(run)) {
            return Some(Requeued { run: run.state.id, items: run.state.counts.total });
        }
        let numbers = requeue.items.iter().filter_map(|id| self.dead_items.get(id).copied());
        let of_job =
            |number: &u64| self.dead.get(number).is_some_and(|dead| dead.chunk.header.job == requeue.job);
        let mut numbers: Vec<u64> = numbers.filter(of_job).collect();
        // In the order of their deaths.
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return None;
        }
        let dead: Vec<DeadChunk> = numbers.into_iter().filter_map(|number| self.take_dead(number)).collect();
        let (run, items) = (RunId::new(self.number(now).0), dead.len() as u64);
        let mut state = ledger::Run::new(run, Trigger::Requeued, now, items);
        state.record.note = requeue.note;
        self.requests.insert(requeue.request, run);
        self.runs.insert(run, Run::new(requeue.job.clone(), Some(requeue.request), state));
        let again = dead.iter().flat_map(|dead| {
            let Chunk { header, body } = &dead.chunk;
            body.items().map(move |item| (header, item))
        });
        for chunk in requeued_chunks(again, run, &requeue.job, now) {
            self.store(chunk, now);
        }
        Some(Requeued { run, items })
    }

    pub(super) fn discard(&mut self, request: u64, items: &[ItemId], now: Millis) -> u64 {
        let name = discard_cell(request);
        if let Some(count) = self.get(&name, now).and_then(|cell| cell.value.as_u64()) {
            return count;
        }
        let mut count = 0_u64;
        for id in items {
            let dead = self.dead_items.get(id).copied().and_then(|number| self.take_dead(number));
            count += u64::from(dead.is_some());
        }
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put(&name, put, now);
        count
    }
}
