//! What a caller knows from the answers so far, in common names.

use std::{collections::BTreeMap, sync::Arc};

use jobs_conformance::call::{Answer, Call};
use jobs_core::{
    Appended, Attached, Firing, ItemId, Lease, Passing, RunId, ScheduleState, SessionId, Stage, Token,
};

/// So many calls are remembered, to be repeated late.
const REMEMBERED: usize = 6;

/// A lease that somebody was granted.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose it is.
    pub session: SessionId,
    /// The lease.
    pub lease: Lease,
    /// Which of its items were settled.
    pub settled: Vec<bool>,
    /// The number of the next append under it.
    pub seq: u64,
}

impl Held {
    fn new(session: SessionId, lease: Lease) -> Self {
        let settled = vec![false; lease.chunk.count() as usize];
        Self { session, lease, settled, seq: 0 }
    }

    /// Whether all of it was settled.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.settled.iter().all(|settled| *settled)
    }
}

/// A session, as its caller knows it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The number of the last call of each lane.
    pub lanes: [u64; 2],
    /// The call that opened it.
    pub attach: Option<Call>,
}

/// What a caller knows.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether jobs are renamed.
    pub renames: bool,
    /// Sessions that are open, as far as anybody knows.
    pub sessions: BTreeMap<SessionId, Peer>,
    /// Sessions that are known to be over.
    pub gone: Vec<SessionId>,
    /// All leases.
    pub held: Vec<Held>,
    /// All runs.
    pub runs: Vec<RunId>,
    /// Where schedules stood last.
    pub states: BTreeMap<Arc<str>, ScheduleState>,
    /// The versions of cells.
    pub cells: BTreeMap<String, u64>,
    /// Items that were seen dead, with their jobs.
    pub dead: Vec<(String, ItemId)>,
    /// The last number of a session, a request.
    pub sessions_made: u64,
    /// The last request.
    pub requests: u64,
    /// The last calls that may be repeated, newest last.
    pub calls: Vec<Call>,
}

