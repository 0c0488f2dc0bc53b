//! Cells: versions, expiry, owners, names.

use std::time::Duration;

use jobs_core::{Effect, End, Marks, PutCell, SessionId, Settle, Settlement, Want};

use super::{sessions::silence, settling::leased};
use crate::{
    bench::{A, B, Bench, C, FAN, MINUTE, link},
    violation::{Broken, Check},
};

fn value(value: &str) -> PutCell {
    PutCell { value: Some(value.into()), ..PutCell::default() }
}

/// Writes a cell, which nothing is in the way of.
fn put(bench: &mut Bench<'_>, name: &str, expected: u64, cell: PutCell) -> Check<u64> {
    let there = |there| Broken(format!("a write of `{name}` over version {expected} was refused: {there:?}"));
    bench.put(name, expected, cell)?.map_err(there)
}

pub(super) fn a_cell_is_written_by_whoever_knows_its_version(bench: &mut Bench<'_>) -> Check {
    ensure_eq!(bench.cell("a")?, None, "a cell that was never written is not there");
    let first = put(bench, "a", 0, value("first"))?;
    let there = bench.cell("a")?.map(|cell| (cell.version, cell.value));
    ensure_eq!(
        there,
        Some((first, "first".into())),
        "a cell holds what was written, under the version answered"
    );
    for wrong in [0, first + 1, first - 1] {
        let refused = bench.put("a", wrong, value("no"))?.map_err(|there| there.map(|cell| cell.version));
        ensure_eq!(refused, Err(Some(first)), "whoever knows another version is told what is there");
    }
    let second = put(bench, "a", first, value("second"))?;
    ensure!(second > first, "versions grow: {second} came after {first}");
    let gone = bench.put("b", 5, value("no"))?;
    ensure_eq!(gone, Err(None), "a cell that is not there has no version 5");
    put(bench, "a", second, PutCell::default())?;
    ensure_eq!(bench.cell("a")?, None, "a cell is removed by whoever knows its version");
    Ok(())
}

pub(super) fn a_version_is_never_used_again(bench: &mut Bench<'_>) -> Check {
    let first = put(bench, "lock", 0, value("mine"))?;
    put(bench, "lock", first, PutCell::default())?;
    let held = PutCell { expires_in: Some(Duration::from_secs(30)), ..value("mine") };
    let second = put(bench, "lock", 0, held)?;
    ensure!(second > first, "a version is not used again after the cell was removed");
    bench.advance(MINUTE)?;
    let third = put(bench, "lock", 0, value("theirs"))?;
    ensure!(third > second, "a version is not used again after the cell has expired");
    for old in [first, second] {
        ensure!(bench.put("lock", old, value("mine"))?.is_err(), "whoever lost a lock cannot renew it");
    }
    Ok(())
}

pub(super) fn a_cell_expires(bench: &mut Bench<'_>) -> Check {
    let cell = PutCell { expires_in: Some(5 * MINUTE), ..value("for a while") };
    let version = put(bench, "cell/expires", 0, cell)?;
    bench.advance(4 * MINUTE)?;
    ensure_eq!(
        bench.cell("cell/expires")?.map(|cell| cell.version),
        Some(version),
        "a cell is there before it expires"
    );
    bench.advance(MINUTE)?;
    ensure_eq!(bench.cell("cell/expires")?, None, "a cell is gone when it has expired");
    ensure_eq!(bench.ask(|store| store.list("cell/"))?, [], "a cell that has expired is not listed");
    put(bench, "cell/expires", 0, value("again"))?;
    bench.advance(MINUTE)?;
    ensure!(bench.cell("cell/expires")?.is_some(), "a cell without expiry stays");
    Ok(())
}

