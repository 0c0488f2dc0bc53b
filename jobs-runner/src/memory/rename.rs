//! A job under a new name, and a deploy that takes the name back.

use std::sync::Arc;

use jobs_core::{
    Chunk, Link, Millis,
    ledger::{Yields, yields},
    pause_cell,
};

use super::{job::Job, state::State};

impl State {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(super) fn rename(&mut self, link: &Link) {
        let Some(was) = link.former() else { return };
        self.renamed.remove(&link.job);
        self.renamed.insert(was.clone(), link.job.clone());
        self.move_job(was, &link.job);
    }

    /// Whether a job gives way to its new name. One whose deploy was rolled back takes back what belongs to it.
    pub(super) fn gives_way(&mut self, link: &Link, beside: &[Link], now: Millis) -> bool {
        let Some(mut name) = self.renamed.get(&link.job).cloned() else { return false };
        while let Some(newer) = self.renamed.get(&name).cloned() {
            name = newer;
        }
        let live = self.sessions.values().filter(|session| session.is_alive(now));
        let links = live.filter_map(|session| session.links.get(&name));
        match yields(links.chain(beside.iter().find(|other| other.job == name))) {
            Yields::GivesWay => return true,
            Yields::TakesBack => {
                self.renamed.remove(&link.job);
                self.move_job(&name, &link.job);
            }
            Yields::Parts => {
                self.renamed.remove(&link.job);
            }
        }
        false
    }

    fn move_job(&mut self, was: &Arc<str>, name: &Arc<str>) {
        if !self.jobs.contains_key(was) {
            return;
        }
        let (mut delayed, mut ready) = (Vec::new(), Vec::new());
        while let Some(key) = self.jobs.get(was).and_then(|job| job.delayed.first()) {
            delayed.extend(self.undelay(was, &key));
        }
        let Some(mut old) = self.jobs.remove(was) else { return };
        for head in std::mem::take(&mut old.heads).into_values() {
            self.heads.remove(&head);
        }
        for mut queue in std::mem::take(&mut old.queues).into_values() {
            ready.extend(queue.take_all());
        }
        let rename = |chunk: &mut Chunk| chunk.header.job = name.clone();
        delayed.iter_mut().chain(&mut ready).for_each(rename);
        for token in &old.leases {
            if let Some(held) = self.leases.get_mut(token) {
                rename(&mut held.chunk);
            }
        }
        for run in self.runs.values_mut().filter(|run| run.job == *was) {
            run.job = name.clone();
            run.staged.iter_mut().for_each(rename);
        }
        for number in &old.dead {
            if let Some(dead) = self.dead.get_mut(number) {
                rename(&mut dead.chunk);
            }
        }
        self.job(name).take_over(old);
        // Each where it was: what is due meanwhile is made ready by the next settle.
        delayed.into_iter().for_each(|chunk| self.delay(chunk));
        ready.into_iter().for_each(|chunk| self.ready(chunk));
        self.marks.work += 1;
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
        if self.schedule.is_none() && old.schedule.is_some() {
            self.schedule = old.schedule;
            self.verdicts = old.verdicts;
        }
        self.busy.extend(old.busy);
        self.leases.extend(old.leases);
        self.failures.extend(old.failures);
        self.finished.extend(old.finished);
        self.finished.make_contiguous().sort_unstable();
        self.dead.extend(old.dead);
    }
}
