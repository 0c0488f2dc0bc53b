//! Ticks: compare-and-set on the cursor, verdicts, busy runs, pauses.

use std::time::Duration;

use jobs_core::{
    Cause, End, Fire, Firing, IfBusy, Millis, Pass, Passing, PutCell, ScheduleState, SkipReason, TickInfo,
    Verdict, pause_cell,
};

use crate::{
    bench::{A, B, Bench, FAN, MINUTE, failure, link, state_of, tick},
    violation::{Broken, Check},
};

/// A session, and a job whose first four ticks are due, a minute apart.
pub(super) fn due(bench: &mut Bench<'_>) -> Check<ScheduleState> {
    let attached = bench.attach(A, &[link(FAN)])?;
    bench.attach(B, &[link(FAN)])?;
    bench.advance(4 * MINUTE)?;
    state_of(&attached, FAN)
}

/// The `k`-th tick after the cursor.
pub(super) fn nth(state: &ScheduleState, k: u32) -> Millis {
    state.cursor + k * MINUTE
}

pub(super) fn at(state: &ScheduleState, cursor: Millis) -> ScheduleState {
    ScheduleState { cursor, waiting: None, ..state.clone() }
}

/// A fire that passes over ticks.
fn over(mut fire: Fire, ticks: Vec<TickInfo>) -> Fire {
    if let Cause::Tick { passed, .. } = &mut fire.cause {
        *passed = ticks;
    }
    fire
}

fn passed(first: Millis, last: Millis, count: u64, verdict: Verdict) -> TickInfo {
    TickInfo::passed(first.timestamp(), last.timestamp(), count, verdict)
}

fn pass(bench: &mut Bench<'_>, state: &ScheduleState, passed: Vec<TickInfo>) -> Check<Passing> {
    let (schedule, fingerprint, cursor) = (FAN.into(), state.fingerprint.clone(), state.cursor);
    let passing = bench.ask(|store| store.pass(vec![Pass { schedule, fingerprint, cursor, passed }]))?;
    passing.into_iter().next().ok_or_else(|| Broken("each pass has its answer".to_owned()))
}

/// Where the schedule stands now.
pub(super) fn stands(bench: &mut Bench<'_>, job: &str) -> Check<ScheduleState> {
    let jobs = bench.ask(|store| store.jobs())?;
    let schedule =
        jobs.into_iter().find(|record| &*record.link.job == job).and_then(|record| record.schedule);
    schedule.ok_or_else(|| Broken(format!("`{job}` has a schedule, and is listed without one")))
}

pub(super) fn a_tick_makes_one_run(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let fire = tick(FAN, &state, nth(&state, 1), IfBusy::Fire);
    let (run, _) = bench.fired(A, fire.clone())?;
    let second = bench.fire(B, fire)?;
    let Firing::Already(state_now) = second else {
        return Err(Broken(format!(
            "a tick that another session fired was answered {second:?}, not `Already`"
        )));
    };
    ensure_eq!(state_now.cursor, nth(&state, 1), "`Already` says where the cursor is");
    let runs: Vec<_> = bench.runs()?.into_iter().map(|run| run.id).collect();
    ensure_eq!(runs, [run], "a tick makes one run");
    let ticks = bench.ticks(FAN)?;
    ensure_eq!(
        ticks,
        [TickInfo::fired(nth(&state, 1).timestamp(), Verdict::Fired, run)],
        "a tick that fired has one verdict, with its run"
    );
    Ok(())
}

pub(super) fn a_tick_is_decided_from_the_cursor(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    for wrong in [state.cursor - MINUTE, state.cursor + MINUTE] {
        let from = at(&state, wrong);
        let fired = bench.fire(A, tick(FAN, &from, nth(&state, 3), IfBusy::Fire))?;
        ensure_eq!(fired, Firing::Already(state.clone()), "a fire decided from another cursor does nothing");
        let missed = vec![passed(nth(&state, 2), nth(&state, 3), 2, Verdict::Missed)];
        let passing = pass(bench, &from, missed)?;
        ensure_eq!(
            passing,
            Passing::Already(state.clone()),
            "a pass decided from another cursor does nothing"
        );
    }
    let fired = bench.fire(A, tick(FAN, &state, state.cursor, IfBusy::Fire))?;
    ensure_eq!(fired, Firing::Already(state.clone()), "a tick at the cursor has its verdict");
    ensure_eq!(bench.runs()?.len(), 0, "nothing was fired");
    ensure_eq!(stands(bench, FAN)?, state, "the cursor has not moved");
    Ok(())
}

