//! A job under a new name, and a deploy that takes the name back.

use std::sync::Arc;

use jobs_core::{Chunk, Link, Millis, pause_cell};

use super::{job::Job, state::State};

impl State {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(super) fn rename(&mut self, link: &Link, now: Millis) {
        let Some(was) = link.was.as_ref().filter(|was| **was != link.job) else { return };
        self.renamed.remove(&link.job);
        self.renamed.insert(was.clone(), link.job.clone());
        self.move_job(was, &link.job, now);
    }

    /// Whether a job gives way to its new name, because a live session renames it. When none is left and nobody
    /// links the new name, the deploy was rolled back: the job takes back what belongs to it. When somebody does,
    /// the former name was given to another job.
    pub(super) fn gives_way(&mut self, link: &Link, beside: &[Link], now: Millis) -> bool {
        let Some(mut name) = self.renamed.get(&link.job).cloned() else { return false };
        while let Some(newer) = self.renamed.get(&name).cloned() {
            name = newer;
        }
        let live = self.sessions.values().filter(|session| session.is_alive(now));
        let links = live.filter_map(|session| session.links.get(&name));
        let links: Vec<&Link> = links.chain(beside.iter().find(|other| other.job == name)).collect();
        if links.iter().any(|link| link.was.is_some()) {
            return true;
        }
        let rolled_back = links.is_empty();
        self.renamed.remove(&link.job);
        if rolled_back {
            self.move_job(&name, &link.job, now);
        }
        false
    }

    fn move_job(&mut self, was: &Arc<str>, name: &Arc<str>, now: Millis) {
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
        let rename = |chunk: &mut Chunk| chunk.header.job = name.clone();
        chunks.iter_mut().for_each(rename);
        for token in &old.leases {
            if let Some(held) = self.leases.get_mut(token) {
                rename(&mut held.chunk);
            }
        }
        for run in self.runs.values_mut().filter(|run| run.job == *was) {
            run.job = name.clone();
        }
        for number in &old.dead {
            if let Some(grave) = self.dead.get_mut(number) {
                rename(&mut grave.chunk);
            }
        }
        self.job(name).take_over(old);
        for chunk in chunks {
            self.store(chunk, now);
        }
        self.rename_pause(&pause_cell(was), &pause_cell(name));
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
    }
}
