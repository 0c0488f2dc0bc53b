//! Ends of runs, dead items, cells, upkeep and reads.

use std::time::Duration;

use fastrand::Rng;
use jobs_conformance::call::Call;
use jobs_core::{Complete, DeadFilter, ItemId, PutCell, Requeue, RunFilter, RunId, pause_cell};

use super::{one, session};
use crate::{
    view::View,
    world::{FAN, JOBS},
};

/// A run, mostly a young one; rarely one that never was.
fn run(rng: &mut Rng, view: &View) -> Option<RunId> {
    if rng.u8(..40) == 0 {
        return Some(RunId::new(7));
    }
    let young = view.runs.len().saturating_sub(8);
    if rng.bool() { one(rng, &view.runs[young..]).copied() } else { one(rng, &view.runs).copied() }
}

pub(super) fn complete(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let mut runs = (0..rng.usize(1..6)).filter_map(|_| run(rng, view)).collect::<Vec<_>>();
    // Which of those that end in one call is pruned first is open, unless they end in their order.
    runs.sort_unstable();
    let runs = runs.into_iter().map(|run| Complete { run, finish: rng.u8(..3) == 0 });
    let runs: Vec<_> = runs.collect();
    (!runs.is_empty()).then_some(Call::Complete(runs))
}

pub(super) fn cancel(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    run(rng, view).map(Call::Cancel)
}

fn dead(rng: &mut Rng, view: &View) -> Vec<(String, ItemId)> {
    view.dead.iter().filter(|_| rng.bool()).take(4).cloned().collect()
}

pub(super) fn requeue(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let items = dead(rng, view);
    let (job, _) = items.first()?.clone();
    let items = items.into_iter().map(|(_, item)| item).collect();
    let note = rng.bool().then(|| "mended".to_owned());
    Some(Call::Requeue(Requeue { request: view.request(), job: job.into(), items, note }))
}

pub(super) fn discard(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let items: Vec<_> = dead(rng, view).into_iter().map(|(_, item)| item).collect();
    (!items.is_empty()).then(|| Call::Discard(view.request(), items))
}

pub(super) fn reap(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    session(rng, view).map(Call::Reap)
}

pub(super) fn prune(_: &mut Rng, _: &mut View, _: i64) -> Option<Call> {
    Some(Call::Prune(1_000))
}

pub(super) fn cell(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let name = match rng.u8(..8) {
        0 => pause_cell(FAN),
        1 => pause_cell("g.*"),
        2 => pause_cell("*"),
        3 => "cell/own".to_owned(),
        _ => "cell/shared".to_owned(),
    };
    let known = view.cells.get(&name).copied().unwrap_or_default();
    let expected = match rng.u8(..6) {
        0 => 0,
        1 => 7,
        _ => known,
    };
    // A pause does not stay for long: else nothing would happen.
    let pauses = name.starts_with(jobs_core::PAUSES);
    let remove = rng.u8(..4) == 0 || (pauses && known > 0);
    let value = if pauses { serde_json::json!({ "note": "a pause" }) } else { rng.u32(..100).into() };
    let put = PutCell {
        value: (!remove).then_some(value),
        expires_in: (pauses || rng.u8(..3) == 0).then(|| Duration::from_secs(65)),
        owner: if name == "cell/own" { session(rng, view) } else { None },
    };
    Some(Call::PutIf(name, expected, put))
}

pub(super) fn read(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let job = one(rng, &JOBS).copied().unwrap_or(FAN);
    Some(match rng.u8(..11) {
        0 => Call::Completable(1_000),
        1 => Call::Get("cell/shared".to_owned()),
        2 => Call::List("cell/".to_owned()),
        3 => Call::Jobs,
        4 => Call::Run(run(rng, view)?),
        5 => Call::Runs(RunFilter::new().limit(rng.usize(1..9))),
        6 => Call::Items(run(rng, view)?, rng.usize(1..40)),
        7 => Call::Sessions,
        8 => Call::Ticks(job.to_owned(), rng.usize(1..9)),
        9 => Call::Runs(RunFilter::new().job(job)),
        _ => Call::Dead(DeadFilter::new()),
    })
}