pub(super) fn a_fire_by_another_declaration_is_stale(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let other = ScheduleState { fingerprint: "another".into(), ..state.clone() };
    let fired = bench.fire(A, tick(FAN, &other, nth(&state, 1), IfBusy::Fire))?;
    ensure_eq!(fired, Firing::Stale, "a fire by another declaration is stale");
    let missed = vec![passed(nth(&state, 1), nth(&state, 1), 1, Verdict::Missed)];
    ensure_eq!(pass(bench, &other, missed)?, Passing::Stale, "a pass by another declaration is stale");
    ensure_eq!(stands(bench, FAN)?, state, "what is stale moves no cursor");
    ensure_eq!(bench.runs()?.len(), 0, "what is stale makes no run");
    Ok(())
}

pub(super) fn a_tick_of_the_future_does_not_fire(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let not_yet = |firing: &Firing| match firing {
        Firing::NotYet { wait } => *wait > 5 * MINUTE && *wait <= 6 * MINUTE,
        _ => false,
    };
    let later = bench.now + 6 * MINUTE;
    let fired = bench.fire(A, tick(FAN, &state, later, IfBusy::Fire))?;
    ensure!(not_yet(&fired), "a tick six minutes from now is `NotYet`, and was answered {fired:?}");
    // Delayed by jitter, and a caller whose jitter is nonsense.
    for (tick_at, may_fire) in [(nth(&state, 1), later), (later, nth(&state, 1))] {
        let mut fire = tick(FAN, &state, tick_at, IfBusy::Fire);
        if let Cause::Tick { at, .. } = &mut fire.cause {
            *at = may_fire;
        }
        let fired = bench.fire(A, fire)?;
        ensure!(not_yet(&fired), "a tick {tick_at} that may fire at {may_fire} was answered {fired:?}");
    }
    let passing = pass(bench, &state, vec![passed(nth(&state, 1), later, 9, Verdict::Missed)])?;
    ensure_eq!(passing, Passing::NotYet, "no cursor is ever ahead of the store's clock");
    ensure_eq!(stands(bench, FAN)?, state, "what is `NotYet` moves no cursor");
    ensure_eq!(bench.runs()?.len(), 0, "what is `NotYet` makes no run");
    bench.advance(6 * MINUTE)?;
    bench.fired(A, tick(FAN, &state, later, IfBusy::Fire)).map(drop)
}

pub(super) fn a_fire_records_what_it_passed_over(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let missed = passed(nth(&state, 1), nth(&state, 2), 2, Verdict::Missed);
    let fire = over(tick(FAN, &state, nth(&state, 3), IfBusy::Fire), vec![missed.clone()]);
    let (run, _) = bench.fired(A, fire)?;
    let fired = TickInfo::fired(nth(&state, 3).timestamp(), Verdict::Fired, run);
    ensure_eq!(bench.ticks(FAN)?, [fired, missed], "a fire records what it passed over, in its step");
    ensure_eq!(stands(bench, FAN)?.cursor, nth(&state, 3), "the cursor is at the tick that fired");
    Ok(())
}

pub(super) fn verdicts_of_neighbours_are_one_record(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let paused = Verdict::Skipped(SkipReason::Paused);
    let steps = [(1, 1, 1, Verdict::Missed), (2, 3, 2, Verdict::Missed), (4, 4, 1, paused)];
    let mut cursor = state.cursor;
    for (first, last, count, verdict) in steps {
        let record = passed(nth(&state, first), nth(&state, last), count, verdict);
        let passing = pass(bench, &at(&state, cursor), vec![record])?;
        ensure_eq!(passing, Passing::Passed, "ticks that are due are passed");
        cursor = nth(&state, last);
    }
    let merged = passed(nth(&state, 1), nth(&state, 3), 3, Verdict::Missed);
    let last = passed(nth(&state, 4), nth(&state, 4), 1, paused);
    ensure_eq!(
        bench.ticks(FAN)?,
        [last, merged],
        "neighbours with the same verdict are one record, newest first"
    );
    ensure_eq!(stands(bench, FAN)?.cursor, nth(&state, 4), "the cursor is at the last tick that was passed");
    Ok(())
}

