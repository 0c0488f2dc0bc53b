//! The order in which ready items are leased.

use jobs_core::{IfBusy, Stage};

use super::{
    filling::drain,
    ticks::{at, nth},
};
use crate::{
    bench::{A, Bench, FAN, FAN_TOO, MINUTE, all_numbers, link, state_of, tick},
    violation::Check,
};

pub(super) fn items_are_leased_in_the_querys_order(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 35)?;
    for n in 0..3 {
        let lease = bench.lease_one(A)?;
        ensure_eq!(all_numbers(&[lease]), [n], "items are leased in the query's order");
    }
    let rest: Vec<u64> = (3..35).collect();
    ensure_eq!(
        all_numbers(&drain(bench)?),
        rest,
        "items are leased in the query's order, in pieces of any size"
    );
    Ok(())
}

pub(super) fn a_higher_priority_is_leased_first(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN), link(FAN_TOO)])?;
    let mut runs = Vec::new();
    for (job, priority) in [(FAN, -3), (FAN, i16::MIN), (FAN, 5), (FAN_TOO, 0), (FAN_TOO, i16::MAX)] {
        let fire = jobs_core::Fire { priority, ..bench.by_hand(job) };
        runs.push((std::cmp::Reverse(priority), bench.filled_by(A, fire, 1)?));
        bench.advance(MINUTE)?;
    }
    runs.sort();
    for (priority, run) in runs {
        let lease = bench.lease_one(A)?;
        let header = &lease.chunk.header;
        ensure_eq!(
            (header.run(), header.priority),
            (Some(run), priority.0),
            "the highest priority is leased first"
        );
    }
    Ok(())
}

pub(super) fn what_is_due_earlier_is_leased_first(bench: &mut Bench<'_>) -> Check {
    let attached = bench.attach(A, &[link(FAN), link(FAN_TOO)])?;
    bench.advance(4 * MINUTE)?;
    let (fan, too) = (state_of(&attached, FAN)?, state_of(&attached, FAN_TOO)?);
    let mut due = Vec::new();
    for (job, state, k) in [(FAN, &fan, 2), (FAN_TOO, &too, 1), (FAN, &at(&fan, nth(&fan, 2)), 1)] {
        let fires = nth(state, k);
        due.push((fires, bench.filled_by(A, tick(job, state, fires, IfBusy::Fire), 1)?));
    }
    due.sort();
    for (fires, run) in due {
        let lease = bench.lease_one(A)?;
        ensure_eq!(lease.chunk.header.run(), Some(run), "the item of the tick {fires} is due first");
    }
    Ok(())
}

pub(super) fn jobs_that_tie_take_turns(bench: &mut Bench<'_>) -> Check {
    let attached = bench.attach(A, &[link(FAN), link(FAN_TOO)])?;
    bench.advance(2 * MINUTE)?;
    let (fan, too) = (state_of(&attached, FAN)?, state_of(&attached, FAN_TOO)?);
    let fires = fan.cursor.max(too.cursor) + MINUTE;
    bench.filled_by(A, tick(FAN, &fan, fires, IfBusy::Fire), 4)?;
    bench.filled_by(A, tick(FAN_TOO, &too, fires, IfBusy::Fire), 4)?;
    let mut turns = Vec::new();
    for _ in 0..8 {
        turns.push(bench.lease_one(A)?.chunk.header.job);
    }
    let fair = turns.windows(2).all(|two| two[0] != two[1]);
    ensure!(fair, "jobs that tie take turns, and were leased {turns:?}");
    Ok(())
}

pub(super) fn an_older_run_is_leased_first(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    let (fire, later) = (bench.by_hand(FAN), bench.by_hand(FAN));
    // The later run is filled first.
    let (old, fill) = bench.fired_and_leased(A, fire)?;
    ensure_eq!(fill.chunk.header.stage, Stage::Fill, "the first item is the fill item");
    let new = bench.filled_by(A, later, 12)?;
    bench.stored_all(&fill, 0..12)?;
    let mut runs: Vec<_> = drain(bench)?.iter().filter_map(|lease| lease.chunk.header.run()).collect();
    runs.dedup();
    ensure_eq!(runs, [old, new], "items of an older run are leased first");
    Ok(())
}
