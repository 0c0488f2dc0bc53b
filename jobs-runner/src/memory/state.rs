//! Everything in a memory store, and the parts of it that several operations share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{
    Cell, Chunk, DeadItem, Header, Link, Marks, Millis, RunId, SessionId, Stage, Token, pause_cells,
};

use super::{
    job::Job,
    lease::Held,
    queue::{Line, Place},
    run::Run,
    session::Session,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) last: Token,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) jobs: BTreeMap<Arc<str>, Job>,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Runs by hand, by the caller's id.
    pub(super) requests: BTreeMap<u64, RunId>,
    pub(super) leases: BTreeMap<Token, Held>,
    /// Runs whose items have all ended and that are not completed.
    pub(super) ended: BTreeSet<RunId>,
    /// The first chunk of each queue, in the order in which they are leased.
    pub(super) heads: BTreeSet<Head>,
    /// Chunks that wait for their time.
    pub(super) delayed: BTreeMap<(Millis, u64, u64, Stage), Chunk>,
    pub(super) dead: BTreeMap<jobs_core::ItemId, DeadItem>,
    pub(super) cells: BTreeMap<String, Cell>,
    /// Grows with each lease: of jobs that tie, the one that was served longest ago is first.
    pub(super) served: u64,
    /// What has happened since the last operation, for those who wait.
    pub(super) marks: Marks,
}

/// Where the first chunk of a queue stands among those of all jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    pub(super) priority: std::cmp::Reverse<i16>,
    pub(super) due: Millis,
    pub(super) served: u64,
    pub(super) job: Arc<str>,
    pub(super) line: Line,
}

impl State {
    /// The next number of the namespace's source.
    pub(super) fn number(&mut self, now: Millis) -> Token {
        self.last = self.last.after(now);
        self.last
    }

    /// The job with this id; one that nobody has linked yet is made.
    pub(super) fn job(&mut self, id: &Arc<str>) -> &mut Job {
        self.jobs.entry(id.clone()).or_insert_with(|| Job::new(Link::new(id.clone())))
    }

    /// Stores a chunk: ready, or waiting for its time.
    pub(super) fn store(&mut self, chunk: Chunk, now: Millis) {
        self.marks.work += 1;
        let Header { due, number, start, stage, .. } = chunk.header;
        let job = self.job(&chunk.header.job);
        if due > now {
            job.delayed += u64::from(chunk.count());
            self.delayed.insert((due, number, start, stage), chunk);
        } else {
            let line = Line::of(&chunk.header);
            let id = chunk.header.job.clone();
            job.queue(line).push(chunk);
            self.stand(&id, line);
        }
    }

    /// Makes ready what has waited for its time.
    pub(super) fn promote(&mut self, now: Millis) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let chunk = first.remove();
            let job = self.job(&chunk.header.job);
            job.delayed -= u64::from(chunk.count());
            self.store(chunk, now);
        }
    }

    /// Puts a queue in its place among those of all jobs, after it has changed.
    pub(super) fn stand(&mut self, id: &Arc<str>, line: Line) {
        let served = self.served;
        let Some(job) = self.jobs.get_mut(id) else { return };
        let place: Option<Place> = job.queue(line).head();
        let stood = job.heads.remove(&line);
        if let Some(stood) = &stood {
            self.heads.remove(stood);
        }
        if let Some((priority, due, _)) = place {
            // A queue keeps its turn while only its contents change.
            let served = stood.map_or(served, |stood| stood.served);
            let head = Head { priority, due, served, job: id.clone(), line };
            job.heads.insert(line, head.clone());
            self.heads.insert(head);
        }
    }

    /// Puts a queue behind all that tie with it.
    pub(super) fn served(&mut self, id: &Arc<str>, line: Line) {
        self.served += 1;
        if let Some(head) = self.jobs.get_mut(id).and_then(|job| job.heads.remove(&line)) {
            self.heads.remove(&head);
        }
        self.stand(id, line);
    }

    /// The note of the pause that covers a job.
    pub(super) fn paused(&self, job: &str) -> Option<String> {
        pause_cells(job).iter().find_map(|name| {
            let note = self.cells.get(name)?.value.get("note")?;
            Some(note.as_str().unwrap_or_default().to_owned())
        })
    }

    /// Items of a job in flight over all live sessions.
    pub(super) fn in_flight(&self, job: &str, now: Millis, counted: impl Fn(&Header) -> bool) -> u32 {
        let Some(job) = self.jobs.get(job) else { return 0 };
        let held = job.leases.iter().filter_map(|token| self.leases.get(token));
        let live = held.filter(|held| self.sessions.get(&held.session).is_some_and(|s| s.is_alive(now)));
        live.filter(|held| counted(&held.chunk.header)).map(Held::open).sum()
    }

    /// Takes a run out of those that hold the ticks of its job, once it no longer does; and remembers it if it
    /// may be over.
    pub(super) fn review(&mut self, run: RunId) -> bool {
        let Some(record) = self.runs.get(&run) else { return false };
        let (busy, ended, job) = (record.is_busy(), record.has_ended(), record.job.clone());
        if !busy && self.jobs.get_mut(&job).is_some_and(|job| job.busy.remove(&run)) {
            self.marks.runs += 1;
        }
        if ended {
            self.ended.insert(run);
        }
        ended
    }

    /// Forgets a lease that is settled, lost or given back.
    pub(super) fn forget(&mut self, token: Token) -> Option<Held> {
        let held = self.leases.remove(&token)?;
        if let Some(session) = self.sessions.get_mut(&held.session) {
            session.leases.remove(&token);
        }
        if let Some(job) = self.jobs.get_mut(&held.chunk.header.job) {
            job.leases.remove(&token);
        }
        Some(held)
    }
}