pub(super) fn a_repeated_fire_gets_the_same_run_and_lease(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let fire = tick(FAN, &state, nth(&state, 1), IfBusy::Skip);
    let (run, lease) = bench.fired_and_leased(A, fire.clone())?;
    let again = bench.fire(A, fire)?;
    let first = Firing::Fired { run, lease: Some(lease) };
    ensure_eq!(again, first, "a repeat by the same session gets the same run and lease");
    ensure_eq!(bench.lease(A, 9)?, [], "the first item is leased once");
    ensure_eq!(bench.runs()?.len(), 1, "a repeat makes no run");
    Ok(())
}

pub(super) fn a_busy_run_skips_the_tick(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let (run, _) = bench.fired(A, tick(FAN, &state, nth(&state, 1), IfBusy::Skip))?;
    let from = at(&state, nth(&state, 1));
    let busy = bench.fire(B, tick(FAN, &from, nth(&state, 2), IfBusy::Skip))?;
    ensure_eq!(busy, Firing::Busy { run }, "a tick while a run is busy is told which");
    let skipped = passed(nth(&state, 2), nth(&state, 2), 1, Verdict::Skipped(SkipReason::Overlap));
    ensure_eq!(bench.ticks(FAN)?.first(), Some(&skipped), "the tick is recorded as skipped");
    ensure_eq!(stands(bench, FAN)?.cursor, nth(&state, 2), "the cursor is at the tick that was skipped");
    ensure_eq!(bench.runs()?.len(), 1, "a skipped tick makes no run");
    Ok(())
}

pub(super) fn a_busy_run_lets_the_newest_tick_wait(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let (run, lease) = bench.fired_and_leased(A, tick(FAN, &state, nth(&state, 1), IfBusy::Queue))?;
    let missed = passed(nth(&state, 2), nth(&state, 2), 1, Verdict::Missed);
    let from = at(&state, nth(&state, 1));
    let fire = over(tick(FAN, &from, nth(&state, 3), IfBusy::Queue), vec![missed]);
    ensure_eq!(bench.fire(B, fire)?, Firing::Busy { run }, "a tick while a run is busy is told which");
    let waits = ScheduleState { cursor: nth(&state, 2), waiting: Some(nth(&state, 3)), ..state.clone() };
    ensure_eq!(stands(bench, FAN)?, waits, "the tick waits, and the ticks before it have their verdicts");
    let replaced = passed(nth(&state, 3), nth(&state, 3), 1, Verdict::Skipped(SkipReason::Replaced));
    let from = at(&state, nth(&state, 2));
    let fire = over(tick(FAN, &from, nth(&state, 4), IfBusy::Queue), vec![replaced]);
    ensure_eq!(bench.fire(B, fire)?, Firing::Busy { run }, "the run is still busy");
    let waits = ScheduleState { cursor: nth(&state, 3), waiting: Some(nth(&state, 4)), ..state.clone() };
    ensure_eq!(stands(bench, FAN)?, waits, "the newest tick waits");
    bench.stored_all(&lease, 0..0)?;
    let from = at(&state, nth(&state, 3));
    bench.fired(B, tick(FAN, &from, nth(&state, 4), IfBusy::Queue))?;
    let fired = at(&state, nth(&state, 4));
    ensure_eq!(stands(bench, FAN)?, fired, "a tick that fired waits no longer");
    Ok(())
}

pub(super) fn a_busy_run_leaves_the_tick_due(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let (run, lease) = bench.fired_and_leased(A, tick(FAN, &state, nth(&state, 1), IfBusy::Wait))?;
    let from = at(&state, nth(&state, 1));
    let fire = tick(FAN, &from, nth(&state, 2), IfBusy::Wait);
    ensure_eq!(
        bench.fire(B, fire.clone())?,
        Firing::Busy { run },
        "a tick while a run is busy is told which"
    );
    ensure_eq!(stands(bench, FAN)?, from, "the tick is still due");
    ensure_eq!(bench.ticks(FAN)?.len(), 1, "the tick has no verdict yet");
    bench.stored_all(&lease, 0..0)?;
    bench.fired(B, fire).map(drop)
}

