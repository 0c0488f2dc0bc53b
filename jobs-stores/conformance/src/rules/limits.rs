//! How much is leased: slots, a job's room, limits over the cluster.

use jobs_core::{End, JobWant, Lease, Link, Stage, Want};

use super::sessions::silence;
use crate::{
    bench::{A, B, Bench, FAN, FAN_TOO, ONE, all_numbers, link},
    violation::Check,
};

fn items(leases: &[Lease]) -> u32 {
    leases.iter().map(|lease| lease.chunk.count()).sum()
}

fn wants(bench: &mut Bench<'_>, slots: u32, job: &str, room: u32, per_slot: u32) -> Check<Vec<Lease>> {
    let want = Want { slots, jobs: vec![JobWant { job: job.into(), slots: room, per_slot }] };
    Ok(bench.settle_with(A, Vec::new(), Vec::new(), want)?.leases)
}

pub(super) fn no_more_is_leased_than_there_are_slots(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN), link(FAN_TOO)])?;
    bench.filled(A, FAN, 12)?;
    ensure_eq!(bench.lease(A, 0)?, [], "no slot, no lease");
    ensure_eq!(items(&bench.lease(A, 3)?), 3, "each free slot gets an item, and no more");
    let fire = bench.by_hand(FAN_TOO);
    bench.stored(fire)?;
    ensure_eq!(items(&bench.lease(A, 2)?), 2, "a fill item takes a slot like any other");
    ensure_eq!(items(&bench.lease(A, 99)?), 8, "what is left is leased, the fill item too");
    Ok(())
}

pub(super) fn a_job_gets_no_more_than_its_room(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[Link { concurrency: 3, ..link(FAN) }, link(FAN_TOO)])?;
    bench.filled(A, FAN, 20)?;
    bench.filled(A, FAN_TOO, 20)?;
    let of = |leases: &[Lease], job: &str| {
        items(&leases.iter().filter(|lease| &*lease.chunk.header.job == job).cloned().collect::<Vec<_>>())
    };
    let leases = bench.lease(A, 10)?;
    let got = (of(&leases, FAN), of(&leases, FAN_TOO));
    ensure_eq!(got, (3, 7), "a job gets what it links, and the others the rest");
    let leases = wants(bench, 10, FAN, 2, 1)?;
    ensure_eq!(of(&leases, FAN), 2, "a job gets the room that the session says it has");
    let leases = wants(bench, 10, FAN, 0, 1)?;
    ensure_eq!(of(&leases, FAN), 0, "a job without room gets nothing");
    Ok(())
}

pub(super) fn a_slot_gets_what_it_works_off(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 100)?;
    ensure_eq!(items(&wants(bench, 9, FAN, 2, 3)?), 6, "two slots get three items each");
    ensure_eq!(
        items(&wants(bench, 9, FAN, 1, 25)?),
        25,
        "a slot gets its items from as many chunks as it takes"
    );
    ensure_eq!(items(&wants(bench, 1, FAN, 5, 7)?), 7, "the process has one slot, whatever the job has");
    Ok(())
}

pub(super) fn global_concurrency_is_exact(bench: &mut Bench<'_>) -> Check {
    let limited = Link { global_concurrency: Some(3), ..link(FAN) };
    bench.attach(A, std::slice::from_ref(&limited))?;
    bench.attach(B, &[limited])?;
    bench.filled(A, FAN, 12)?;
    let held = bench.lease(A, 9)?;
    ensure_eq!(items(&held), 3, "no more than the limit, in one call");
    ensure_eq!(bench.lease(B, 9)?, [], "no more than the limit, over all sessions");
    ensure_eq!(wants(bench, 9, FAN, 9, 64)?, [], "no more than the limit, whatever a slot works off");
    bench.settle_part(A, &held[0], 0, 1, End::Done(None))?;
    ensure_eq!(items(&bench.lease(B, 9)?), 1, "what was settled makes room");
    Ok(())
}

pub(super) fn the_leases_of_an_expired_session_hold_no_slot(bench: &mut Bench<'_>) -> Check {
    let limited = Link { global_concurrency: Some(2), ..link(FAN) };
    bench.attach(A, std::slice::from_ref(&limited))?;
    bench.attach(B, &[limited])?;
    bench.filled(A, FAN, 12)?;
    ensure_eq!(items(&bench.lease(A, 9)?), 2, "no more than the limit");
    silence(bench, &[B])?;
    ensure_eq!(all_numbers(&bench.lease(B, 9)?), [2, 3], "only unexpired leases count, reaped or not");
    Ok(())
}

pub(super) fn an_exclusive_job_runs_one_attempt_at_a_time(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(ONE)])?;
    bench.attach(B, &[link(ONE)])?;
    let fire = bench.by_hand(ONE);
    let (_, first) = bench.fired_and_leased(A, fire)?;
    let fire = bench.by_hand(ONE);
    let (_, none) = bench.fired(A, fire)?;
    ensure_eq!(none, None, "while an attempt is under way, another run of the job gets none");
    let fire = bench.by_hand(ONE);
    bench.stored(fire)?;
    ensure_eq!(bench.lease(B, 9)?, [], "nor does it on another node");
    bench.settle(A, &first, End::Done(None))?;
    ensure_eq!(items(&bench.lease(B, 9)?), 1, "after the attempt comes the next, alone");
    ensure_eq!(bench.lease(A, 9)?, [], "after the attempt comes the next, alone");
    Ok(())
}

pub(super) fn a_query_counts_against_no_limit_of_its_job(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[Link { global_concurrency: Some(1), concurrency: 1, ..link(FAN) }])?;
    bench.filled(A, FAN, 2)?;
    let held = bench.lease(A, 9)?;
    ensure_eq!(items(&held), 1, "no more than the limit");
    let fire = bench.by_hand(FAN);
    bench.stored(fire)?;
    let fill = wants(bench, 9, FAN, 0, 1)?;
    let stages: Vec<_> = fill.iter().map(|lease| lease.chunk.header.stage).collect();
    ensure_eq!(stages, [Stage::Fill], "a fill item is leased though the job has no room");
    bench.settle(A, &held[0], End::Done(None))?;
    ensure_eq!(items(&bench.lease(A, 9)?), 1, "a fill item in flight takes no room of the job");
    Ok(())
}
