//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use std::time::Duration;

use jobs_core::{
    Chunk, DeadFilter, DeadItem, Failure, ItemId, Millis, PutCell, Requeue, Requeued, RunId, Trigger,
    requeued_chunks,
};

use super::{run::Run, state::State};

/// How long a repeat of a discard is answered as the first was.
const REPEATED: Duration = Duration::from_secs(24 * 3600);

/// A dead item.
#[derive(Debug)]
pub(super) struct Grave {
    /// The item alone.
    pub(super) chunk: Chunk,
    attempts: Vec<Failure>,
    died: Millis,
}

impl Grave {
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
        let all = self.dead.values().rev().map(Grave::item);
        all.filter(|dead| filter.matches(dead)).take(filter.max()).collect()
    }

    /// Keeps the items of a chunk, whose last attempt has failed.
    pub(super) fn bury(&mut self, chunk: &Chunk, now: Millis) {
        for index in 0..chunk.count() {
            let number = self.number(now).0;
            let chunk = chunk.range(index, index + 1);
            let id = chunk.header.item(0);
            let job = self.job(&chunk.header.job);
            job.dead.insert(number);
            let attempts = job.failures.remove(&id).unwrap_or_default();
            self.graves.insert(id, number);
            self.dead.insert(number, Grave { chunk, attempts, died: now });
        }
    }

    /// Takes a dead item out of all lists.
    fn exhume(&mut self, number: u64) -> Option<Grave> {
        let grave = self.dead.remove(&number)?;
        self.graves.remove(&grave.id());
        if let Some(job) = self.jobs.get_mut(&grave.chunk.header.job) {
            job.dead.remove(&number);
        }
        Some(grave)
    }

    /// Takes out at most `limit` of a job that died longer ago than they are kept, and says how many.
    pub(super) fn exhume_old(&mut self, job: &str, limit: usize, now: Millis) -> usize {
        let Some(job) = self.jobs.get(job) else { return 0 };
        let keep = job.link.keep_dead;
        let old = |number: &u64| self.dead.get(number).is_some_and(|grave| now.since(grave.died) > keep);
        let old: Vec<u64> = job.dead.iter().copied().take_while(old).take(limit).collect();
        old.into_iter().filter_map(|number| self.exhume(number)).count()
    }

    pub(super) fn requeue(&mut self, requeue: Requeue, now: Millis) -> Option<Requeued> {
        if let Some(run) = self.requests.get(&requeue.request).and_then(|run| self.runs.get(run)) {
            return Some(Requeued { run: run.id, items: run.counts.total });
        }
        let numbers = requeue.items.iter().filter_map(|id| self.graves.get(id).copied());
        let mut numbers: Vec<u64> = numbers
            .filter(|number| self.dead.get(number).is_some_and(|g| g.chunk.header.job == requeue.job))
            .collect();
        // In the order of their deaths.
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return None;
        }
        let graves: Vec<Grave> = numbers.into_iter().filter_map(|number| self.exhume(number)).collect();
        let (run, items) = (RunId::new(self.number(now).0), graves.len() as u64);
        let mut record = Run::new(run, requeue.job.clone(), Trigger::Requeued, now);
        record.counts.total = items;
        (record.note, record.request) = (requeue.note, Some(requeue.request));
        self.requests.insert(requeue.request, run);
        self.runs.insert(run, record);
        let dead = graves.iter().flat_map(|g| g.chunk.body.items().map(|item| (&g.chunk.header, item)));
        for chunk in requeued_chunks(dead, run, &requeue.job, now) {
            self.store(chunk, now);
        }
        Some(Requeued { run, items })
    }

    pub(super) fn discard(&mut self, request: u64, items: &[ItemId], now: Millis) -> u64 {
        let name = format!("discarded/{request}");
        if let Some(count) = self.get(&name, now).and_then(|cell| cell.value.as_u64()) {
            return count;
        }
        let mut count = 0_u64;
        for id in items {
            let grave = self.graves.get(id).copied().and_then(|number| self.exhume(number));
            count += u64::from(grave.is_some());
        }
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put(&name, put, now);
        count
    }
}
