//! The operations that the story and the tests are told with, on a clock that is set and not waited for.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use jobs_conformance::Fixture;
use jobs_core::{
    Append, Appended, Attach, Attached, Beat, BodyWriter, BoxError, Cancellation, Cause, Complete,
    Completion, End, Failure, FailureKind, Fire, Firing, IfBusy, JobWant, Lease, Link, Millis, Node, Pulse,
    PutCell, Reaped, Reply, RunFilter, RunId, RunReport, ScheduleState, SessionId, Settle, Settled,
    Settlement, Store, StoreResult, Token, Trigger, Verdict, Want,
};
use serde::Serialize;
use serde_json::Value;

use crate::{kept::offset, story::ALL};

/// What the operations come to.
pub type Told<T = ()> = Result<T, BoxError>;

/// Somebody who uses a store, as several sessions at once.
pub struct Teller<'a> {
    place: &'a dyn Fixture,
    store: Arc<dyn Store>,
    namespace: Option<String>,
    lanes: BTreeMap<(SessionId, u32), u64>,
    /// The store's time in the last reply.
    pub now: Millis,
}

impl<'a> Teller<'a> {
    /// Connects to a place, so many seconds after the end of the story, or before it if negative.
    ///
    /// # Errors
    /// If the place does not open.
    pub async fn new(place: &'a dyn Fixture, seconds: i64) -> Told<Self> {
        let store = connect(place, seconds).await?;
        let mut teller = Self { place, store, namespace: None, lanes: BTreeMap::new(), now: Millis(0) };
        teller.ask(|store| store.get("nothing")).await?;
        Ok(teller)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Sets the clock, and beats for the sessions that are to live on.
    ///
    /// # Errors
    /// If the place does not open, or one of the sessions is lost.
    pub async fn at(&mut self, seconds: i64, alive: &[SessionId]) -> Told {
        self.store = connect(self.place, seconds).await?;
        if let Some(name) = self.namespace.clone() {
            self.enter(&name)?;
        }
        self.ask(|store| store.get("nothing")).await?;
        for session in alive {
            if !self.beat(*session, None).await?.alive {
                return Err(format!("session {session} is lost").into());
            }
        }
        Ok(())
    }

    /// Goes to another namespace of the same place.
    ///
    /// # Errors
    /// If the store has only one.
    pub fn enter(&mut self, namespace: &str) -> Told {
        self.store = self.store.namespace(namespace).ok_or("the store has only one namespace")?;
        self.namespace = Some(namespace.to_owned());
        Ok(())
    }

    /// Does an operation, and notes the time of the answer.
    ///
    /// # Errors
    /// What the store says.
    pub async fn ask<T>(
        &mut self,
        call: impl for<'s> FnOnce(&'s dyn Store) -> StoreResult<'s, T>,
    ) -> Told<T> {
        let Reply { now, value } = call(&*self.store).await?;
        self.now = now;
        Ok(value)
    }

    /// Opens a session that lives so many seconds without a beat.
    ///
    /// # Errors
    /// What the store says.
    pub async fn attach(&mut self, node: &Seat, links: &[Link]) -> Told<Attached> {
        let attach = node.attach(links);
        self.ask(|store| store.attach(attach)).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// What the store says.
    pub async fn detach(&mut self, session: SessionId) -> Told {
        while self.ask(|store| store.detach(session)).await? {}
        Ok(())
    }

    /// A sign of life.
    ///
    /// # Errors
    /// What the store says.
    pub async fn beat(&mut self, session: SessionId, held: Option<Vec<Token>>) -> Told<Pulse> {
        let beat = Beat { session, held, as_of: Millis::MAX, reconnected: false };
        self.ask(|store| store.beat(beat)).await
    }

    /// Takes back what sessions held that are gone, until there is no more.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reap(&mut self, session: SessionId) -> Told<Reaped> {
        let mut all = Reaped::default();
        loop {
            let reaped = self.ask(|store| store.reap(session)).await?;
            all.nodes.extend(reaped.nodes);
            all.items += reaped.items;
            all.dead.extend(reaped.dead);
            all.ended.extend(reaped.ended);
            if !reaped.more {
                return Ok(all);
            }
        }
    }

