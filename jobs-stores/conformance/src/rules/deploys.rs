//! Deploys: new, changed, superseded and renamed jobs.

use std::time::Duration;

use jobs_core::{Attach, Declaration, End, Firing, IfBusy, Link, Millis, ScheduleState, SessionId, Verdict};

use super::ticks::stands;
use crate::{
    bench::{A, B, Bench, C, DECLARED, FAN, MINUTE, all_numbers, attach, declared, link, state_of, tick},
    violation::Check,
};

fn with(schedule: Declaration) -> Link {
    Link { schedule: Some(schedule), ..link(FAN) }
}

/// Attaches with a declaration, and gives where the schedule stands and the time.
fn declare(bench: &mut Bench<'_>, session: SessionId, fingerprint: &str) -> Check<(ScheduleState, Millis)> {
    let attached = bench.attach(session, &[with(declared(fingerprint))])?;
    Ok((state_of(&attached, FAN)?, bench.now))
}

fn just(cursor: Millis, now: Millis) -> bool {
    cursor <= now && now.since(cursor) < MINUTE
}

pub(super) fn a_new_schedule_starts_now(bench: &mut Bench<'_>) -> Check {
    let (state, now) = declare(bench, A, DECLARED)?;
    ensure!(just(state.cursor, now), "a schedule never seen starts at {now}, and was at {}", state.cursor);
    ensure_eq!((&*state.fingerprint, state.waiting), (DECLARED, None), "its declaration is in force");
    ensure_eq!(bench.ticks(FAN)?, [], "it has no verdicts");
    ensure_eq!(stands(bench, FAN)?, state, "that is where it stands");
    Ok(())
}

pub(super) fn an_equal_declaration_changes_nothing(bench: &mut Bench<'_>) -> Check {
    let (first, _) = declare(bench, A, DECLARED)?;
    bench.advance(5 * MINUTE)?;
    let (second, _) = declare(bench, B, DECLARED)?;
    ensure_eq!(second, first, "an equal declaration changes nothing: what is due stays due");
    bench.detach(A)?;
    bench.detach(B)?;
    bench.advance(60 * MINUTE)?;
    let (third, _) = declare(bench, C, DECLARED)?;
    ensure_eq!(third, first, "nor does it after all nodes were away: catch-up needs the cursor");
    Ok(())
}

pub(super) fn a_new_declaration_starts_now(bench: &mut Bench<'_>) -> Check {
    let (first, _) = declare(bench, A, DECLARED)?;
    bench.advance(30 * MINUTE)?;
    let (second, now) = declare(bench, B, "changed")?;
    ensure!(just(second.cursor, now), "a changed schedule starts at {now}, and was at {}", second.cursor);
    ensure!(second.cursor > first.cursor, "the cursor only grows");
    ensure_eq!(&*second.fingerprint, "changed", "a declaration never seen is in force");
    // A cursor that is ahead of a clock that was set back stays.
    bench.shift(-20 * 60_000)?;
    let (third, _) = declare(bench, C, "changed again")?;
    ensure_eq!(third.cursor, second.cursor, "the cursor only grows, whatever the clock says");
    ensure_eq!(&*third.fingerprint, "changed again", "a declaration never seen is in force");
    Ok(())
}

pub(super) fn a_superseded_declaration_waits_for_a_rollback(bench: &mut Bench<'_>) -> Check {
    declare(bench, A, DECLARED)?;
    declare(bench, B, "changed")?;
    bench.advance(5 * MINUTE)?;
    let (state, _) = declare(bench, C, DECLARED)?;
    ensure_eq!(&*state.fingerprint, "changed", "an older node beside a newer one changes nothing");
    bench.detach(B)?;
    bench.advance(5 * MINUTE)?;
    let (state, now) = declare(bench, SessionId(0xd), DECLARED)?;
    ensure_eq!(&*state.fingerprint, DECLARED, "when no live node declares the current one, it is a rollback");
    ensure!(just(state.cursor, now), "a rollback starts at {now}, and was at {}", state.cursor);
    let (state, _) = declare(bench, B, "changed")?;
    ensure_eq!(&*state.fingerprint, DECLARED, "the other way round it is the same");
    Ok(())
}

pub(super) fn an_instant_already_past_is_missed(bench: &mut Bench<'_>) -> Check {
    bench.cell("for its time")?;
    let instant = bench.now - 10 * MINUTE;
    let once = Declaration { instant: Some(instant), ..declared("once") };
    let attached = bench.attach(A, &[with(once.clone())])?;
    ensure_eq!(attached.past, [(FAN.into(), instant)], "an instant past before it was first seen is told");
    let ticks = bench.ticks(FAN)?;
    let seen: Vec<_> = ticks.iter().map(|info| (Millis::from(info.tick), info.count, info.verdict)).collect();
    ensure_eq!(seen, [(instant, 1, Verdict::Missed)], "it is recorded as missed");
    let attached = bench.attach(B, &[with(once)])?;
    ensure_eq!(attached.past, [], "it is told once");
    ensure_eq!(bench.ticks(FAN)?.len(), 1, "it is recorded once");
    let future = Declaration { instant: Some(bench.now + 10 * MINUTE), ..declared("later") };
    let attached = bench.attach(C, &[with(future)])?;
    ensure_eq!(attached.past, [], "an instant to come is not missed");
    Ok(())
}

