//! Everything in a memory store, and the parts of it that several operations share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{
    Cell, Chunk, Header, ItemId, JobRecord, Marks, Millis, PAUSES, RunId, SessionId, Token,
    ledger::{Cursor, InFlight, Pauses, QueueKey, QueueKind},
};

use super::{
    dead::DeadChunk,
    delayed::{Delayed, Key},
    job::Job,
    lease::Held,
    run::Run,
    session::Session,
};

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
    /// Cancelled runs of which items that wait are still to be ended.
    pub(super) cancelling: BTreeSet<RunId>,
    /// The first chunk of each queue, in the order in which they are leased.
    pub(super) heads: BTreeSet<Head>,
    /// When the first of the chunks of each job is due that wait for their time.
    pub(super) due: BTreeSet<(Millis, Arc<str>)>,
    /// The chunks that wait for their time, by when they were put to wait.
    pub(super) waits: BTreeSet<(Millis, Arc<str>, Key)>,
    /// Dead items in the order of their deaths, each under a number of the namespace.
    pub(super) dead: BTreeMap<u64, DeadChunk>,
    /// Those numbers, by item.
    pub(super) dead_items: BTreeMap<ItemId, u64>,
    pub(super) cells: BTreeMap<String, Cell>,
    /// The cells that expire, by when.
    pub(super) expiries: BTreeSet<(Millis, String)>,
    /// Grows with each lease: of jobs that tie, the one that was served longest ago is first.
    pub(super) served: u64,
    /// How many runs are over: the order of their ends.
    pub(super) ends: u64,
    /// What has happened so far, for those who wait.
    pub(super) marks: Marks,
}

/// Where the first chunk of a queue stands among those of all jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    pub(super) rank: i64,
    /// The turn of the job among those that tie: the same for all of its queues of this rank.
    pub(super) served: u64,
    pub(super) job: Arc<str>,
    /// The run of the first chunk.
    pub(super) number: u64,
    pub(super) key: QueueKey,
}

impl State {
    /// What is known of a job.
    pub(super) fn record(&self, id: &str, job: &Job, now: Millis) -> JobRecord {
        let links = |session: &Session| session.is_alive(now) && session.links.contains_key(id);
        let held = job.leases.iter().filter_map(|token| self.leases.get(token));
        JobRecord {
            link: job.link.clone(),
            schedule: job.schedule.as_ref().map(Cursor::state),
            live: self.sessions.values().any(links),
            ready: job.ready(),
            delayed: job.delayed.items(),
            in_flight: held.map(|held| u64::from(held.items.left())).sum(),
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
        self.jobs.entry(id.clone()).or_insert_with(|| Job::new(id.clone()))
    }

    /// Stores a chunk: ready, or waiting for its time.
    pub(super) fn store(&mut self, chunk: Chunk, now: Millis) {
        self.marks.work += 1;
        if chunk.header.due > now { self.delay(chunk) } else { self.ready(chunk) }
    }

    /// Stores a chunk that waits for its time.
    pub(super) fn delay(&mut self, chunk: Chunk) {
        let (id, since) = (chunk.header.job.clone(), chunk.header.waits_since);
        let key = self.delays(&id, |delayed| delayed.insert(chunk));
        if let Some(since) = since {
            self.waits.insert((since, id, key));
        }
    }

    /// Stores a chunk that waits for a slot.
    pub(super) fn ready(&mut self, chunk: Chunk) {
        let id = chunk.header.job.clone();
        let key = QueueKey::of(&chunk.header).of_job();
        self.job(&id).queues.entry(key.clone()).or_default().push(chunk);
        self.stand(&id, &key);
    }

    /// Takes out a chunk that waits for its time.
    pub(super) fn undelay(&mut self, id: &Arc<str>, key: &Key) -> Option<Chunk> {
        let chunk = self.delays(id, |delayed| delayed.remove(key))?;
        if let Some(since) = chunk.header.waits_since {
            self.waits.remove(&(since, id.clone(), *key));
        }
        Some(chunk)
    }

    /// Changes what waits for its time of a job, and keeps its place among all jobs.
    fn delays<T>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut Delayed) -> T) -> T {
        let job = self.job(id);
        let before = job.delayed.next_due();
        let changed = change(&mut job.delayed);
        let after = job.delayed.next_due();
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
    pub(super) fn stand(&mut self, id: &Arc<str>, key: &QueueKey) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let place = job.queues.get(key).and_then(super::queue::Queue::head);
        let stood = job.heads.remove(key);
        if let Some(stood) = &stood {
            self.heads.remove(stood);
        }
        let Some((rank, number)) = place else {
            job.queues.remove(key);
            return;
        };
        // A queue keeps its turn while only its contents change, and a new one has that of its job.
        let kept = stood.filter(|stood| stood.rank == rank);
        let turn = kept.as_ref().or_else(|| job.heads.values().find(|other| other.rank == rank));
        let served = turn.map_or_else(
            || {
                self.served += 1;
                self.served
            },
            |head| head.served,
        );
        let head = Head { rank, served, job: id.clone(), number, key: key.clone() };
        job.heads.insert(key.clone(), head.clone());
        self.heads.insert(head);
    }

    /// Puts a job that was just served behind all that tie with it.
    pub(super) fn end_turn(&mut self, id: &Arc<str>, rank: i64) {
        let first = Head {
            rank,
            served: 0,
            job: Arc::from(""),
            number: 0,
            key: QueueKey { kind: QueueKind::Control, run: 0, builds: String::new() },
        };
        let tied = self.heads.range(first..).take_while(|head| head.rank == rank);
        if !tied.into_iter().any(|head| head.job != *id) {
            return;
        }
        self.served += 1;
        let Some(job) = self.jobs.get_mut(id) else { return };
        for head in job.heads.values_mut().filter(|head| head.rank == rank) {
            self.heads.remove(head);
            head.served = self.served;
            self.heads.insert(head.clone());
        }
    }

    /// All pauses.
    pub(super) fn pauses(&self, now: Millis) -> Pauses {
        Pauses(self.list(PAUSES, now))
    }

    /// Items of a job in flight over all live sessions.
    pub(super) fn in_flight(&self, job: &str, now: Millis) -> InFlight {
        let Some(job) = self.jobs.get(job) else { return InFlight::default() };
        let held = job.leases.iter().filter_map(|token| self.leases.get(token));
        let live = held.filter(|held| self.sessions.get(&held.session).is_some_and(|s| s.is_alive(now)));
        let mut in_flight = InFlight::default();
        for held in live {
            let Header { stage, tracked, .. } = held.chunk.header;
            if stage == jobs_core::Stage::Work {
                in_flight.all += held.items.left();
                in_flight.of_runs += if tracked { 0 } else { held.items.left() };
            }
        }
        in_flight
    }

    /// Takes a run out of those that hold the ticks of its job, once it no longer does; and remembers it if it
    /// may be over.
    pub(super) fn review(&mut self, run: RunId) -> bool {
        let Some(record) = self.runs.get(&run) else { return false };
        let (busy, ended, job) = (record.state.is_busy(), record.state.has_ended(), record.job.clone());
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
        if let Some(token) = run.state.filled {
            self.filled.remove(&token);
        }
    }
}