    /// Fires, with room for the first lease if a session is named.
    ///
    /// # Errors
    /// What the store says.
    pub async fn fire(&mut self, session: Option<SessionId>, fire: Fire) -> Told<Firing> {
        let slots = u32::from(session.is_some());
        let want = Want { slots, jobs: Vec::new() };
        let firing = self.ask(|store| store.fire(session, vec![fire], want)).await?.pop();
        firing.ok_or_else(|| "a fire has no answer".into())
    }

    /// Fires, and takes the run and the lease of its first item.
    ///
    /// # Errors
    /// What the store says; if anything is in the way.
    pub async fn fired(&mut self, session: SessionId, fire: Fire) -> Told<(RunId, Lease)> {
        match self.fire(Some(session), fire).await? {
            Firing::Fired { run, lease: Some(lease) } => Ok((run, lease)),
            other => Err(format!("a fire was answered {other:?}").into()),
        }
    }

    /// Stores a run for nobody: its first item waits.
    ///
    /// # Errors
    /// As [`fired`](Self::fired).
    pub async fn stored(&mut self, fire: Fire) -> Told<RunId> {
        match self.fire(None, fire).await? {
            Firing::Fired { run, .. } => Ok(run),
            other => Err(format!("a fire was answered {other:?}").into()),
        }
    }

    /// Appends items under the lease of a fill item.
    ///
    /// # Errors
    /// What the store says; if it is not stored.
    pub async fn append<T: Serialize>(
        &mut self,
        token: Token,
        seq: u64,
        items: &[T],
        page: Option<Option<Vec<u8>>>,
        last: bool,
    ) -> Told<(u64, u64)> {
        let mut writer = BodyWriter::default();
        let mut bodies = Vec::new();
        for item in items {
            bodies.extend(writer.push(item)?);
        }
        bodies.extend(writer.finish());
        let append = Append { token, seq, item_type: "u64".into(), bodies, page, last };
        match self.ask(|store| store.append(append)).await? {
            Appended::Stored { ready, total } => Ok((ready, total)),
            other => Err(format!("an append was answered {other:?}").into()),
        }
    }

    /// A run by hand whose query has found these items.
    ///
    /// # Errors
    /// As [`fired`](Self::fired).
    pub async fn filled<T: Serialize>(&mut self, session: SessionId, fire: Fire, items: &[T]) -> Told<RunId> {
        let (run, fill) = self.fired(session, fire).await?;
        self.append(fill.token, 0, items, None, true).await?;
        Ok(run)
    }

    /// One call of a session's lane 0.
    ///
    /// # Errors
    /// What the store says.
    pub async fn settle(
        &mut self,
        session: SessionId,
        settlements: Vec<Settlement>,
        want: Want,
    ) -> Told<Settled> {
        self.settle_with(session, 0, settlements, Vec::new(), want).await
    }

    /// One call of a lane.
    ///
    /// # Errors
    /// What the store says.
    pub async fn settle_with(
        &mut self,
        session: SessionId,
        lane: u32,
        settlements: Vec<Settlement>,
        effects: Vec<(usize, jobs_core::Effect)>,
        want: Want,
    ) -> Told<Settled> {
        // The story may have used the lane before: it goes on with the time, which only grows.
        let first = u64::try_from(self.now.0).unwrap_or_default();
        let n = self.lanes.entry((session, lane)).and_modify(|n| *n += 1).or_insert(first);
        let settle = Settle { session, lane, n: *n, settlements, effects, want };
        self.ask(|store| store.settle(settle)).await
    }

    /// The number of the last call of a lane.
    #[must_use]
    pub fn lane(&self, session: SessionId, lane: u32) -> u64 {
        self.lanes.get(&(session, lane)).copied().unwrap_or_default()
    }

