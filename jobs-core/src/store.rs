//! What a store promises.
//!
//! Every operation is one atomic step: it happens whole or not at all, and a repeat with the same idempotence
//! key changes nothing and answers as the first did. Every time is the store's own clock (plus an offset given
//! at connect, so that a test can move it), and every reply carries it. What is in flight is recorded in leases
//! alone, so nothing can disagree with them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Body, BoxError, BoxFuture, Chunk, DeadFilter, DeadItem, Failure, ItemId, ItemInfo, Link, Millis,
    RunFilter, RunId, RunReport, SessionId, TickInfo, Token, Trigger, Verdict, Wakeups,
};

/// A reply of a store: what was asked for, and the store's time when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The store's clock in the step.
    pub now: Millis,
    /// What was asked for.
    pub value: T,
}

/// What every operation of a store returns.
pub type StoreResult<'a, T> = BoxFuture<'a, Result<Reply<T>, StoreError>>;

/// A place where schedules, runs and items are kept.
///
/// Runners and clients meet only in a store, so it is all that a backend has to provide. `jobs-conformance` is
/// the suite that says whether one keeps the promises made here.
pub trait Store: Send + Sync + 'static {
    /// Opens a session: its node record and what it links. Idempotent by session.
    ///
    /// A schedule never seen starts at the store's now; one whose fingerprint was never seen becomes current
    /// and moves the cursor to max(cursor, now); a superseded fingerprint becomes current again only when no
    /// live session declares the current one; a store remembers at least the last hundred. Sessions in `gone` are
    /// reaped at once. A link with `was` takes over at once what belonged to that job, also from nodes that still
    /// link it: left to them, a tick would fire under both names. So as long as a live session links a job with
    /// `was`, the old name has no schedule, also for who attaches with it anew; once nobody links the new name,
    /// whoever links the old one takes everything back. A repeat by a live session that links the same changes
    /// nothing (but that it may find a rollback), is answered with the same `past`, and does not begin its first
    /// lease anew.
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached>;

    /// Ends a session and gives back all that it leased, uncharged.
    fn detach(&self, session: SessionId) -> StoreResult<'_, ()>;

    /// Renews a session, whatever the number of its leases. One that has expired and that nobody reaped is
    /// renewed, not lost; it was cut off, so it counts as `reconnected` even if it does not say so.
    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse>;

    /// Fires ticks and manual runs: compare-and-set on the cursor, the verdicts of the ticks passed over, the
    /// run and its first item, each in one step. With `want`, the first leases come with the answer.
    ///
    /// Idempotent by (schedule, tick) and by the caller's `request`: a repeat by the same session gets the same
    /// run, and the same lease while it is held; a tick is repeated until the next one of its schedule is fired, a
    /// request as long as its run is kept. The first item is leased with the answer only if nothing of its job is
    /// to be leased before it. What was refused leaves no trace: a repeat of it is decided anew.
    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>>;

    /// Moves cursors over ticks that do not fire, with their verdicts. Idempotent by cursor.
    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>>;

    /// Stores what a query found, fenced by the fill item's lease. Idempotent by `seq`, the last one too: its
    /// repeat is answered `Stored` as long as the run is kept, though the lease is settled.
    fn append(&self, append: Append) -> StoreResult<'_, Appended>;

    /// Settles items, then leases more. Idempotent by (session, lane, n). A session that has expired leases nothing
    /// before a beat renews it: what it held would not be counted.
    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled>;

    /// Ends a run if filling is over and every item has ended; with `finish`, creates the finish item.
    fn complete(&self, run: RunId, finish: bool) -> StoreResult<'_, Completion>;

    /// Cancels a run: its waiting items at once, its running ones when they are settled. `false` if it is over, or
    /// all of its items have ended; `None` if there is none.
    fn cancel(&self, run: RunId) -> StoreResult<'_, Option<bool>>;

    /// Moves dead items of a job into a new run of it, where each is tried as if it had never been; `None` if none of
    /// them is dead. A finished run never opens again, and a run of dead items holds no tick of its job. Idempotent by
    /// `request`, as long as the run is kept.
    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>>;

    /// Removes dead items, and says how many of them were there. Idempotent by `request`, for a day.
    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64>;

    /// Takes the items of expired sessions back, and ends items that no live build can decode.
    ///
    /// Does nothing for a caller that has not been connected for one lease of its own, or that has expired itself:
    /// an outage of the store by itself gives nobody's work to others.
    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped>;

    /// Removes at most `limit` records that are past what their job keeps, and cells that have expired. A run that
    /// is not over is never removed; a dead item stays for its time, whatever becomes of its run.
    fn prune(&self, limit: usize) -> StoreResult<'_, usize>;

    /// Runs whose items have all ended and that nobody completed, at most `limit`.
    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>>;

    /// One cell.
    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>>;

    /// The cells whose names begin with `prefix`, in the order of their names.
    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>>;

    /// Writes a cell if its version is still `expected` (0: there is none). Answers with the new version (0 if it
    /// was removed), or with what is there instead. Nothing is written for an owner that is no session any more:
    /// that is answered like a version that does not fit.
    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>>;

    /// Every job that is linked by a live session, or that has a schedule or items.
    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>>;

    /// One job.
    fn job(&self, job: &str) -> StoreResult<'_, Option<JobRecord>> {
        let job = job.to_owned();
        Box::pin(async move {
            let reply = self.jobs().await?;
            Ok(reply.map(|jobs| jobs.into_iter().find(|record| *record.link.job == *job)))
        })
    }

    /// One run.
    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>>;

    /// Runs, newest first.
    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>>;

    /// Items of a run that have not ended, at most `limit`: those in flight, then those that are ready, then those that
    /// wait for their time; alike ones in the order of the run. What is staged is not among them.
    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>>;

    /// Every session, in the order of their nodes' names; one that has expired too, until it is reaped.
    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>>;

    /// The verdicts of a schedule, newest first.
    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>>;

    /// Dead items, in the order of their deaths, newest first.
    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>>;

    /// What wakes up a waiting runner or client. A hint: correctness never depends on it.
    fn wakeups(&self) -> Wakeups;

    /// The same store in another namespace, of which nothing is shared with this one; `None` if the store has only
    /// one.
    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        let _ = name;
        None
    }
}

