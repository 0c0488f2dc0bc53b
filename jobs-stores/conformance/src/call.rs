//! The operations of a store as values, so that a wrapper can keep, change and repeat them.

use std::sync::Arc;

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, BoxFuture, Cancellation, Cell, Complete, Completion,
    DeadFilter, DeadItem, Fire, Firing, ItemId, ItemInfo, JobRecord, Pass, Passing, Pruned, Pulse, PutCell,
    Reaped, Reply, Requeue, Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled,
    Store, StoreError, StoreResult, TickInfo, Wakeups, Want,
};

/// An operation of a store, with all that it is given.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the operation of that name")]
pub enum Call {
    Attach(Attach),
    Detach(SessionId),
    Beat(Beat),
    Fire(Option<SessionId>, Vec<Fire>, Want),
    Pass(Vec<Pass>),
    Append(Append),
    Settle(Settle),
    Complete(Vec<Complete>),
    Cancel(RunId),
    Requeue(Requeue),
    Discard(u64, Vec<ItemId>),
    Reap(SessionId),
    Prune(usize),
    Completable(usize),
    Get(String),
    List(String),
    PutIf(String, u64, PutCell),
    Jobs,
    Run(RunId),
    Runs(RunFilter),
    Items(RunId, usize),
    Sessions,
    Ticks(String, usize),
    Dead(DeadFilter),
}

impl Call {
    /// The name of the operation.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Attach(..) => "attach",
            Self::Detach(..) => "detach",
            Self::Beat(..) => "beat",
            Self::Fire(..) => "fire",
            Self::Pass(..) => "pass",
            Self::Append(..) => "append",
            Self::Settle(..) => "settle",
            Self::Complete(..) => "complete",
            Self::Cancel(..) => "cancel",
            Self::Requeue(..) => "requeue",
            Self::Discard(..) => "discard",
            Self::Reap(..) => "reap",
            Self::Prune(..) => "prune",
            Self::Completable(..) => "completable",
            Self::Get(..) => "get",
            Self::List(..) => "list",
            Self::PutIf(..) => "put_if",
            Self::Jobs => "jobs",
            Self::Run(..) => "run",
            Self::Runs(..) => "runs",
            Self::Items(..) => "items",
            Self::Sessions => "sessions",
            Self::Ticks(..) => "ticks",
            Self::Dead(..) => "dead",
        }
    }
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the answer to the operation of that name")]
pub enum Answer {
    Attach(Attached),
    Detach(bool),
    Beat(Pulse),
    Fire(Vec<Firing>),
    Pass(Vec<Passing>),
    Append(Appended),
    Settle(Settled),
    Complete(Vec<Completion>),
    Cancel(Cancellation),
    Requeue(Option<Requeued>),
    Discard(u64),
    Reap(Reaped),
    Prune(Pruned),
    Completable(Vec<RunId>),
    Get(Option<Cell>),
    List(Vec<(String, Cell)>),
    PutIf(Result<u64, Option<Cell>>),
    Jobs(Vec<JobRecord>),
    Run(Option<RunReport>),
    Runs(Vec<RunReport>),
    Items(Vec<ItemInfo>),
    Sessions(Vec<SessionRecord>),
    Ticks(Vec<TickInfo>),
    Dead(Vec<DeadItem>),
}

/// What an operation comes to.
pub type Outcome = Result<Reply<Answer>, StoreError>;

