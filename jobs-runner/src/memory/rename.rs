//! A job under a new name.

use jobs_core::{Chunk, Link, Millis, pause_cell};

use super::{job::Job, state::State};

impl State {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(super) fn rename(&mut self, link: &Link, now: Millis) {
        let Some(was) = link.was.as_ref().filter(|was| **was != link.job) else { return };
        let Some(mut old) = self.jobs.remove(was) else { return };
        for head in std::mem::take(&mut old.heads).into_values() {
            self.heads.remove(&head);
        }
        if let Some(due) = old.next_due() {
            self.due.remove(&(due, was.clone()));
        }
        let mut chunks = old.undelay(Millis::MAX);
        for (_, mut queue) in std::mem::take(&mut old.queues) {
            chunks.extend(queue.drain(|_| true));
        }
        let rename = |chunk: &mut Chunk| chunk.header.job = link.job.clone();
        chunks.iter_mut().for_each(rename);
        for token in &old.leases {
            if let Some(held) = self.leases.get_mut(token) {
                rename(&mut held.chunk);
            }
        }
        for run in self.runs.values_mut().filter(|run| run.job == *was) {
            run.job = link.job.clone();
        }
        for dead in self.dead.values_mut().filter(|dead| *dead.job == **was) {
            dead.job = link.job.to_string();
        }
        self.job(&link.job).take_over(old);
        for chunk in chunks {
            self.store(chunk, now);
        }
        self.rename_pause(&pause_cell(was), &pause_cell(&link.job));
    }

    /// A job that is paused stays paused under its new name; a pause that the new name has wins.
    fn rename_pause(&mut self, was: &str, name: &str) {
        let Some(cell) = self.remove_cell(was) else { return };
        if self.cells.contains_key(name) {
            return;
        }
        if let Some(at) = cell.expires_at {
            self.expiries.insert((at, name.to_owned()));
        }
        self.cells.insert(name.to_owned(), cell);
    }
}

impl Job {
    /// Takes over what a job had under its former name; what this one has already, it keeps.
    fn take_over(&mut self, old: Self) {
        self.schedule = self.schedule.take().or(old.schedule);
        self.busy.extend(old.busy);
        self.leases.extend(old.leases);
        self.failures.extend(old.failures);
        self.finished.extend(old.finished);
        self.finished.make_contiguous().sort_unstable();
        self.dead.extend(old.dead);
        self.dead.make_contiguous().sort_unstable();
    }
}