/// A session that opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The session.
    pub session: SessionId,
    /// How long it lives without a beat.
    pub lease: Duration,
    /// The process.
    pub node: Node,
    /// What it links.
    pub links: Vec<Link>,
    /// Sessions of the same host whose process is gone for certain.
    pub gone: Vec<SessionId>,
}

/// The process of a session, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// The process id, and what tells it from another process with the same id later: boot, pid namespace and
    /// start time.
    pub process: Process,
    /// Version and a hash of what it links and its item types: who fails to decode a payload, fails always.
    pub build: Arc<str>,
}

/// A process, for ever: ids are used again, these together are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The kernel's boot id.
    pub boot: String,
    /// The pid namespace.
    pub namespace: String,
    /// The process id in it.
    pub pid: u32,
    /// When the process began, in the kernel's ticks since boot.
    pub started: u64,
}

/// What a session finds when it opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The schedules that it links, by id.
    pub schedules: BTreeMap<Arc<str>, ScheduleState>,
    /// Instants that were already past when they were first seen: they are recorded as missed.
    pub past: Vec<(Arc<str>, Millis)>,
    /// What was taken back from the sessions that are gone.
    pub reaped: Reaped,
    /// The other sessions that live, or hold something.
    pub others: Vec<SessionRecord>,
}

/// What a store knows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub session: SessionId,
    /// The process.
    pub node: Node,
    /// How many items it holds.
    pub holds: u64,
    /// When it expires, if no beat renews it.
    pub until: Millis,
}

/// Where a schedule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// All ticks up to here have a verdict. It only grows.
    pub cursor: Millis,
    /// A tick that was noticed on time and waits for the last run (`overlap = "queue"`).
    pub waiting: Option<Millis>,
    /// The declaration in force.
    pub fingerprint: Arc<str>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The session.
    pub session: SessionId,
    /// All leases it knows of, now and then: what the store has beyond them is an orphan and goes back uncharged,
    /// once it is older than the session's lease: the answer that carried a younger one may be on its way.
    pub held: Option<Vec<Token>>,
    /// The store's time, as the sender knew it when it wrote this: a beat that was long on its way says nothing of what
    /// was leased since.
    pub as_of: Millis,
    /// Whether the store could not be reached for a while: the session reaps nobody for one lease from now.
    pub reconnected: bool,
}

