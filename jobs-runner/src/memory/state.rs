//! Everything in a memory store, and the parts of it that several operations share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{
    Cell, Chunk, Header, ItemId, JobRecord, Link, Marks, Millis, PAUSES, RunId, SessionId, Token, pause_cells,
};

use super::{dead::Grave, job::Job, lease::Held, queue::Line, run::Run, session::Session};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) last: Token,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) jobs: BTreeMap<Arc<str>, Job>,
    /// What jobs are called now, by their former names.
    pub(super) renamed: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Runs by hand, by the caller's id; as long as the run is kept.
    pub(super) requests: BTreeMap<u64, RunId>,
    /// Runs by the lease under which their query went through; as long as the run is kept.
    pub(super) filled: BTreeMap<Token, RunId>,
    pub(super) leases: BTreeMap<Token, Held>,
    /// Runs whose items have all ended and that are not completed.
    pub(super) ended: BTreeSet<RunId>,
    /// The first chunk of each queue, in the order in which they are leased.
    pub(super) heads: BTreeSet<Head>,
    /// When the first of the chunks of each job is due that wait for their time.
    pub(super) due: BTreeSet<(Millis, Arc<str>)>,
    /// Dead items in the order of their deaths, each under a number of the namespace.
    pub(super) dead: BTreeMap<u64, Grave>,
    /// Those numbers, by item.
    pub(super) graves: BTreeMap<ItemId, u64>,
    pub(super) cells: BTreeMap<String, Cell>,
    /// The cells that expire, by when.
    pub(super) expiries: BTreeSet<(Millis, String)>,
    /// Grows with each lease: of jobs that tie, the one that was served longest ago is first.
    pub(super) served: u64,
    /// What has happened so far, for those who wait.
    pub(super) marks: Marks,
}

/// Where the first chunk of a queue stands among those of all jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    pub(super) rank: i64,
    pub(super) served: u64,
    pub(super) job: Arc<str>,
    pub(super) line: Line,
}

impl State {
    /// What is known of a job.
    pub(super) fn record(&self, id: &str, job: &Job, now: Millis) -> JobRecord {
        let links = |session: &Session| session.is_alive(now) && session.links.contains_key(id);
        JobRecord {
            link: job.link.clone(),
            schedule: job.schedule.as_ref().map(|cursor| cursor.state.clone()),
            live: self.sessions.values().any(links),
            ready: job.ready(),
            delayed: job.delayed(),
            in_flight: job
                .leases
                .iter()
                .filter_map(|token| self.leases.get(token))
                .map(|held| u64::from(held.open()))
                .sum(),
            dead: job.dead.len() as u64,
        }
    }

    /// The next number of the namespace's source.
    pub(super) fn number(&mut self, now: Millis) -> Token {
        self.last = self.last.after(now);
        self.last
    }

    /// The job with this id; one that nobody has linked yet is made.
    pub(super) fn job(&mut self, id: &Arc<str>) -> &mut Job {
        if !self.jobs.contains_key(id) {
            self.jobs.insert(id.clone(), Job::new(Link::new(id.clone())));
        }
        self.jobs.entry(id.clone()).or_insert_with(|| Job::new(Link::new(id.clone())))
    }

    /// Stores a chunk: ready, or waiting for its time.
    pub(super) fn store(&mut self, chunk: Chunk, now: Millis) {
        self.marks.work += 1;
        let id = chunk.header.job.clone();
        if chunk.header.due > now {
            self.delays(&id, |job| job.delay(chunk));
        } else {
            let line = Line::of(&chunk.header);
            self.job(&id).queues.entry(line.clone()).or_default().push(chunk);
            self.stand(&id, &line);
        }
    }

    /// Makes ready what has waited for its time.
    pub(super) fn promote(&mut self, now: Millis) {
        while let Some((_, id)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            for chunk in self.delays(&id, |job| job.undelay(now)) {
                self.store(chunk, now);
            }
        }
    }

    /// Changes what waits for its time of a job, and keeps its place among all jobs.
    pub(super) fn delays<T>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut Job) -> T) -> T {
        let job = self.job(id);
        let before = job.next_due();
        let changed = change(job);
        let after = job.next_due();
        if before != after {
            if let Some(due) = before {
                self.due.remove(&(due, id.clone()));
            }
            if let Some(due) = after {
                self.due.insert((due, id.clone()));
            }
        }
        changed
    }

    /// Puts a queue in its place among those of all jobs, after it has changed.
    pub(super) fn stand(&mut self, id: &Arc<str>, line: &Line) {
        let served = self.served;
        let Some(job) = self.jobs.get_mut(id) else { return };
        let place = job.queues.get(line).and_then(super::queue::Queue::head);
        let stood = job.heads.remove(line);
        if let Some(stood) = &stood {
            self.heads.remove(stood);
        }
        match place {
            Some((rank, _)) => {
                // A queue keeps its turn while only its contents change.
                let served = stood.map_or(served, |stood| stood.served);
                let head = Head { rank, served, job: id.clone(), line: line.clone() };
                job.heads.insert(line.clone(), head.clone());
                self.heads.insert(head);
            }
            None => {
                job.queues.remove(line);
            }
        }
    }

    /// The note of the pause that covers a job.
    pub(super) fn paused(&self, job: &str, now: Millis) -> Option<String> {
        // As a rule nothing is paused.
        self.beginning_with(PAUSES, now).next()?;
        let cell = pause_cells(job).iter().find_map(|name| self.get(name, now))?;
        Some(note(&cell))
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

    /// Forgets a run, and all ways to find it.
    pub(super) fn forget_run(&mut self, run: RunId) {
        let Some(run) = self.runs.remove(&run) else { return };
        if let Some(request) = run.request {
            self.requests.remove(&request);
        }
        if let Some((token, _)) = run.filled {
            self.filled.remove(&token);
        }
    }
}

/// What the cell of a pause notes.
pub(super) fn note(cell: &Cell) -> String {
    cell.value.get("note").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
