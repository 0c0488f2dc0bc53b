//! What the rules are written with: a store under test, time that moves by connecting anew, and short names for
//! the operations.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, BoxFuture, Cause, Cell, Complete, Completion, DeadFilter,
    DeadItem, Effect, End, Fire, Firing, IfBusy, JobWant, Lease, Link, Marks, Millis, Pulse, PutCell, Reaped,
    Reply, RunFilter, RunId, RunReport, SessionId, Settle, Settled, Settlement, Store, StoreError, TickInfo,
    Token, Want, pause_cell,
};
use tokio::runtime::Runtime;

use crate::scene::bodies;
pub(crate) use crate::scene::{
    A, B, C, DECLARED, FAN, FAN_TOO, LEASE, LONG, MINUTE, ONE, all_numbers, attach, declared, failure, link,
    numbers, slots, state_of, tick,
};
use crate::{
    call::Wrapper,
    fixture::Fixture,
    twice::{Copies, Twice, Wire},
    violation::{Broken, Check},
};

/// An operation that is under way.
pub(crate) type Doing<T> = BoxFuture<'static, Result<T, StoreError>>;

/// A store under test.
pub(crate) struct Bench<'a> {
    fixture: &'a dyn Fixture,
    runtime: &'a Runtime,
    copies: Copies,
    wire: Arc<Wire>,
    inner: Arc<dyn Store>,
    store: Arc<dyn Store>,
    offset: i64,
    lanes: BTreeMap<SessionId, u64>,
    requests: u64,
    /// The store's time in the last reply.
    pub(crate) now: Millis,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(fixture: &'a dyn Fixture, runtime: &'a Runtime, copies: Copies) -> Check<Self> {
        let wire = Arc::<Wire>::default();
        let (inner, store) = connect(fixture, runtime, copies, &wire, 0)?;
        let (lanes, now) = (BTreeMap::new(), Millis(0));
        let mut bench =
            Self { fixture, runtime, copies, wire, inner, store, offset: 0, lanes, requests: 0, now };
        bench.cell("nothing")?;
        Ok(bench)
    }

    /// Does an operation, and notes the time of the answer.
    pub(crate) fn ask<T>(
        &mut self,
        call: impl for<'s> FnOnce(&'s dyn Store) -> jobs_core::StoreResult<'s, T>,
    ) -> Check<T> {
        let store = self.store.clone();
        let Reply { now, value } = self.runtime.block_on(call(&*store))?;
        self.now = now;
        match self.wire.differs() {
            Some(differs) => Err(Broken(differs)),
            None => Ok(value),
        }
    }

    /// Moves time by connecting anew. What was delayed on the wire arrives before.
    pub(crate) fn advance(&mut self, by: Duration) -> Check {
        self.shift(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
    }

    /// Moves time, back if negative.
    pub(crate) fn shift(&mut self, millis: i64) -> Check {
        let inner = self.inner.clone();
        self.runtime.block_on(self.wire.flush(&*inner))?;
        self.offset += millis;
        (self.inner, self.store) = connect(self.fixture, self.runtime, self.copies, &self.wire, self.offset)?;
        self.cell("nothing").map(drop)
    }

    /// Stores a chunk past the operations. `false` if the fixture has no door for it.
    pub(crate) fn plant(&mut self, chunk: jobs_core::Chunk) -> Check<bool> {
        match self.fixture.plant(chunk) {
            None => Ok(false),
            Some(planting) => {
                self.runtime
                    .block_on(planting)
                    .map_err(|error| Broken(format!("planting failed: {error}")))?;
                Ok(true)
            }
        }
    }

    /// The same store in another namespace.
    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.store.namespace(name)
    }

    /// Does something in another store.
    pub(crate) fn visit(&mut self, other: &Arc<dyn Store>, there: impl FnOnce(&mut Self) -> Check) -> Check {
        let here = std::mem::replace(&mut self.store, other.clone());
        let seen = there(self);
        self.store = here;
        seen
    }

    /// Does two things at once.
    pub(crate) fn both<T: Send + 'static>(
        &mut self,
        one: impl FnOnce(Arc<dyn Store>) -> Doing<T>,
        other: impl FnOnce(Arc<dyn Store>) -> Doing<T>,
    ) -> Check {
        let one = self.runtime.spawn(one(self.store.clone()));
        let other = self.runtime.spawn(other(self.store.clone()));
        for doing in [one, other] {
            let done = self.runtime.block_on(doing);
            done.map_err(|error| Broken(format!("an operation panicked: {error}")))??;
        }
        Ok(())
    }

    /// What the store has said so far to those who wait.
    pub(crate) fn marks(&self) -> Marks {
        self.store.wakeups().marks()
    }

    /// Waits until the store says something of this kind, or is silent for a while: a wake-up is a hint.
    pub(crate) fn woken(&self, of: impl Fn(&Marks) -> u64) -> Check {
        let seen = of(&self.marks());
        self.woken_after(of, seen)
    }

    /// The same, since it said so much.
    pub(crate) fn woken_after(&self, of: impl Fn(&Marks) -> u64, seen: u64) -> Check {
        let wakeups = self.store.wakeups();
        let patience = Duration::from_millis(200);
        // Silence is no fault.
        let _silent =
            self.runtime.block_on(async { tokio::time::timeout(patience, wakeups.changed(of, seen)).await });
        Ok(())
    }

    // Sessions.

    pub(crate) fn attach(&mut self, session: SessionId, links: &[Link]) -> Check<Attached> {
        self.attach_with(attach(session, links))
    }

    pub(crate) fn attach_with(&mut self, attach: Attach) -> Check<Attached> {
        self.ask(|store| store.attach(attach))
    }

    pub(crate) fn detach(&mut self, session: SessionId) -> Check {
        ensure!(!self.ask(|store| store.detach(session))?, "so little goes back in one step");
        Ok(())
    }

    pub(crate) fn beat(&mut self, session: SessionId) -> Check<Pulse> {
        self.beat_with(Beat { session, held: None, reconnected: false, as_of: jobs_core::Millis::MAX })
    }

    pub(crate) fn beat_with(&mut self, beat: Beat) -> Check<Pulse> {
        self.ask(|store| store.beat(beat))
    }

    pub(crate) fn reap(&mut self, session: SessionId) -> Check<Reaped> {
        self.ask(|store| store.reap(session))
    }

    // Runs.

    pub(crate) fn fire(&mut self, session: SessionId, fire: Fire) -> Check<Firing> {
        let mut fired = self.ask(|store| store.fire(Some(session), vec![fire], slots(1)))?;
        ensure_eq!(fired.len(), 1, "each fire has its answer");
        Ok(fired.remove(0))
    }

    /// Fires by hand, with room for the first lease.
    pub(crate) fn fired(&mut self, session: SessionId, fire: Fire) -> Check<(RunId, Option<Lease>)> {
        match self.fire(session, fire)? {
            Firing::Fired { run, lease } => Ok((run, lease)),
            other => Err(Broken(format!("a fire that nothing is in the way of was answered {other:?}"))),
        }
    }

    /// Fires, and takes the lease of the first item, which nothing is in the way of.
    pub(crate) fn fired_and_leased(&mut self, session: SessionId, fire: Fire) -> Check<(RunId, Lease)> {
        match self.fired(session, fire)? {
            (run, Some(lease)) => Ok((run, lease)),
            (_, None) => {
                Err(Broken("the first lease comes with the answer to the fire that wants it".to_owned()))
            }
        }
    }

    /// Stores a run for nobody: its first item waits.
    pub(crate) fn stored(&mut self, fire: Fire) -> Check<RunId> {
        let fired = self.ask(|store| store.fire(None, vec![fire], Want::default()))?;
        match fired.as_slice() {
            [Firing::Fired { run, lease: None }] => Ok(*run),
            other => Err(Broken(format!("a fire that nothing is in the way of was answered {other:?}"))),
        }
    }

    /// An id for a request that is not used again.
    pub(crate) fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// A run by hand.
    pub(crate) fn by_hand(&mut self, job: &str) -> Fire {
        let cause = Cause::Manual { request: self.request(), note: None };
        Fire {
            job: job.into(),
            cause,
            if_busy: IfBusy::Fire,
            priority: 0,
            query: job != ONE,
            exclusive: job == ONE,
            item_type: "()".into(),
        }
    }

    /// A run by hand of a query, whose items 0..n are found and published.
    pub(crate) fn filled(&mut self, session: SessionId, job: &str, n: u64) -> Check<RunId> {
        let fire = self.by_hand(job);
        self.filled_by(session, fire, n)
    }

    pub(crate) fn filled_by(&mut self, session: SessionId, fire: Fire, n: u64) -> Check<RunId> {
        let (run, lease) = self.fired_and_leased(session, fire)?;
        self.stored_all(&lease, 0..n)?;
        Ok(run)
    }

    /// Appends all that a query found in one call.
    pub(crate) fn stored_all(&mut self, fill: &Lease, items: std::ops::Range<u64>) -> Check {
        let appended = self.append(fill.token, 0, items, None, true)?;
        ensure!(
            matches!(appended, Appended::Stored { .. }),
            "the last append under a good lease was answered {appended:?}"
        );
        Ok(())
    }

    pub(crate) fn append(
        &mut self,
        token: Token,
        seq: u64,
        items: std::ops::Range<u64>,
        page: Option<Option<&[u8]>>,
        last: bool,
    ) -> Check<Appended> {
        let bodies = bodies(items)?;
        let page = page.map(|cursor| cursor.map(<[u8]>::to_vec));
        self.ask(|store| store.append(Append { token, seq, item_type: "u64".into(), bodies, page, last }))
    }

    pub(crate) fn run(&mut self, run: RunId) -> Check<RunReport> {
        self.ask(|store| store.run(run))?
            .ok_or_else(|| Broken(format!("run {run} is kept, and was not found")))
    }

    pub(crate) fn runs(&mut self) -> Check<Vec<RunReport>> {
        self.ask(|store| store.runs(RunFilter::new()))
    }

    pub(crate) fn complete(&mut self, run: RunId, finish: bool) -> Check<Completion> {
        let completions = self.ask(|store| store.complete(vec![Complete { run, finish }]))?;
        let [completion] = completions.try_into().map_err(|_| Broken("one run has one answer".to_owned()))?;
        Ok(completion)
    }

    pub(crate) fn completed(&mut self, run: RunId) -> Check<RunReport> {
        match self.complete(run, false)? {
            Completion::Completed(report) => Ok(*report),
            other => {
                Err(Broken(format!("completing a run whose items have all ended was answered {other:?}")))
            }
        }
    }

    pub(crate) fn ticks(&mut self, job: &str) -> Check<Vec<TickInfo>> {
        self.ask(|store| store.ticks(job, 100))
    }

    pub(crate) fn dead(&mut self) -> Check<Vec<DeadItem>> {
        self.ask(|store| store.dead(DeadFilter::new()))
    }

    // Items.

    /// One call of the session's own lane.
    pub(crate) fn settle_with(
        &mut self,
        session: SessionId,
        settlements: Vec<Settlement>,
        effects: Vec<(usize, Effect)>,
        want: Want,
    ) -> Check<Settled> {
        let n = self.lanes.entry(session).or_default();
        *n += 1;
        let settle = Settle { session, lane: 0, n: *n, settlements, effects, want };
        self.ask(|store| store.settle(settle))
    }

    /// Leases with so many free slots.
    pub(crate) fn lease(&mut self, session: SessionId, free: u32) -> Check<Vec<Lease>> {
        Ok(self.settle_with(session, Vec::new(), Vec::new(), slots(free))?.leases)
    }

    /// Leases one item, which nothing is in the way of.
    pub(crate) fn lease_one(&mut self, session: SessionId) -> Check<Lease> {
        let mut leases = self.lease(session, 1)?;
        ensure_eq!(leases.len(), 1, "a ready item is leased to a session that has a free slot");
        Ok(leases.remove(0))
    }

    /// Leases up to `items` items of one job in as few leases as there are.
    pub(crate) fn lease_of(&mut self, session: SessionId, job: &str, items: u32) -> Check<Vec<Lease>> {
        let jobs = vec![JobWant { job: job.into(), slots: 1, per_slot: items }];
        let want = Want { slots: 1, jobs };
        Ok(self.settle_with(session, Vec::new(), Vec::new(), want)?.leases)
    }

    /// Settles all of a lease.
    pub(crate) fn settle(&mut self, session: SessionId, lease: &Lease, end: End) -> Check<Settled> {
        self.settle_part(session, lease, 0, lease.chunk.count(), end)
    }

    pub(crate) fn settle_part(
        &mut self,
        session: SessionId,
        lease: &Lease,
        from: u32,
        to: u32,
        end: End,
    ) -> Check<Settled> {
        let settlement = Settlement { token: lease.token, from, to, end };
        self.settle_with(session, vec![settlement], Vec::new(), Want::default())
    }

    // Cells.

    pub(crate) fn cell(&mut self, name: &str) -> Check<Option<Cell>> {
        self.ask(|store| store.get(name))
    }

    pub(crate) fn put(
        &mut self,
        name: &str,
        expected: u64,
        put: PutCell,
    ) -> Check<Result<u64, Option<Cell>>> {
        self.ask(|store| store.put_if(name, expected, put))
    }

    pub(crate) fn pause(&mut self, pattern: &str) -> Check<u64> {
        let value = Some(serde_json::json!({ "note": "for the test" }));
        let put = self.put(&pause_cell(pattern), 0, PutCell { value, ..PutCell::default() })?;
        put.map_err(|there| Broken(format!("a cell that is not there was found: {there:?}")))
    }

    pub(crate) fn resume(&mut self, pattern: &str, version: u64) -> Check {
        let put = self.put(&pause_cell(pattern), version, PutCell::default())?;
        ensure!(put.is_ok(), "a cell is removed by whoever knows its version");
        Ok(())
    }
}

/// The store of a connection, and what sends to it.
fn connect(
    fixture: &dyn Fixture,
    runtime: &Runtime,
    copies: Copies,
    wire: &Arc<Wire>,
    offset: i64,
) -> Check<(Arc<dyn Store>, Arc<dyn Store>)> {
    let connected = runtime.block_on(fixture.connect(offset));
    let inner = connected.map_err(|error| Broken(format!("connecting failed: {error}")))?;
    let store: Arc<dyn Store> = match copies {
        Copies::None => inner.clone(),
        _ => Arc::new(Wrapper(Twice::new(inner.clone(), copies, wire.clone()))),
    };
    Ok((inner, store))
}