/// What a beat answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Whether the session exists. If not it was reaped, and all its leases are lost.
    pub alive: bool,
    /// Leases that the session named and does not have.
    pub lost: Vec<Token>,
    /// Cancelled runs of which it holds items.
    pub cancelled: Vec<RunId>,
    /// The patterns that are paused, with their notes.
    pub paused: Vec<(String, String)>,
}

/// A run to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// The job's id.
    pub job: Arc<str>,
    /// What makes it due.
    pub cause: Cause,
    /// What to do while a run of the job is busy.
    pub if_busy: IfBusy,
    /// The priority of its items.
    pub priority: i16,
    /// Whether there is a query: the first item is then the fill item.
    pub query: bool,
    /// Whether one attempt at a time runs over the cluster: a job without a query, unless `overlap = "allow"`.
    pub exclusive: bool,
    /// The name of the item's type, for a job without a query.
    pub item_type: Arc<str>,
}

/// What makes a run due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A scheduled instant.
    Tick {
        /// The schedule's id: the job's, for the declared one.
        schedule: Arc<str>,
        /// The declaration that the caller goes by.
        fingerprint: Arc<str>,
        /// The cursor that the caller decided from.
        cursor: Millis,
        /// The instant.
        tick: Millis,
        /// When it may fire: the instant plus its jitter.
        at: Millis,
        /// Fired or late.
        verdict: Verdict,
        /// By schedule or by catch-up.
        trigger: Trigger,
        /// What became of the ticks between the cursor and this one.
        passed: Vec<TickInfo>,
    },
    /// Somebody asks.
    Manual {
        /// The caller's id for it.
        request: u64,
        /// Why.
        note: Option<String>,
    },
}

/// What to do with a tick while a run of its job is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfBusy {
    /// Record it as skipped.
    Skip,
    /// Leave it due, as one that was noticed on time (`overlap = "queue"`).
    Queue,
    /// Leave it due.
    Wait,
    /// Fire all the same.
    Fire,
}

/// What became of a fire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all answers are of the large kind, and none is kept")]
pub enum Firing {
    /// The run exists, and its first item is leased to the caller if it wanted it.
    Fired {
        /// The run.
        run: RunId,
        /// The lease of its first item.
        lease: Option<Lease>,
    },
    /// The cursor is not where the caller thought.
    Already(ScheduleState),
    /// A run of the job is busy. With [`IfBusy::Skip`] the tick was recorded as skipped; with the others it is
    /// still due, and the ticks before it have their verdicts.
    Busy {
        /// The busy run.
        run: RunId,
    },
    /// The job is paused: nothing was done.
    Paused {
        /// Why.
        note: String,
    },
    /// The tick, or when it may fire, is later than the store's now: nothing was done.
    NotYet {
        /// How long until then.
        wait: Duration,
    },
    /// Another declaration of the schedule is in force: nothing was done.
    Stale,
}

/// Ticks to pass over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The schedule's id.
    pub schedule: Arc<str>,
    /// The declaration that the caller goes by.
    pub fingerprint: Arc<str>,
    /// The cursor that the caller decided from.
    pub cursor: Millis,
    /// What became of them, oldest first.
    pub passed: Vec<TickInfo>,
}

/// What became of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The cursor stands at the last of them.
    Passed,
    /// The cursor is not where the caller thought.
    Already(ScheduleState),
    /// The last of them is later than the store's now: nothing was done.
    NotYet,
    /// Another declaration of the schedule is in force: nothing was done.
    Stale,
}

/// What a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The fill item's lease.
    pub token: Token,
    /// The number of this append under the lease, from 0.
    pub seq: u64,
    /// The name of the items' type.
    pub item_type: Arc<str>,
    /// The items.
    pub bodies: Vec<Body>,
    /// For a query that is called page by page: where the next page begins. The items are published at once,
    /// the cursor is stored with them, and the fill item's attempts and crashes start anew: a query that gets on does
    /// not kill its nodes.
    pub page: Option<Option<Vec<u8>>>,
    /// Whether this is all: publishes what was staged, and settles the fill item.
    pub last: bool,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored {
        /// How many items of the job are ready.
        ready: u64,
        /// How many items the run has so far.
        total: u64,
    },
    /// The lease is lost, or the run was cancelled: nothing was done.
    Lost,
    /// Another append is the next one: nothing was done.
    OutOfOrder {
        /// Its number.
        expected: u64,
    },
}

