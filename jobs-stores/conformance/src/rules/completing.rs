//! The end of a run.

use jobs_core::{Complete, Completion, Counts, End, RunId, RunReport, RunState, Stage};

use super::settling::leased;
use crate::{
    bench::{A, Bench, FAN, MINUTE, all_numbers, failure, link},
    violation::{Broken, Check},
};

pub(super) fn a_run_is_completed_once(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    let unknown = bench.complete(RunId::new(7), false)?;
    ensure_eq!(unknown, Completion::Unknown, "a run that never was cannot be completed");
    bench.settle_part(A, &lease, 0, 1, End::Done(None))?;
    ensure_eq!(bench.complete(run, true)?, Completion::Open, "a run is open while an item has not ended");
    bench.settle_part(A, &lease, 1, 2, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
    ensure_eq!(
        bench.complete(run, true)?,
        Completion::Open,
        "a run is open while an item is to be tried again"
    );
    let lease = bench.lease_one(A)?;
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.finished_at, None, "a run ends by being completed");
    let report = bench.completed(run)?;
    let promised = Counts { total: 2, ok: 2, retries: 1, ..Counts::default() };
    ensure_eq!((report.state, report.counts), (RunState::Succeeded, promised), "counts equal the total");
    ensure!(report.finished_at.is_some(), "a run that is over says since when");
    let again = bench.complete(run, true)?;
    ensure_eq!(again, Completion::Already(Box::new(report.clone())), "a run is completed once");
    ensure_eq!(bench.run(run)?, report, "the report of a run that is over stays as it is");
    ensure_eq!(bench.lease(A, 9)?, [], "a run that was over makes no finish item");
    Ok(())
}

pub(super) fn a_run_ends_as_its_items_did(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    for (dead, promised) in [(0, RunState::Succeeded), (1, RunState::Partial), (2, RunState::Failed)] {
        let run = bench.filled(A, FAN, 2)?;
        ensure_eq!(bench.run(run)?.state, RunState::Working, "a run with items is working");
        let leases = bench.lease_of(A, FAN, 2)?;
        ensure_eq!(all_numbers(&leases), [0, 1], "what is ready is leased");
        bench.settle_part(A, &leases[0], 0, dead, End::Dead(failure("no", bench.now)))?;
        bench.settle_part(A, &leases[0], dead, 2, End::Done(None))?;
        ensure_eq!(bench.completed(run)?.state, promised, "a run of two with {dead} dead items");
    }
    Ok(())
}

pub(super) fn the_finish_item_comes_with_the_end(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    bench.settle(A, &lease, End::Done(None))?;
    let Completion::Completed(report) = bench.complete(run, true)? else {
        return Err(Broken("a run whose items have all ended is completed".to_owned()));
    };
    bench.complete(run, true)?;
    let leases = bench.lease(A, 9)?;
    let stages: Vec<_> = leases.iter().map(|lease| (lease.chunk.header.stage, lease.chunk.count())).collect();
    ensure_eq!(stages, [(Stage::Finish, 1)], "the finish item comes with the end, once");
    let payload: Option<RunReport> =
        leases[0].chunk.body.items().next().and_then(|p| serde_json::from_slice(p).ok());
    ensure_eq!(payload.as_ref(), Some(&*report), "the finish item's payload is the report of the run");
    let end = End::retry(bench.now, bench.now, failure("no", bench.now));
    bench.settle(A, &leases[0], end)?;
    let again = bench.lease_one(A)?;
    ensure_eq!(again.chunk.header.attempt, 1, "a finish item is tried again like any other");
    bench.settle(A, &again, End::Dead(failure("no", bench.now)))?;
    let after = bench.run(run)?;
    ensure_eq!(
        (after.state, after.counts),
        (report.state, report.counts),
        "a finish item is no item of the run"
    );
    ensure_eq!(bench.ask(|store| store.completable(9))?, [], "a run that is over stays over");
    Ok(())
}