    /// Leases up to `items` items of one job.
    ///
    /// # Errors
    /// What the store says.
    pub async fn lease(&mut self, session: SessionId, job: &str, items: u32) -> Told<Vec<Lease>> {
        Ok(self.settle(session, Vec::new(), of(job, items)).await?.leases)
    }

    /// Leases items of one job that are all in one lease.
    ///
    /// # Errors
    /// What the store says; if there are fewer.
    pub async fn lease_one(&mut self, session: SessionId, job: &str, items: u32) -> Told<Lease> {
        let leases = self.lease(session, job, items).await?;
        match <[Lease; 1]>::try_from(leases) {
            Ok([lease]) if lease.chunk.count() == items => Ok(lease),
            Ok(leases) => Err(format!("{items} items of {job} were wanted: {leases:?}").into()),
            Err(leases) => Err(format!("{items} items of {job} were wanted: {leases:?}").into()),
        }
    }

    /// Ends all items of a lease alike.
    ///
    /// # Errors
    /// What the store says; if the lease is lost.
    pub async fn end(&mut self, session: SessionId, lease: &Lease, end: End) -> Told<Settled> {
        let all = part(lease, 0..lease.chunk.count(), end);
        let settled = self.settle(session, vec![all], Want::default()).await?;
        if settled.lost.is_empty() { Ok(settled) } else { Err("a lease that is held was lost".into()) }
    }

    /// The end of an attempt that failed and is followed by another after so many seconds.
    #[must_use]
    pub fn retry(&self, message: &str, attempt: u32, seconds: u64) -> End {
        let at = self.now + Duration::from_secs(seconds);
        let failure = Failure { retry_at: Some(at.timestamp()), ..*self.failure(message, attempt) };
        End::retry(at, self.now, Box::new(failure))
    }

    /// The end of an item that is to come back after so many seconds.
    #[must_use]
    pub fn snooze(&self, seconds: u64) -> End {
        End::snooze(self.now + Duration::from_secs(seconds), self.now)
    }

    /// A failed attempt.
    #[must_use]
    pub fn failure(&self, message: &str, attempt: u32) -> Box<Failure> {
        let failure = Failure::new(FailureKind::Error, message, self.now.timestamp());
        let chain = vec!["a cause".to_owned(), "its cause".to_owned()];
        Box::new(Failure { attempt, chain, node: "old-1".to_owned(), ..failure })
    }

    /// Ends a run that has nothing left to do.
    ///
    /// # Errors
    /// What the store says; if the run is not over.
    pub async fn complete(&mut self, run: RunId, finish: bool) -> Told<RunReport> {
        let runs = vec![Complete { run, finish }];
        match self.ask(|store| store.complete(runs)).await?.pop() {
            Some(Completion::Completed(report)) => Ok(*report),
            other => Err(format!("run {run} is not over: {other:?}").into()),
        }
    }

    /// Cancels a run with all that waits of it.
    ///
    /// # Errors
    /// What the store says; if the run is over.
    pub async fn cancel(&mut self, run: RunId) -> Told {
        loop {
            match self.ask(|store| store.cancel(run)).await? {
                Cancellation::Cancelled { more: false } => return Ok(()),
                Cancellation::Cancelled { more: true } => {}
                other => return Err(format!("run {run} is not cancelled: {other:?}").into()),
            }
        }
    }

    /// Removes what is past its time, until there is no more.
    ///
    /// # Errors
    /// What the store says.
    pub async fn prune(&mut self) -> Told {
        while self.ask(|store| store.prune(100)).await?.more {}
        Ok(())
    }

    /// The report of a run.
    ///
    /// # Errors
    /// What the store says; if there is no such run.
    pub async fn report(&mut self, run: RunId) -> Told<RunReport> {
        let report = self.ask(|store| store.run(run)).await?;
        report.ok_or_else(|| format!("there is no run {run}").into())
    }