/// What to settle, and what is wanted next.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// The session.
    pub session: SessionId,
    /// One numbered series of the session's calls, with one outstanding.
    pub lane: u32,
    /// The number of the call. It acknowledges all before it; a repeat gets the same leases.
    pub n: u64,
    /// How items ended.
    pub settlements: Vec<Settlement>,
    /// What else to do, each in the step and under the guard of the settlement at that index: not if its lease is
    /// lost, nor if nothing of it was still to be settled.
    pub effects: Vec<(usize, Effect)>,
    /// What to lease.
    pub want: Want,
}

/// How neighbouring items of a lease ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// The lease.
    pub token: Token,
    /// The first of them, counted from 0 in the lease.
    pub from: u32,
    /// The one after the last of them.
    pub to: u32,
    /// How they ended.
    pub end: End,
}

/// How an item ended, or an attempt of it.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Done, with the value to keep for a tracked item.
    Done(Option<Value>),
    /// The attempt failed; the next one comes at `at`.
    Retry {
        /// When.
        at: Millis,
        /// Why.
        failure: Box<Failure>,
    },
    /// It comes back at `at`, uncharged.
    Snooze {
        /// When.
        at: Millis,
    },
    /// The attempt failed, and there is no next one.
    Dead(Box<Failure>),
    /// The handler wants no more of it.
    Discarded(String),
    /// Its run was cancelled.
    Cancelled,
    /// It had expired before it was started.
    Expired,
    /// This build cannot decode its payload.
    Undecodable(String),
    /// It was not worked on, or its attempt was broken off: ready at once, uncharged.
    Back,
}

/// What a hot operation does besides, in its step and under its guard.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Writes a cell, whatever its version.
    PutCell {
        /// Its name.
        name: String,
        /// What to write.
        put: PutCell,
    },
}

/// What a session has room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Free slots of the process. Fill and finish items take one each.
    pub slots: u32,
    /// The jobs whose room differs from what they link: those of which items are held here.
    pub jobs: Vec<JobWant>,
}

/// The room for items of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWant {
    /// The job's id.
    pub job: Arc<str>,
    /// Its free slots.
    pub slots: u32,
    /// How many items a slot works off while the next call is under way: `slots` × this are leased, in as many
    /// leases as it takes. A job that is limited over the cluster or exclusive gets 1. With 0 nothing of the job is
    /// wanted, its query included.
    pub per_slot: u32,
}

/// Items that are in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing number.
    pub token: Token,
    /// The items.
    pub chunk: Chunk,
    /// For the fill item of a query that is called page by page: where to begin.
    pub cursor: Option<Vec<u8>>,
}

/// What a settle answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The leases granted by this call.
    pub leases: Vec<Lease>,
    /// Leases that were settled and are lost: nothing was changed for them. One of which every item was settled
    /// before is among them or not.
    pub lost: Vec<Token>,
    /// Runs that may be over.
    pub ended: Vec<RunId>,
    /// When the next item that waits for its time is due, of the jobs that the session links.
    pub next_due: Option<Millis>,
}

/// Dead items to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// The caller's id for it, of the same kind as that of a manual run.
    pub request: u64,
    /// The job. Items of other jobs are left as they are.
    pub job: Arc<str>,
    /// The items. Those that are not dead are passed over.
    pub items: Vec<ItemId>,
    /// Why.
    pub note: Option<String>,
}

/// A run of items that were dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// The run.
    pub run: RunId,
    /// How many items it has.
    pub items: u64,
}

/// What became of a complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// This call ended the run.
    Completed(Box<RunReport>),
    /// It was over before.
    Already(Box<RunReport>),
    /// Something of it is still to be done.
    Open,
    /// There is no such run.
    Unknown,
}

