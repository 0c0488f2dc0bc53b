//! One job's items in this runner: those that wait for a worker, and its workers.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_core::{End, JobWant};

use crate::{
    lease::{Held, Revoked, Taken, Unstarted},
    lock::lock,
    node::{Node, Phase},
    registry::Job,
};

/// One job's items in this runner.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) job: Job,
    state: Mutex<State>,
    paused: AtomicBool,
    /// When it last had a slot, counted in slots.
    pub(crate) turn: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Unstarted>,
    queued: u32,
    workers: u32,
    /// The mean time of an attempt, once one has ended.
    mean: Option<Duration>,
    /// Since when, as far as anybody has looked, nobody is here.
    idle_since: Option<Duration>,
}

impl State {
    /// Takes how long an attempt took into the mean.
    fn note(&mut self, took: Option<Duration>) {
        if let Some(took) = took {
            self.mean = Some(self.mean.map_or(took, |mean| (mean * 7 + took) / 8));
        }
    }
}

/// Items are fetched ahead for this long.
const AHEAD: Duration = Duration::from_millis(50);
/// So many items are fetched ahead for one slot at the most.
const MOST_AHEAD: u32 = 64;
/// A job with quick items is remembered for this long after its last.
const REMEMBERED: Duration = Duration::from_secs(1);
/// A leased item that is not started for this long goes back.
const UNSTARTED: Duration = Duration::from_secs(2);

impl Desk {
    pub(crate) fn new(job: Job) -> Self {
        Self { job, state: Mutex::default(), paused: AtomicBool::new(false), turn: AtomicU64::new(0) }
    }

    /// Queues the items of a lease.
    pub(crate) fn queue(&self, items: Unstarted) {
        let mut state = lock(&self.state);
        state.queued += items.count();
        state.queue.push_back(items);
    }

    /// Whether one more worker has something to do and may do it; it is counted if so.
    pub(crate) fn hire(&self) -> bool {
        let mut state = lock(&self.state);
        let hired = state.workers < self.job.policy.concurrency && state.queued > 0;
        state.workers += u32::from(hired);
        hired
    }

    /// A worker that was counted does not come.
    pub(crate) fn dismiss(&self) {
        lock(&self.state).workers -= 1;
    }

    /// Takes the next item; a worker that finds none is no longer counted. `took`: how long the one before took.
    pub(crate) fn take(&self, took: Option<Duration>) -> Option<Taken> {
        let mut state = lock(&self.state);
        state.note(took);
        let Some(first) = state.queue.front_mut() else {
            state.workers -= 1;
            return None;
        };
        let taken = first.take();
        if first.count() == 0 {
            state.queue.pop_front();
        }
        state.queued -= 1;
        Some(taken)
    }

    /// A worker leaves, whatever is queued.
    pub(crate) fn leave(&self, took: Option<Duration>) {
        let mut state = lock(&self.state);
        state.note(took);
        state.workers -= 1;
    }

    /// Whether the desk may be forgotten at this uptime: nobody is at it, and it will not soon want more than a job
    /// that is not known here, since its items are quick.
    pub(crate) fn is_forgotten(&self, now: Duration) -> bool {
        let mut state = lock(&self.state);
        if state.workers > 0 || state.queued > 0 {
            state.idle_since = None;
            return false;
        }
        let since = *state.idle_since.get_or_insert(now);
        self.per_slot(&state) == 1 || now.saturating_sub(since) > REMEMBERED
    }

    /// How many items are here and not ended.
    fn items(state: &State) -> u32 {
        state.queued + state.workers
    }

    /// The room that is left, and how many of the process's slots are taken.
    pub(crate) fn want(&self) -> (JobWant, usize) {
        let state = lock(&self.state);
        let per_slot = self.per_slot(&state);
        let taken = Self::items(&state).div_ceil(per_slot);
        let slots = self.job.policy.concurrency.saturating_sub(taken);
        (JobWant { job: self.job.id.clone(), slots, per_slot }, taken as usize)
    }

    /// How many items a slot works off while the next are fetched: one while the handler's time is not known, or
    /// where what is leased counts for all runners.
    fn per_slot(&self, state: &State) -> u32 {
        let limited = self.job.policy.global_concurrency.is_some() || self.job.link.exclusive();
        match state.mean.filter(|_| !limited) {
            Some(mean) if mean < AHEAD => {
                let fit = AHEAD.as_nanos() / mean.as_nanos().max(1);
                u32::try_from(fit).unwrap_or(MOST_AHEAD).clamp(1, MOST_AHEAD)
            }
            _ => 1,
        }
    }

    /// Whether the job is paused, as far as is known here.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Settles the queued items that may no longer be started.
    pub(crate) fn return_unstarted(&self, node: &Node) {
        let now = node.env.uptime();
        let all = node.phase() > Phase::Running || self.is_paused() || !node.is_trusted();
        let mut state = lock(&self.state);
        let (kept, returned): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.queue).into_iter().partition(|items| {
                let waited = now.saturating_sub(items.held.since) > UNSTARTED;
                !all && !waited && items.held.revoked().is_none()
            });
        state.queue = kept;
        if !returned.is_empty() && !all {
            // They waited: what is known of the handler's time is no longer true.
            state.mean = None;
        }
        state.queued -= returned.iter().map(Unstarted::count).sum::<u32>();
        drop(state);
        for items in returned {
            put_back(node, &items.held, items.indices());
        }
    }

    /// When the first queued item has waited too long for a worker.
    pub(crate) fn returns_at(&self) -> Option<Duration> {
        lock(&self.state).queue.front().map(|items| items.held.since + UNSTARTED)
    }
}

/// Settles items that were not started, as their lease's end asks for. If the lease is lost the store refuses it.
pub(crate) fn put_back(node: &Node, held: &Held, items: Range<u32>) {
    let end = if held.revoked() == Some(Revoked::Cancelled) { End::Cancelled } else { End::Back };
    node.outbox.put(held.token, items.start, items.end, end);
}