pub(super) fn a_cell_goes_with_its_session(bench: &mut Bench<'_>) -> Check {
    let of = |session: SessionId| PutCell { owner: Some(session), ..value("leader") };
    for session in [A, B, C] {
        bench.attach(session, &[link(FAN)])?;
    }
    put(bench, "own/a", 0, of(A))?;
    put(bench, "own/b", 0, of(B))?;
    put(bench, "own/c", 0, of(C))?;
    bench.detach(A)?;
    let names = |bench: &mut Bench<'_>| -> Check<Vec<String>> {
        Ok(bench.ask(|store| store.list("own/"))?.into_iter().map(|(name, _)| name).collect())
    };
    ensure_eq!(names(bench)?, ["own/b", "own/c"], "a cell goes with a session that leaves, and only its own");
    silence(bench, &[C])?;
    ensure_eq!(names(bench)?, ["own/b", "own/c"], "a session that nobody reaped keeps its cells");
    bench.reap(C)?;
    ensure_eq!(names(bench)?, ["own/c"], "a cell goes with a session that is reaped");
    // The session wrote it, and was reaped before the write arrived.
    let late = bench.put("own/a", 0, of(A))?;
    ensure_eq!(late, Err(None), "nothing is written for a session that is no more");
    ensure_eq!(bench.cell("own/a")?, None, "nothing is written for a session that is no more");
    Ok(())
}

pub(super) fn cells_are_listed_by_prefix(bench: &mut Bench<'_>) -> Check {
    // Names that a pattern language would read as patterns, in the order of their bytes.
    let names = ["p%/1", "p*/1", "p*/\u{e9}", "p/1", "p/10", "p/2", "p_/1"];
    for name in names.iter().rev() {
        put(bench, name, 0, value(name))?;
    }
    put(bench, "q", 0, value("q"))?;
    for prefix in ["p", "p%", "p*/", "p/", "p/1", "p_", ""] {
        let all = names.iter().chain(&["q"]).filter(|name| name.starts_with(prefix));
        let listed: Vec<_> =
            bench.ask(|store| store.list(prefix))?.into_iter().map(|(name, _)| name).collect();
        let promised: Vec<_> = all.map(|name| (*name).to_owned()).collect();
        ensure_eq!(listed, promised, "cells whose names begin with `{prefix}`, in order");
    }
    Ok(())
}

pub(super) fn a_cell_is_compared_and_set_beside_effects(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = leased(bench, 8)?;
    let mut version = put(bench, "shared", 0, value("first"))?;
    for n in 0..lease.chunk.count() {
        let effect = Effect::PutCell { name: "shared".to_owned(), put: value("by the effect") };
        let settlement = Settlement { token: lease.token, from: n, to: n + 1, end: End::Done(None) };
        let settle = Settle {
            session: A,
            lane: 7,
            n: u64::from(n) + 1,
            settlements: vec![settlement],
            effects: vec![(0, effect)],
            want: Want::default(),
        };
        let write = value("by whoever knows the version");
        bench.both(
            move |store| Box::pin(async move { store.put_if("shared", version, write).await.map(drop) }),
            move |store| Box::pin(async move { store.settle(settle).await.map(drop) }),
        )?;
        // If the write came first, the effect came over it; if the effect came first, the write was refused.
        let there = bench.cell("shared")?.map(|cell| (cell.version, cell.value));
        let (now, holds) = there.ok_or_else(|| Broken("a cell that was written is there".to_owned()))?;
        ensure_eq!(holds, "by the effect", "no write over a version that has passed undoes an effect");
        ensure!(now > version, "an effect writes a new version");
        version = now;
    }
    Ok(())
}

pub(super) fn a_cell_that_steers_nothing_wakes_nobody_who_waits_for_it(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    // A store may be late in telling what happened when it was opened.
    bench.woken(|marks| marks.control)?;
    let before = bench.marks();
    for name in ["lock/leader", "result/7", "paused"] {
        put(bench, name, 0, value("held"))?;
    }
    // What happens later is told later.
    let work = |marks: &Marks| marks.work;
    bench.filled(A, FAN, 1)?;
    bench.woken_after(work, before.work)?;
    ensure_eq!(
        bench.marks().control,
        before.control,
        "a cell that steers nothing is no news for those who obey"
    );
    Ok(())
}
