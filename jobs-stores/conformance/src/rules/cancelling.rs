//! Cancelling a run.

use jobs_core::{Appended, Cancellation, Counts, End, RunId, RunState};

use super::settling::leased;
use crate::{
    bench::{A, Bench, FAN, MINUTE, failure, link},
    violation::Check,
};

fn cancel(bench: &mut Bench<'_>, run: RunId) -> Check<Cancellation> {
    bench.ask(|store| store.cancel(run))
}

const CANCELLED: Cancellation = Cancellation::Cancelled { more: false };

pub(super) fn what_waits_of_a_cancelled_run_ends(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 4)?;
    let other = bench.filled(A, FAN, 1)?;
    bench.settle_part(A, &lease, 0, 1, End::Done(None))?;
    bench.settle_part(A, &lease, 1, 2, End::Back)?;
    let at = bench.now + 5 * MINUTE;
    bench.settle_part(A, &lease, 2, 3, End::retry(at, bench.now, failure("no", bench.now)))?;
    bench.settle_part(A, &lease, 3, 4, End::snooze(bench.now + MINUTE, bench.now))?;
    ensure_eq!(cancel(bench, run)?, CANCELLED, "a run that is not over is cancelled");
    let runs: Vec<_> = bench.lease(A, 9)?.iter().filter_map(|lease| lease.chunk.header.run()).collect();
    ensure_eq!(runs, [other], "nothing of a cancelled run is leased, and of another run it is");
    let report = bench.completed(run)?;
    let promised = Counts { total: 4, ok: 1, cancelled: 3, ..Counts::default() };
    ensure_eq!((report.state, report.counts), (RunState::Cancelled, promised), "what waited is cancelled");
    bench.advance(6 * MINUTE)?;
    ensure_eq!(bench.lease(A, 9)?, [], "what waited for its time is cancelled too");

    // And a run that has not begun.
    let fire = bench.by_hand(FAN);
    let queued = bench.stored(fire)?;
    ensure_eq!(cancel(bench, queued)?, CANCELLED, "a run that has not begun is cancelled");
    ensure_eq!(bench.lease(A, 9)?, [], "its query is not run");
    ensure_eq!(bench.completed(queued)?.state, RunState::Cancelled, "it is over");
    Ok(())
}

pub(super) fn what_a_cancelled_run_holds_ends_when_settled(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 5)?;
    ensure_eq!(cancel(bench, run)?, CANCELLED, "a run that is not over is cancelled");
    let ends = [
        End::Done(None),
        End::retry(bench.now, bench.now, failure("no", bench.now)),
        End::snooze(bench.now, bench.now),
        End::Back,
        End::Cancelled,
    ];
    for (from, end) in (0..).zip(ends) {
        bench.settle_part(A, &lease, from, from + 1, end)?;
        ensure_eq!(bench.lease(A, 9)?, [], "nothing of a cancelled run is tried again");
    }
    let report = bench.completed(run)?;
    let ended = (report.counts.ok, report.counts.cancelled, report.counts.ended());
    ensure_eq!(ended, (1, 4, 5), "what was done is done, and the rest is cancelled");
    ensure_eq!(report.state, RunState::Cancelled, "the run is cancelled");
    Ok(())
}

pub(super) fn a_beat_tells_cancelled_runs(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 1)?;
    ensure_eq!(bench.beat(A)?.cancelled, [], "no run is cancelled");
    cancel(bench, run)?;
    ensure_eq!(
        bench.beat(A)?.cancelled,
        [run],
        "a beat tells the cancelled runs of which the session holds items"
    );
    bench.settle(A, &lease, End::Cancelled)?;
    ensure_eq!(bench.beat(A)?.cancelled, [], "of which it holds items");
    Ok(())
}

pub(super) fn a_cancelled_query_appends_nothing(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    let fire = bench.by_hand(FAN);
    let (run, fill) = bench.fired_and_leased(A, fire)?;
    bench.append(fill.token, 0, 0..3, None, false)?;
    cancel(bench, run)?;
    let late = bench.append(fill.token, 1, 3..6, None, true)?;
    ensure_eq!(late, Appended::Lost, "the query of a cancelled run appends nothing");
    bench.settle(A, &fill, End::Cancelled)?;
    ensure_eq!(bench.lease(A, 9)?, [], "what it had staged is dropped");
    let report = bench.completed(run)?;
    ensure_eq!((report.state, report.counts.total), (RunState::Cancelled, 0), "the run is over");
    Ok(())
}

pub(super) fn a_run_that_is_over_cannot_be_cancelled(bench: &mut Bench<'_>) -> Check {
    ensure_eq!(cancel(bench, RunId::new(7))?, Cancellation::Unknown, "there is no such run");
    let (run, lease) = leased(bench, 1)?;
    bench.settle(A, &lease, End::Done(None))?;
    bench.completed(run)?;
    ensure_eq!(cancel(bench, run)?, Cancellation::Over, "a run that is over cannot be cancelled");
    ensure_eq!(bench.run(run)?.state, RunState::Succeeded, "it stays as it was");
    Ok(())
}
