//! The operations: each is one step under the lock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, Millis, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Reply,
    Requeue, Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled, Store,
    StoreResult, TickInfo, Waker, Wakeups, Want, ledger::Room,
};

use crate::state::State;

/// A store in a few maps. Clones share them.
#[derive(Clone, Default)]
pub struct Toy {
    state: Arc<Mutex<State>>,
    offset: i64,
    // Nobody is woken: whoever waits looks again after a while.
    waker: Waker,
}

impl std::fmt::Debug for Toy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toy").finish_non_exhaustive()
    }
}

impl Toy {
    /// The same store, seen through a clock that is so many milliseconds ahead.
    #[must_use]
    pub fn shifted(&self, offset: i64) -> Self {
        Self { offset, ..self.clone() }
    }

    fn step<T: Send + 'static>(&self, step: impl FnOnce(&mut State, Millis) -> T) -> StoreResult<'_, T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(self.offset));
        let value = step(&mut state, now);
        Box::pin(std::future::ready(Ok(Reply { now, value })))
    }
}

impl Store for Toy {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        self.step(|state, now| state.attach(attach, now))
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        self.step(|state, now| state.detach(session, now))
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        self.step(|state, now| state.beat(&beat, now))
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        self.step(|state, now| {
            let mut room = Room::new(&want);
            fires.iter().map(|fire| state.fire(session, fire, &mut room, now)).collect()
        })
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        self.step(|state, now| passes.into_iter().map(|pass| state.pass(pass, now)).collect())
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        self.step(|state, now| state.append(&append, now))
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        self.step(|state, now| state.settle(settle, now))
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        self.step(|state, now| runs.into_iter().map(|run| state.complete(run, now)).collect())
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        self.step(|state, now| state.cancel(run, now))
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        self.step(|state, now| state.requeue(requeue, now))
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        self.step(|state, now| state.discard(request, &items, now))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        self.step(|state, now| state.reap(session, now))
    }

    fn prune(&self, _: usize) -> StoreResult<'_, Pruned> {
        self.step(State::prune)
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        self.step(|state, _| {
            let ended = state.runs.iter().filter(|(_, run)| run.state.has_ended());
            ended.map(|(id, _)| *id).take(limit).collect()
        })
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        self.step(|state, now| state.get(name, now))
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        self.step(|state, now| state.list(prefix, now))
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        self.step(|state, now| state.put_if(name, expected, put, now))
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        self.step(|state, now| state.jobs(now))
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        self.step(|state, _| state.runs.get(&run).map(|run| run.state.report(&run.job)))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        self.step(|state, _| state.runs(&filter))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        self.step(|state, _| state.items(run, limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        self.step(|state, _| state.sessions())
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        self.step(|state, _| {
            let ticks = state.ticks.get(schedule).map(Vec::as_slice).unwrap_or_default();
            ticks.iter().rev().take(limit).cloned().collect()
        })
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        self.step(|state, _| state.dead(&filter))
    }

    fn wakeups(&self) -> Wakeups {
        self.waker.wakeups()
    }
}
