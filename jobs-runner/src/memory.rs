//! The memory store: everything in this process, gone with it.

mod budget;
mod cells;
mod dead;
mod delayed;
mod filling;
mod granting;
mod items;
mod job;
mod lease;
mod listing;
mod pruning;
mod queue;
mod rename;
mod run;
mod schedules;
mod session;
mod state;
mod upkeep;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, Millis, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Reply,
    Requeue, Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled, Store,
    StoreResult, TickInfo, Waker, Wakeups, Want,
};

use crate::lock::lock;
use state::State;

/// A store in memory: for tests, and for a program whose jobs may be forgotten when it ends.
///
/// Clones share what is stored. Items are kept as JSON, so what a durable store cannot keep fails here too. The
/// work is done inside each call, on the caller's thread.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    /// What is stored, by namespace.
    namespaces: Arc<Mutex<BTreeMap<String, Arc<Shared>>>>,
    clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    offset: i64,
}

/// The namespace when nobody says.
pub(crate) const NAMESPACE: &str = "jobs";

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    waker: Waker,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(|| jiff::Timestamp::now().into())
    }

    /// An empty store on another clock.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let namespaces = Arc::new(Mutex::new([(NAMESPACE.to_owned(), shared.clone())].into()));
        Self { shared, namespaces, clock: Arc::new(clock), offset: 0 }
    }

    /// What is stored here, seen through a clock that is shifted by so many milliseconds: a test hook.
    #[must_use]
    pub fn shifted(&self, millis: i64) -> Self {
        Self { offset: self.offset + millis, ..self.clone() }
    }

    /// Stores a ready chunk as it is: the door of the conformance suite for a chunk of a newer format.
    #[doc(hidden)]
    pub fn plant(&self, chunk: jobs_core::Chunk) {
        drop(self.step(|state, now| state.store(chunk, now)));
    }

    /// One step: nothing else happens in between, and those who wait for what it did are told.
    fn step<T: Send + 'static>(&self, step: impl FnOnce(&mut State, Millis) -> T) -> StoreResult<'_, T> {
        let mut state = lock(&self.shared.state);
        let now = Millis((self.clock)().0 + self.offset);
        let value = step(&mut state, now);
        let marks = state.marks;
        drop(state);
        self.shared.waker.raise(marks);
        Box::pin(std::future::ready(Ok(Reply { now, value })))
    }
}

impl Store for MemoryStore {
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
        self.step(|state, now| state.fire(session, fires, &want, now))
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        self.step(|state, now| passes.into_iter().map(|pass| state.pass(pass, now)).collect())
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        self.step(|state, now| state.append(append, now))
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

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        self.step(|state, now| state.prune(limit, now))
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        self.step(|state, _| state.ended.iter().copied().take(limit).collect())
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
        self.step(|state, now| state.jobs.iter().map(|(id, job)| state.record(id, job, now)).collect())
    }

    fn job(&self, job: &str) -> StoreResult<'_, Option<JobRecord>> {
        self.step(|state, now| state.jobs.get(job).map(|known| state.record(job, known, now)))
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        self.step(|state, _| state.runs.get(&run).map(run::Run::report))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        self.step(|state, _| {
            let reports = state.runs.values().rev().map(run::Run::report);
            reports.filter(|report| filter.matches(report)).take(filter.max()).collect()
        })
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        self.step(|state, _| state.items(run, limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        self.step(|state, _| state.sessions())
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        self.step(|state, _| {
            let job = state.jobs.get(schedule);
            job.map(|job| job.verdicts.iter().rev().take(limit).cloned().collect()).unwrap_or_default()
        })
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        self.step(|state, _| state.dead(&filter))
    }

    fn wakeups(&self) -> Wakeups {
        self.shared.waker.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        let mut namespaces = lock(&self.namespaces);
        let shared = namespaces.entry(name.to_owned()).or_default().clone();
        drop(namespaces);
        Some(Arc::new(Self { shared, ..self.clone() }))
    }
}
