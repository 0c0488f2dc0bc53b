//! A store as one node sees it over a bad network: slow, cut off, answering twice or not at all.
//!
//! The steps themselves are those of one memory store that all nodes share; each is logged with its answer.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, PAUSES, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Reply,
    Requeue, Requeued, RunFilter, RunId, RunReport, ScheduleState, SessionId, SessionRecord, Settle, Settled,
    Store, StoreError, StoreResult, TickInfo, Wakeups, Want,
};
use jobs_runner::MemoryStore;
use tokio::time::sleep;

use crate::{
    hints::Hints,
    log::{Step, What},
    wire::{Fate, Wire},
};

/// The store as one node sees it.
#[derive(Clone)]
pub(crate) struct Faulty {
    store: MemoryStore,
    wire: Arc<Wire>,
    hints: Hints,
}

type Answer<T> = Result<Reply<T>, StoreError>;

impl Faulty {
    pub(crate) fn new(store: MemoryStore, wire: Arc<Wire>, hints: Hints) -> Self {
        Self { store, wire, hints }
    }

    /// Sends a call over the wire; `step` is what it does when it arrives, and what is noted of it.
    fn call<T: Send + 'static>(
        &self,
        op: &'static str,
        step: impl FnOnce(&MemoryStore) -> (Answer<T>, Option<Step>) + Send + 'static,
    ) -> StoreResult<'static, T> {
        let (store, wire, hints) = (self.store.clone(), self.wire.clone(), self.hints.clone());
        let arrive = move |wire: &Wire| {
            let (answer, noted) = step(&store);
            if let Some(step) = noted {
                wire.log.add(What::Step { node: wire.node, step: Box::new(step) });
            }
            hints.tell(&store);
            answer
        };
        Box::pin(async move {
            if wire.log.loops() {
                sleep(Duration::from_millis(1)).await;
            }
            match wire.fate(op) {
                Fate::Through { before, after } => {
                    rest(before).await;
                    if wire.is_cut() {
                        return Err(unreachable());
                    }
                    let answer = arrive(&wire);
                    rest(after).await;
                    if wire.is_cut() { Err(unreachable()) } else { answer }
                }
                Fate::Refused { after } => {
                    rest(after).await;
                    Err(unreachable())
                }
                Fate::ReplyLost { before, after } => {
                    rest(before).await;
                    drop(arrive(&wire));
                    rest(after).await;
                    Err(unreachable())
                }
                Fate::Delayed { gives_up, arrives } => {
                    // It is on its way, whatever becomes of the node.
                    let sent = wire.clone();
                    tokio::spawn(async move {
                        rest(arrives).await;
                        drop(arrive(&sent));
                    });
                    rest(gives_up).await;
                    Err(unreachable())
                }
            }
        })
    }
}

async fn rest(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable { message: "the simulation lost the call".into() }
}

/// The memory store answers within the call.
pub(crate) fn at_once<T>(future: StoreResult<'_, T>) -> Answer<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(unreachable()),
    }
}

/// An answer, and what is noted of the step.
fn noted<T: Clone>(answer: Answer<T>, step: impl FnOnce(T) -> Step) -> (Answer<T>, Option<Step>) {
    let step = answer.as_ref().ok().map(|reply| step(reply.value.clone()));
    (answer, step)
}

/// Where the schedules stand.
pub(crate) fn schedules(store: &MemoryStore) -> Vec<(Arc<str>, ScheduleState)> {
    let jobs = at_once(store.jobs()).map(|reply| reply.value).unwrap_or_default();
    jobs.into_iter().filter_map(|job| Some((job.link.job, job.schedule?))).collect()
}

impl Store for Faulty {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        self.call("attach", move |store| {
            let before = schedules(store);
            let answer = at_once(store.attach(attach.clone()));
            let after = schedules(store);
            noted(answer, |_| {
                let Attach { session, lease, node, links, gone } = attach;
                Step::Attach { session, node: node.name, lease, links, gone, before, after }
            })
        })
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        self.call("detach", move |store| noted(at_once(store.detach(session)), |_| Step::Detach(session)))
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        self.call("beat", move |store| {
            noted(at_once(store.beat(beat.clone())), |pulse| Step::Beat(beat, pulse))
        })
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        self.call("fire", move |store| {
            let answer = at_once(store.fire(session, fires.clone(), want));
            noted(answer, |firings| Step::Fire(session, fires, firings))
        })
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        self.call("pass", move |store| {
            noted(at_once(store.pass(passes.clone())), |passings| Step::Pass(passes, passings))
        })
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        self.call("append", move |store| {
            let (token, seq, last) = (append.token, append.seq, append.last);
            let count = append.bodies.iter().map(|body| u64::from(body.count())).sum();
            let paged = append.page.is_some();
            noted(at_once(store.append(append)), |appended| Step::Append {
                token,
                seq,
                count,
                paged,
                last,
                appended,
            })
        })
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        self.call("settle", move |store| {
            let answer = at_once(store.settle(settle.clone()));
            noted(answer, |settled| Step::Settle(settle, settled))
        })
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        self.call("complete", move |store| {
            noted(at_once(store.complete(runs.clone())), |completions| Step::Complete(runs, completions))
        })
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        self.call("cancel", move |store| {
            noted(at_once(store.cancel(run)), |answer| Step::Cancel(run, answer))
        })
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        self.call("requeue", move |store| (at_once(store.requeue(requeue)), None))
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        self.call("discard", move |store| (at_once(store.discard(request, items)), None))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        self.call("reap", move |store| {
            noted(at_once(store.reap(session)), |reaped| Step::Reap(session, reaped))
        })
    }

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        self.call("prune", move |store| (at_once(store.prune(limit)), None))
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        self.call("completable", move |store| (at_once(store.completable(limit)), None))
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        let name = name.to_owned();
        self.call("get", move |store| (at_once(store.get(&name)), None))
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        let prefix = prefix.to_owned();
        self.call("list", move |store| (at_once(store.list(&prefix)), None))
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        let name = name.to_owned();
        self.call("put_if", move |store| {
            let there = put.value.is_some();
            let answer = at_once(store.put_if(&name, expected, put));
            let done = answer.as_ref().is_ok_and(|reply| reply.value.is_ok());
            let pause = name.strip_prefix(PAUSES).filter(|_| done);
            let step = pause.map(|pattern| Step::Pause(pattern.to_owned(), there));
            (answer, step)
        })
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        self.call("jobs", move |store| (at_once(store.jobs()), None))
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        self.call("run", move |store| (at_once(store.run(run)), None))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        self.call("runs", move |store| (at_once(store.runs(filter)), None))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        self.call("items", move |store| (at_once(store.items(run, limit)), None))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        self.call("sessions", move |store| (at_once(store.sessions()), None))
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        let schedule = schedule.to_owned();
        self.call("ticks", move |store| (at_once(store.ticks(&schedule, limit)), None))
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        self.call("dead", move |store| (at_once(store.dead(filter)), None))
    }

    fn wakeups(&self) -> Wakeups {
        self.hints.wakeups(&self.wire, &self.store)
    }
}