pub(super) fn a_renamed_job_takes_over(bench: &mut Bench<'_>) -> Check {
    const NEW: &str = "suite.renamed";
    let (state, _) = declare(bench, A, DECLARED)?;
    bench.advance(Duration::from_secs(300))?;
    let fires = state.cursor + MINUTE;
    let run = bench.filled_by(A, tick(FAN, &state, fires, IfBusy::Skip), 4)?;
    let leases = bench.lease_of(A, FAN, 2)?;
    ensure_eq!(leases.len(), 1, "what is ready is leased");
    let later = End::snooze(bench.now + 5 * MINUTE, bench.now);
    bench.settle_part(A, &leases[0], 0, 1, later)?;
    bench.pause(FAN)?;
    // The old node goes on beside the new one, and settles what it holds.
    let attached = bench.attach(B, &[Link { was: Some(FAN.into()), ..link(NEW) }])?;
    let taken = state_of(&attached, NEW)?;
    ensure_eq!((taken.cursor, &*taken.fingerprint), (fires, DECLARED), "a renamed job takes over the cursor");
    ensure_eq!(bench.ticks(NEW)?.len(), 1, "and the verdicts");
    ensure_eq!(bench.run(run)?.job, NEW, "and the runs");
    let paused = bench.beat(B)?.paused.into_iter().map(|(pattern, _)| pattern).collect::<Vec<_>>();
    ensure_eq!(paused, [NEW], "and the pause");
    let version = bench.cell(&jobs_core::pause_cell(NEW))?.map_or(0, |cell| cell.version);
    bench.resume(NEW, version)?;
    ensure_eq!(bench.lease(A, 9)?, [], "the old node links nothing of it any more");
    let mut items = Vec::new();
    for lease in bench.lease(B, 9)? {
        ensure_eq!(&*lease.chunk.header.job, NEW, "its items are the new job's");
        items.extend(crate::bench::numbers(&lease));
        bench.settle(B, &lease, End::Done(None))?;
    }
    ensure_eq!(items, [2, 3], "and the items");
    bench.settle_part(A, &leases[0], 1, 2, End::Done(None))?;
    bench.advance(6 * MINUTE)?;
    let lease = bench.lease_one(B)?;
    bench.settle(B, &lease, End::Done(None))?;
    ensure_eq!(bench.completed(run)?.counts.ok, 4, "nothing is lost on the way");
    Ok(())
}

pub(super) fn a_former_name_gives_way_until_a_rollback(bench: &mut Bench<'_>) -> Check {
    const NEW: &str = "suite.renamed";
    let (state, _) = declare(bench, A, DECLARED)?;
    let run = bench.filled(A, FAN, 2)?;
    bench.attach(B, &[Link { was: Some(FAN.into()), ..link(NEW) }])?;
    bench.advance(5 * MINUTE)?;
    // An old node starts anew in the middle of the deploy.
    let attached = bench.attach(C, &[link(FAN)])?;
    ensure_eq!(attached.schedules.get(FAN), None, "a former name has no schedule beside the new one");
    let old = tick(FAN, &state, state.cursor + MINUTE, IfBusy::Fire);
    for session in [A, C] {
        ensure_eq!(bench.fire(session, old.clone())?, Firing::Stale, "a tick fires under one name alone");
    }
    let new = tick(NEW, &state, state.cursor + MINUTE, IfBusy::Fire);
    bench.filled_by(B, new, 1)?;
    // The deploy is taken back.
    bench.detach(B)?;
    // Who gave way before, and who comes now.
    for session in [C, SessionId(0xd)] {
        let attached = bench.attach(session, &[link(FAN)])?;
        let taken = state_of(&attached, FAN)?;
        ensure_eq!(taken.cursor, state.cursor + MINUTE, "the former name takes the cursor back");
        let jobs = bench.ask(|store| store.jobs())?;
        let linked = jobs.into_iter().find(|job| *job.link.job == *FAN).map(|job| job.link);
        ensure_eq!(linked, Some(link(FAN)), "a job that takes its place back is linked as it is declared");
    }
    let taken = state.cursor + MINUTE;
    ensure_eq!(bench.run(run)?.job, FAN, "and the runs");
    let items: u32 = bench.lease(A, 9)?.iter().map(|lease| lease.chunk.count()).sum();
    ensure_eq!(items, 3, "and the items");

    // It comes again, and one day the former name is given to another job.
    for session in [B, SessionId(0xe)] {
        bench.attach(session, &[Link { was: Some(FAN.into()), ..link(NEW) }])?;
        bench.detach(session)?;
    }
    let attached = bench.attach(SessionId(0xf), &[link(FAN), link(NEW)])?;
    ensure_eq!(state_of(&attached, NEW)?.cursor, taken, "the new name keeps what it took over");
    let another = state_of(&attached, FAN)?;
    ensure!(another.cursor > taken, "the other job is new: it starts at {}", another.cursor);
    Ok(())
}

pub(super) fn what_comes_back_in_a_rename_goes_with_its_job(bench: &mut Bench<'_>) -> Check {
    const NEW: &str = "suite.renamed";
    bench.attach(A, &[link(FAN)])?;
    let run = bench.filled(A, FAN, 2)?;
    ensure_eq!(all_numbers(&bench.lease_of(A, FAN, 2)?), [0, 1], "what is ready is leased");
    // The new build starts on the machine of the old one, whose process is gone.
    let renames = Link { was: Some(FAN.into()), ..link(NEW) };
    let attached = bench.attach_with(Attach { gone: vec![A], ..attach(B, &[renames]) })?;
    ensure_eq!(attached.reaped.items, 2, "what the old process held comes back");
    for _ in 0..2 {
        let lease = bench.lease_one(B)?;
        ensure_eq!(&*lease.chunk.header.job, NEW, "it is an item of the renamed job");
        bench.settle(B, &lease, End::Done(None))?;
    }
    ensure_eq!(bench.completed(run)?.counts.ok, 2, "nothing of the run is lost");
    Ok(())
}
