//! Runs by hand.

use jobs_core::{End, Firing, RunFilter, Trigger};

use super::ticks::{due, stands};
use crate::{
    bench::{A, B, Bench, FAN, FAN_TOO},
    violation::Check,
};

pub(super) fn a_request_by_hand_makes_one_run(bench: &mut Bench<'_>) -> Check {
    due(bench)?;
    let fire = bench.by_hand(FAN);
    let (run, lease) = bench.fired_and_leased(A, fire.clone())?;
    let first = Firing::Fired { run, lease: Some(lease.clone()) };
    ensure_eq!(
        bench.fire(A, fire.clone())?,
        first,
        "a repeat by the same session gets the same run and lease"
    );
    let without = Firing::Fired { run, lease: None };
    ensure_eq!(bench.fire(B, fire.clone())?, without, "a repeat by another session gets the run");
    bench.settle(A, &lease, End::Done(None))?;
    bench.completed(run)?;
    ensure_eq!(bench.fire(A, fire)?, without, "a repeat after the end gets the run");
    ensure_eq!(bench.runs()?.len(), 1, "a request makes one run");
    Ok(())
}

pub(super) fn a_run_by_hand_leaves_the_schedule_alone(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let fire = bench.by_hand(FAN);
    let run = bench.stored(fire)?;
    let report = bench.run(run)?;
    ensure_eq!((report.tick, report.trigger), (None, Trigger::Manual), "a run by hand has no tick");
    ensure_eq!(stands(bench, FAN)?, state, "a run by hand moves no cursor");
    ensure_eq!(bench.ticks(FAN)?, [], "a run by hand is no verdict");
    Ok(())
}

pub(super) fn runs_are_listed_newest_first(bench: &mut Bench<'_>) -> Check {
    due(bench)?;
    let mut made = Vec::new();
    for job in [FAN, FAN_TOO, FAN] {
        let fire = bench.by_hand(job);
        made.insert(0, bench.stored(fire)?);
    }
    let mut listed = |filter: RunFilter| -> Check<Vec<_>> {
        let runs = bench.ask(|store| store.runs(filter))?;
        Ok(runs.into_iter().map(|run| run.id).collect())
    };
    ensure_eq!(listed(RunFilter::new())?, made, "runs are listed newest first");
    ensure_eq!(listed(RunFilter::new().limit(2))?, made[..2], "a limit leaves out the oldest");
    ensure_eq!(listed(RunFilter::new().job(FAN))?, [made[0], made[2]], "those of a job in the same order");
    Ok(())
}