/// Does an operation.
///
/// # Errors
/// What the store says.
pub async fn perform(store: &dyn Store, call: Call) -> Outcome {
    Ok(match call {
        Call::Attach(attach) => store.attach(attach).await?.map(Answer::Attach),
        Call::Detach(session) => store.detach(session).await?.map(Answer::Detach),
        Call::Beat(beat) => store.beat(beat).await?.map(Answer::Beat),
        Call::Fire(session, fires, want) => store.fire(session, fires, want).await?.map(Answer::Fire),
        Call::Pass(passes) => store.pass(passes).await?.map(Answer::Pass),
        Call::Append(append) => store.append(append).await?.map(Answer::Append),
        Call::Settle(settle) => store.settle(settle).await?.map(Answer::Settle),
        Call::Complete(runs) => store.complete(runs).await?.map(Answer::Complete),
        Call::Cancel(run) => store.cancel(run).await?.map(Answer::Cancel),
        Call::Requeue(requeue) => store.requeue(requeue).await?.map(Answer::Requeue),
        Call::Discard(request, items) => store.discard(request, items).await?.map(Answer::Discard),
        Call::Reap(session) => store.reap(session).await?.map(Answer::Reap),
        Call::Prune(limit) => store.prune(limit).await?.map(Answer::Prune),
        Call::Completable(limit) => store.completable(limit).await?.map(Answer::Completable),
        Call::Get(name) => store.get(&name).await?.map(Answer::Get),
        Call::List(prefix) => store.list(&prefix).await?.map(Answer::List),
        Call::PutIf(name, expected, put) => store.put_if(&name, expected, put).await?.map(Answer::PutIf),
        Call::Jobs => store.jobs().await?.map(Answer::Jobs),
        Call::Run(run) => store.run(run).await?.map(Answer::Run),
        Call::Runs(filter) => store.runs(filter).await?.map(Answer::Runs),
        Call::Items(run, limit) => store.items(run, limit).await?.map(Answer::Items),
        Call::Sessions => store.sessions().await?.map(Answer::Sessions),
        Call::Ticks(schedule, limit) => store.ticks(&schedule, limit).await?.map(Answer::Ticks),
        Call::Dead(filter) => store.dead(filter).await?.map(Answer::Dead),
    })
}

/// Something that answers operations: a wrapper of a store needs no more, and is one inside [`Wrapper`].
pub trait Handle: Send + Sync + 'static {
    /// Answers an operation.
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome>;

    /// What wakes up those who wait.
    fn wakeups(&self) -> Wakeups;

    /// The same in another namespace; `None` if there is only one.
    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>>;
}

/// A store made of something that answers operations.
#[derive(Clone, Debug)]
pub struct Wrapper<H>(pub H);

/// Asks, and takes the answer out of the case that belongs to the operation.
macro_rules! ask {
    ($of:expr, $kind:ident, $call:expr) => {
        Box::pin(async move {
            let Reply { now, value } = $of.0.handle($call).await?;
            match value {
                Answer::$kind(value) => Ok(Reply { now, value }),
                _ => Err(StoreError::Backend("the answer belongs to another operation".into())),
            }
        })
    };
}

impl<H: Handle> Store for Wrapper<H> {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        ask!(self, Attach, Call::Attach(attach))
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        ask!(self, Detach, Call::Detach(session))
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        ask!(self, Beat, Call::Beat(beat))
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        ask!(self, Fire, Call::Fire(session, fires, want))
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        ask!(self, Pass, Call::Pass(passes))
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        ask!(self, Append, Call::Append(append))
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        ask!(self, Settle, Call::Settle(settle))
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        ask!(self, Complete, Call::Complete(runs))
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        ask!(self, Cancel, Call::Cancel(run))
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        ask!(self, Requeue, Call::Requeue(requeue))
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        ask!(self, Discard, Call::Discard(request, items))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        ask!(self, Reap, Call::Reap(session))
    }

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        ask!(self, Prune, Call::Prune(limit))
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        ask!(self, Completable, Call::Completable(limit))
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        let name = name.to_owned();
        ask!(self, Get, Call::Get(name))
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        let prefix = prefix.to_owned();
        ask!(self, List, Call::List(prefix))
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        let name = name.to_owned();
        ask!(self, PutIf, Call::PutIf(name, expected, put))
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        ask!(self, Jobs, Call::Jobs)
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        ask!(self, Run, Call::Run(run))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        ask!(self, Runs, Call::Runs(filter))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        ask!(self, Items, Call::Items(run, limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        ask!(self, Sessions, Call::Sessions)
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        let schedule = schedule.to_owned();
        ask!(self, Ticks, Call::Ticks(schedule, limit))
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        ask!(self, Dead, Call::Dead(filter))
    }

    fn wakeups(&self) -> Wakeups {
        self.0.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.0.namespace(name)
    }
}