pub(super) fn the_finish_item_of_a_cancelled_run_goes_on(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    bench.ask(|store| store.cancel(run))?;
    bench.settle(A, &lease, End::Cancelled)?;
    bench.complete(run, true)?;
    let finish = bench.lease_one(A)?;
    ensure_eq!(finish.chunk.header.stage, Stage::Finish, "the finish item of a cancelled run is leased");
    ensure_eq!(bench.beat(A)?.cancelled, [], "a finish item is not cancelled with its run");
    let later = bench.now + MINUTE;
    bench.settle(A, &finish, End::retry(later, bench.now, failure("no", bench.now)))?;
    bench.advance(2 * MINUTE)?;
    let again = bench.lease_one(A)?;
    ensure_eq!(again.chunk.header.attempt, 1, "it is tried again like any other");
    bench.settle(A, &again, End::Back)?;
    let back = bench.lease_one(A)?;
    bench.settle(A, &back, End::Done(None))?;
    ensure_eq!(bench.lease(A, 9)?, [], "it ends once");
    Ok(())
}

pub(super) fn a_run_that_may_be_over_is_told(bench: &mut Bench<'_>) -> Check {
    let (first, lease) = leased(bench, 2)?;
    let settled = bench.settle_part(A, &lease, 0, 1, End::Done(None))?;
    ensure_eq!(settled.ended, [], "a run with items that have not ended is not over");
    let settled = bench.settle_part(A, &lease, 1, 2, End::Done(None))?;
    ensure_eq!(settled.ended, [first], "the settle that ends the last item tells of the run");
    let second = bench.filled(A, FAN, 1)?;
    let lease = bench.lease_one(A)?;
    bench.settle(A, &lease, End::Done(None))?;
    let mut completable = bench.ask(|store| store.completable(9))?;
    completable.sort();
    ensure_eq!(completable, [first, second], "runs that nobody completed are found");
    ensure_eq!(bench.ask(|store| store.completable(1))?.len(), 1, "no more are listed than were asked for");
    bench.completed(first)?;
    ensure_eq!(bench.ask(|store| store.completable(9))?, [second], "a run that is over is not found");
    Ok(())
}

pub(super) fn runs_are_completed_in_one_call_each_by_its_own_guard(bench: &mut Bench<'_>) -> Check {
    let (open, held) = leased(bench, 1)?;
    let done = bench.filled(A, FAN, 1)?;
    let lease = bench.lease_one(A)?;
    bench.settle(A, &lease, End::Done(None))?;
    let empty = bench.filled(A, FAN, 0)?;
    let ask = |bench: &mut Bench<'_>, runs: &[(RunId, bool)]| -> Check<Vec<(RunId, &'static str)>> {
        let asked = runs.iter().map(|(run, finish)| Complete { run: *run, finish: *finish }).collect();
        let answers = bench.ask(|store| store.complete(asked))?;
        ensure_eq!(answers.len(), runs.len(), "each run has its answer");
        let asked = runs.iter().map(|(run, _)| *run);
        let told = asked.zip(answers).map(|(run, answer)| match answer {
            Completion::Completed(report) => (report.id, "completed"),
            Completion::Already(report) => (report.id, "already"),
            Completion::Open => (run, "open"),
            Completion::Unknown => (run, "unknown"),
        });
        Ok(told.collect())
    };
    let unknown = RunId::new(7);
    let told = ask(bench, &[(open, true), (done, true), (unknown, true), (empty, false), (done, true)])?;
    let promised =
        [(open, "open"), (done, "completed"), (unknown, "unknown"), (empty, "completed"), (done, "already")];
    ensure_eq!(
        told,
        promised,
        "each run is completed by itself, and the answers are in the order of the runs"
    );
    let finish = bench.lease(A, 9)?;
    let of: Vec<_> =
        finish.iter().map(|lease| (lease.chunk.header.stage, lease.chunk.header.run())).collect();
    ensure_eq!(of, [(Stage::Finish, Some(done))], "the finish item comes to the run that has one, once");
    // All of these are completed, so that a repeat is answered alike.
    bench.settle(A, &held, End::Done(None))?;
    let mut runs = vec![(open, false)];
    for _ in 0..3 {
        runs.push((bench.filled(A, FAN, 0)?, false));
    }
    let told = ask(bench, &runs)?;
    let promised: Vec<_> = runs.iter().map(|(run, _)| (*run, "completed")).collect();
    ensure_eq!(told, promised, "many runs are completed in one call");
    ensure_eq!(bench.ask(|store| store.completable(9))?, [], "none of them is left open");
    Ok(())
}