pub(super) fn a_tick_that_may_overlap_fires(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let (first, _) = bench.fired(A, tick(FAN, &state, nth(&state, 1), IfBusy::Fire))?;
    let from = at(&state, nth(&state, 1));
    let (second, _) = bench.fired(B, tick(FAN, &from, nth(&state, 2), IfBusy::Fire))?;
    ensure!(first != second, "each tick makes a run of its own");
    ensure_eq!(bench.runs()?.len(), 2, "both runs exist");
    Ok(())
}

pub(super) fn a_run_is_busy_until_first_attempts_are_settled(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let run = bench.filled_by(A, tick(FAN, &state, nth(&state, 1), IfBusy::Wait), 3)?;
    let fire = tick(FAN, &at(&state, nth(&state, 1)), nth(&state, 2), IfBusy::Wait);
    let leases = bench.lease(A, 3)?;
    for (n, item) in leases.iter().flat_map(|l| (0..l.chunk.count()).map(move |n| (l, n))).enumerate() {
        let busy = bench.fire(B, fire.clone())?;
        ensure_eq!(busy, Firing::Busy { run }, "the first attempt of an item is not settled");
        let at = bench.now + 30 * MINUTE;
        let end = match n {
            0 => End::Done(None),
            1 => End::retry(at, bench.now, failure("no", bench.now)),
            _ => End::snooze(at, bench.now),
        };
        bench.settle_part(A, item.0, item.1, item.1 + 1, end)?;
    }
    // Only a retry and a snooze remain: the run is trailing, and holds no tick back.
    bench.fired(B, fire).map(drop)
}

pub(super) fn a_paused_job_fires_nothing(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    for (k, pattern) in [(1, FAN), (2, "suite.*"), (3, "*")] {
        let version = bench.pause(pattern)?;
        let fire = tick(FAN, &at(&state, nth(&state, k - 1)), nth(&state, k), IfBusy::Fire);
        let by_hand = bench.by_hand(FAN);
        for fire in [fire.clone(), by_hand] {
            let fired = bench.fire(A, fire)?;
            let paused = Firing::Paused { note: "for the test".to_owned() };
            ensure_eq!(fired, paused, "nothing fires while `{pattern}` is paused, and the note is told");
        }
        ensure_eq!(bench.runs()?.len(), k as usize - 1, "what is paused makes no run");
        let pulse = bench.beat(A)?;
        let told = vec![(pattern.to_owned(), "for the test".to_owned())];
        ensure_eq!(pulse.paused, told, "a beat tells what is paused");
        bench.resume(pattern, version)?;
        bench.fired(A, fire)?;
    }
    Ok(())
}

pub(super) fn a_paused_job_leases_nothing(bench: &mut Bench<'_>) -> Check {
    due(bench)?;
    bench.filled(A, FAN, 2)?;
    for pattern in [FAN, "suite.*", "*"] {
        let version = bench.pause(pattern)?;
        ensure_eq!(bench.lease(A, 5)?, [], "nothing is leased while `{pattern}` is paused");
        bench.resume(pattern, version)?;
        let lease = bench.lease_one(A)?;
        bench.settle(A, &lease, End::Back)?;
    }
    Ok(())
}

pub(super) fn a_pause_that_has_expired_holds_nothing(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let value = Some(serde_json::json!({ "note": "for a while" }));
    let put = PutCell { value, expires_in: Some(Duration::from_secs(30)), owner: None };
    let written = bench.put(&pause_cell(FAN), 0, put)?;
    ensure!(written.is_ok(), "a cell that is not there is written");
    bench.advance(MINUTE)?;
    ensure_eq!(bench.beat(A)?.paused, [], "a beat tells no pause that has expired");
    bench.fired(A, tick(FAN, &state, nth(&state, 1), IfBusy::Fire)).map(drop)
}