    /// All runs.
    ///
    /// # Errors
    /// What the store says.
    pub async fn runs(&mut self) -> Told<Vec<RunReport>> {
        self.ask(|store| store.runs(RunFilter::new().limit(1_000))).await
    }

    /// Where the schedule of a job stands.
    ///
    /// # Errors
    /// What the store says; if it has none.
    pub async fn schedule(&mut self, job: &str) -> Told<ScheduleState> {
        let record = self.ask(|store| store.job(job)).await?;
        let state = record.and_then(|record| record.schedule);
        state.ok_or_else(|| format!("{job} has no schedule").into())
    }

    /// Writes a cell, whose version is expected to be this.
    ///
    /// # Errors
    /// What the store says; if the version is another.
    pub async fn put(&mut self, name: &str, expected: u64, put: PutCell) -> Told<u64> {
        let written = self.ask(|store| store.put_if(name, expected, put)).await?;
        written.map_err(|there| format!("the cell {name} is {there:?}").into())
    }
}

async fn connect(place: &dyn Fixture, seconds: i64) -> Told<Arc<dyn Store>> {
    place.connect(offset(seconds)).await
}

/// A session and its node.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The session.
    pub session: SessionId,
    /// The node's name.
    pub name: &'static str,
    /// Its build.
    pub build: &'static str,
    /// How many seconds the session lives without a beat.
    pub lease: u64,
}

impl Seat {
    fn attach(&self, links: &[Link]) -> Attach {
        let (name, build) = (self.name.to_owned(), self.build.into());
        let node = Node { name, build, host: "kept".to_owned(), ..Node::default() };
        let lease = Duration::from_secs(self.lease);
        Attach { session: self.session, lease, node, links: links.to_vec(), gone: Vec::new() }
    }
}

/// Room for so many items of one job, and for nothing else.
#[must_use]
pub fn of(job: &str, items: u32) -> Want {
    let room = |other: &str| {
        let wanted = other == job;
        let per_slot = if wanted { items } else { 0 };
        JobWant { job: other.into(), slots: u32::from(wanted), per_slot }
    };
    Want { slots: 1, jobs: ALL.into_iter().map(room).collect() }
}

/// A part of a lease, and how it ended.
#[must_use]
pub fn part(lease: &Lease, range: Range<u32>, end: End) -> Settlement {
    Settlement { token: lease.token, from: range.start, to: range.end, end }
}

/// A run by hand.
#[must_use]
pub fn by_hand(job: &str, query: bool, request: u64) -> Fire {
    let note = Some(format!("asked for by {request}"));
    fire(job, query, Cause::Manual { request, note }, IfBusy::Fire)
}

/// A tick that is due, and what became of the ticks before it.
#[must_use]
pub fn tick(job: &str, query: bool, state: &ScheduleState, tick: Millis, if_busy: IfBusy) -> Fire {
    let cause = Cause::Tick {
        schedule: job.into(),
        fingerprint: state.fingerprint.clone(),
        cursor: state.cursor,
        tick,
        at: tick,
        verdict: Verdict::Fired,
        trigger: Trigger::Schedule,
        passed: Vec::new(),
    };
    fire(job, query, cause, if_busy)
}

fn fire(job: &str, query: bool, cause: Cause, if_busy: IfBusy) -> Fire {
    let exclusive = !query;
    Fire { job: job.into(), cause, if_busy, priority: 0, query, exclusive, item_type: "()".into() }
}

/// A cell's value.
#[must_use]
pub fn value(value: Value) -> PutCell {
    PutCell { value: Some(value), ..PutCell::default() }
}

/// The items of leases, as numbers.
#[must_use]
pub fn numbers(leases: &[Lease]) -> Vec<u64> {
    let items = leases.iter().flat_map(|lease| lease.chunk.body.items());
    items.filter_map(|item| serde_json::from_slice(item).ok()).collect()
}
