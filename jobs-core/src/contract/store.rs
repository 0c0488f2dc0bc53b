//! The trait that a backend implements.

use std::sync::Arc;

use crate::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Requeue,
    Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled, StoreResult, TickInfo,
    Wakeups, Want,
};

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
    ///
    /// A cursor that is ahead of the store's clock is reported in [`Attached::ahead`]. One that is more than an hour
    /// ahead is set back to now, and the cell `ahead/<schedule>` keeps where it stood: the clock was in the future when
    /// the cursor was written.
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached>;

    /// Ends a session and gives back all that it leased, uncharged. Answers whether there is more to give back: then
    /// the same call goes on with it, and the session leases nothing meanwhile.
    fn detach(&self, session: SessionId) -> StoreResult<'_, bool>;

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

    /// Ends each run whose filling is over and whose every item has ended; with `finish`, creates its finish item.
    /// Answers in the order of the runs.
    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>>;

    /// Cancels a run: nothing of it is leased from now on, its waiting items end as cancelled, and its running ones
    /// when they are settled. What waits may be more than one step ends: then the same call goes on with it, and so
    /// does [`reap`](Self::reap).
    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation>;

    /// Moves dead items of a job into a new run of it, where each is tried as if it had never been; `None` if none of
    /// them is dead. A finished run never opens again, and a run of dead items holds no tick of its job. Idempotent by
    /// `request`, as long as the run is kept.
    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>>;

    /// Removes dead items, and says how many of them were there. Idempotent by `request`, for a day.
    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64>;

    /// Takes the items of expired sessions back, ends items that no live build can decode, and goes on with what a
    /// cancel, a detach or an attach has begun: at most [`STEP_RECORDS`](crate::STEP_RECORDS) records in one step, and
    /// [`Reaped::more`] says whether there are more. Sets times right that a clock of the future has stored: the end of
    /// a session's lease, and the due times of items that wait.
    ///
    /// Does nothing for a caller that has not been connected for one lease of its own, or that has expired itself:
    /// an outage of the store by itself gives nobody's work to others.
    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped>;

    /// Removes what is past what its job keeps, and cells that have expired: at most `limit` records of each kind
    /// (cells, verdict records, runs, dead items), shared by the jobs that have too many. A run that is not over is
    /// never removed; a dead item stays for its time, whatever becomes of its run.
    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned>;

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