/// What a reap did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// The nodes whose sessions were reaped.
    pub nodes: Vec<String>,
    /// Items that are ready again.
    pub items: u64,
    /// Items that are dead: poison, or undecodable.
    pub dead: Vec<(Arc<str>, Option<RunId>, ItemId, Failure)>,
    /// Runs that may be over.
    pub ended: Vec<RunId>,
}

/// A versioned named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// A number of the namespace's source: it grows with each write, and is not used again after the cell was
    /// removed or has expired, so that whoever lost a lock cannot renew it.
    pub version: u64,
    /// What it holds.
    pub value: Value,
    /// Gone after this instant.
    pub expires_at: Option<Millis>,
    /// Gone with this session.
    pub owner: Option<SessionId>,
}

/// What to write into a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutCell {
    /// The value; `None` removes the cell.
    pub value: Option<Value>,
    /// How long it stays.
    pub expires_in: Option<Duration>,
    /// The session that it goes with.
    pub owner: Option<SessionId>,
}

/// What a store knows of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// How it was linked last.
    pub link: Link,
    /// Where its schedule stands, if it has one.
    pub schedule: Option<ScheduleState>,
    /// Whether a live session links it.
    pub live: bool,
    /// Items that wait for a slot.
    pub ready: u64,
    /// Items that wait for their time.
    pub delayed: u64,
    /// Items that are leased.
    pub in_flight: u64,
    /// Items that are dead.
    pub dead: u64,
}

impl JobRecord {
    /// Items that have not ended, of all kinds.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.ready + self.delayed + self.in_flight
    }
}

/// Why a store could not do what it was asked.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store.
    #[error("`{url}` is not the URL of a store: {message}")]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// What is wrong, and the remedy.
        message: String,
    },
    /// The store is not compiled in.
    #[error(
        "this program is built without the store `{feature}`; add `features = [\"{feature}\"]` to `jobs-runner`"
    )]
    MissingFeature {
        /// The feature that brings it.
        feature: &'static str,
    },
    /// Nothing answers.
    #[error("the store cannot be reached: {message}; it is tried again")]
    Unreachable {
        /// What was tried, and what came of it.
        message: String,
    },
    /// The store was written by a newer version.
    #[error("the store has schema {found}, and this version knows {supported}; upgrade this program")]
    NewerSchema {
        /// The schema found.
        found: u32,
        /// The newest one known.
        supported: u32,
    },
    /// What is there belongs to something else.
    #[error("what is at {location} is not a store of jobs: {message}; choose another place")]
    Foreign {
        /// Where.
        location: String,
        /// What was found instead.
        message: String,
    },
    /// It cannot be written.
    #[error("the store at {location} cannot be written: {message}; a runner needs to write")]
    ReadOnly {
        /// Where.
        location: String,
        /// What came of trying.
        message: String,
    },
    /// There is no room.
    #[error("the store is full: {message}; make room, and it goes on")]
    Full {
        /// What came of trying.
        message: String,
    },
    /// Anything else.
    #[error("the store failed: {0}")]
    Backend(#[source] BoxError),
}

/// A copy keeps what a backend's error says, and not the error.
impl Clone for StoreError {
    fn clone(&self) -> Self {
        match self {
            Self::BadUrl { url, message } => Self::BadUrl { url: url.clone(), message: message.clone() },
            Self::MissingFeature { feature } => Self::MissingFeature { feature },
            Self::Unreachable { message } => Self::Unreachable { message: message.clone() },
            Self::NewerSchema { found, supported } => {
                Self::NewerSchema { found: *found, supported: *supported }
            }
            Self::Foreign { location, message } => {
                Self::Foreign { location: location.clone(), message: message.clone() }
            }
            Self::ReadOnly { location, message } => {
                Self::ReadOnly { location: location.clone(), message: message.clone() }
            }
            Self::Full { message } => Self::Full { message: message.clone() },
            Self::Backend(error) => Self::Backend(error.to_string().into()),
        }
    }
}

/// Errors are the same that say the same.
impl PartialEq for StoreError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.to_string() == other.to_string()
    }
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Since when a reply is out of date.
impl<T> Reply<T> {
    /// The same reply with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { now: self.now, value: f(self.value) }
    }

    /// The store's time as a timestamp.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.now.timestamp()
    }
}