impl View {
    /// The leases of open work that somebody holds.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Held)> {
        self.held.iter().enumerate().filter(|(_, held)| !held.is_over())
    }

    /// The leases of fill items that open sessions hold.
    #[must_use]
    pub fn fills(&self) -> Vec<usize> {
        let fill = |held: &Held| held.lease.chunk.header.stage == Stage::Fill;
        let alive = |held: &Held| self.sessions.contains_key(&held.session);
        self.open().filter(|(_, held)| fill(held) && alive(held)).map(|(index, _)| index).collect()
    }

    /// Whether the caller knows that all of a lease was settled, with these settlements at the latest.
    #[must_use]
    pub fn is_settled(&self, token: Token, settlements: &[jobs_core::Settlement]) -> bool {
        self.held.iter().filter(|held| held.lease.token == token).any(|held| {
            let covered = |index: u32| {
                settlements.iter().any(|one| one.token == token && (one.from..one.to).contains(&index))
            };
            (0..).zip(&held.settled).all(|(index, settled)| *settled || covered(index))
        })
    }

    /// A new request number.
    pub fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Takes in an answer.
    pub fn note(&mut self, call: &Call, answer: &Answer) {
        match (call, answer) {
            (Call::Attach(attach), Answer::Attach(attached)) => {
                let peer = self.sessions.entry(attach.session).or_default();
                peer.attach = Some(call.clone());
                self.attached(attached);
                for gone in &attach.gone {
                    self.over(*gone);
                }
            }
            (Call::Detach(session), Answer::Detach(false)) => self.over(*session),
            (Call::Beat(beat), Answer::Beat(pulse)) if !pulse.alive => self.over(beat.session),
            (Call::Fire(session, fires, _), Answer::Fire(fired)) => {
                for (fire, firing) in fires.iter().zip(fired) {
                    match firing {
                        Firing::Fired { run, lease } => {
                            self.runs.push(*run);
                            self.granted(*session, lease.iter());
                            if let jobs_core::Cause::Tick { schedule, tick, .. } = &fire.cause
                                && let Some(state) = self.states.get_mut(schedule)
                            {
                                state.cursor = state.cursor.max(crate::time::by_the_second(*tick));
                            }
                        }
                        Firing::Already(state) => {
                            if let jobs_core::Cause::Tick { schedule, .. } = &fire.cause {
                                self.states.insert(schedule.clone(), state.clone());
                            }
                        }
                        _ => {}
                    }
                }
                self.runs.sort_unstable();
                self.runs.dedup();
            }
            (Call::Pass(passes), Answer::Pass(passed)) => {
                for (pass, passing) in passes.iter().zip(passed) {
                    match (passing, pass.passed.last(), self.states.get_mut(&pass.schedule)) {
                        (Passing::Already(state), ..) => {
                            self.states.insert(pass.schedule.clone(), state.clone());
                        }
                        (Passing::Passed, Some(last), Some(state)) => {
                            state.cursor = crate::time::by_the_second(last.last.into());
                        }
                        _ => {}
                    }
                }
            }
            (Call::Append(append), Answer::Append(Appended::Stored { .. })) => {
                let of = self.held.iter_mut().filter(|held| held.lease.token == append.token);
                for held in of {
                    held.seq = held.seq.max(append.seq + 1);
                    if append.last {
                        held.settled.fill(true);
                    }
                }
            }
            (Call::Settle(settle), Answer::Settle(settled)) => {
                self.settled(settle, settled);
            }
            (Call::Requeue(_), Answer::Requeue(Some(requeued))) => self.runs.push(requeued.run),
            (Call::Get(name), Answer::Get(cell)) => {
                self.cells.insert(name.clone(), cell.as_ref().map_or(0, |cell| cell.version));
            }
            (Call::PutIf(name, ..), Answer::PutIf(written)) => {
                let version = match written {
                    Ok(version) => *version,
                    Err(there) => there.as_ref().map_or(0, |cell| cell.version),
                };
                self.cells.insert(name.clone(), version);
            }
            (_, Answer::Dead(dead)) => {
                self.dead = dead.iter().map(|item| (item.job.clone(), item.id)).collect();
            }
            (_, Answer::Jobs(jobs)) => {
                for job in jobs {
                    if let Some(state) = &job.schedule {
                        self.states.insert(job.link.job.clone(), state.clone());
                    }
                }
            }
            _ => {}
        }
        if !is_read(call) {
            self.calls.push(call.clone());
            if self.calls.len() > REMEMBERED {
                self.calls.remove(0);
            }
        }
    }

    fn attached(&mut self, attached: &Attached) {
        self.states.extend(attached.schedules.clone());
    }

    fn over(&mut self, session: SessionId) {
        if self.sessions.remove(&session).is_some() {
            self.gone.push(session);
        }
    }

    fn granted<'a>(&mut self, session: Option<SessionId>, leases: impl Iterator<Item = &'a Lease>) {
        let Some(session) = session else { return };
        for lease in leases {
            if self.held.iter().all(|held| held.lease.token != lease.token) {
                self.held.push(Held::new(session, lease.clone()));
            }
        }
    }

    fn settled(&mut self, settle: &jobs_core::Settle, settled: &jobs_core::Settled) {
        if let Some(peer) = self.sessions.get_mut(&settle.session)
            && let Some(n) = peer.lanes.get_mut(settle.lane as usize)
        {
            *n = (*n).max(settle.n);
        }
        for one in &settle.settlements {
            let own = |held: &&mut Held| held.lease.token == one.token && held.session == settle.session;
            if settled.lost.contains(&one.token) {
                continue;
            }
            for held in self.held.iter_mut().filter(own) {
                let to = (one.to as usize).min(held.settled.len());
                if let Some(range) = held.settled.get_mut((one.from as usize).min(to)..to) {
                    range.fill(true);
                }
            }
        }
        self.granted(Some(settle.session), settled.leases.iter());
    }
}

/// Whether an operation only reads.
#[must_use]
pub fn is_read(call: &Call) -> bool {
    matches!(
        call,
        Call::Completable(_)
            | Call::Get(_)
            | Call::List(_)
            | Call::Jobs
            | Call::Run(_)
            | Call::Runs(_)
            | Call::Items(..)
            | Call::Sessions
            | Call::Ticks(..)
            | Call::Dead(_)
    )
}
