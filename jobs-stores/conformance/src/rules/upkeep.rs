//! Pruning, numbers and time.

use std::time::Duration;

use jobs_core::{Cause, End, ItemState, Link, Pass, SkipReason, TickInfo, Verdict};

use crate::{
    bench::{A, B, Bench, FAN, FAN_TOO, LEASE, MINUTE, failure, link, slots, state_of},
    violation::Check,
};

/// Four finished runs with a dead item each, an unfinished one before them, and five verdict records of a job
/// that keeps two of each.
fn littered(bench: &mut Bench<'_>) -> Check<Vec<jobs_core::RunId>> {
    let keep = Link { keep_runs: 2, keep_ticks: 2, keep_dead: Duration::from_secs(3600), ..link(FAN) };
    let attached = bench.attach(A, &[keep])?;
    let mut state = state_of(&attached, FAN)?;
    bench.advance(5 * MINUTE)?;
    let mut runs = vec![bench.filled(A, FAN, 1)?];
    bench.lease_one(A)?;
    for _ in 0..4 {
        let run = bench.filled(A, FAN, 1)?;
        let lease = bench.lease_one(A)?;
        bench.settle(A, &lease, End::Dead(failure("no", bench.now)))?;
        bench.completed(run)?;
        runs.push(run);
    }
    for k in 0..5 {
        let verdict = if k % 2 == 0 { Verdict::Missed } else { Verdict::Skipped(SkipReason::Paused) };
        let tick = state.cursor + MINUTE;
        let passed = vec![TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, verdict)];
        let (fingerprint, cursor) = (state.fingerprint.clone(), state.cursor);
        let pass = Pass { schedule: FAN.into(), fingerprint, cursor, passed };
        bench.ask(|store| store.pass(vec![pass]))?;
        state.cursor = tick;
    }
    Ok(runs)
}

pub(super) fn pruning_keeps_the_newest(bench: &mut Bench<'_>) -> Check {
    let runs = littered(bench)?;
    let ticks = bench.ticks(FAN)?;
    let dead = bench.dead()?;
    ensure_eq!((ticks.len(), dead.len()), (5, 4), "nothing is removed before it is pruned");
    ensure!(bench.ask(|store| store.prune(100))?.removed > 0, "what is past what its job keeps is pruned");
    let mut left: Vec<_> = bench.runs()?.into_iter().map(|run| run.id).collect();
    left.sort();
    let promised = [runs[0], runs[3], runs[4]];
    ensure_eq!(left, promised, "the newest finished runs are kept, and what is not finished");
    ensure_eq!(bench.ticks(FAN)?, ticks[..2], "the newest verdicts are kept");
    ensure_eq!(bench.dead()?, dead, "dead items are kept for their time, whatever becomes of their run");
    bench.advance(2 * Duration::from_secs(3600))?;
    bench.ask(|store| store.prune(100))?;
    ensure_eq!(bench.dead()?, [], "dead items are pruned after their time");
    Ok(())
}

pub(super) fn pruning_is_bounded(bench: &mut Bench<'_>) -> Check {
    littered(bench)?;
    let count = |bench: &mut Bench<'_>| -> Check<usize> { Ok(bench.runs()?.len() + bench.ticks(FAN)?.len()) };
    let mut before = count(bench)?;
    for (limit, removed, more) in [(1, 2, true), (2, 3, false), (100, 0, false)] {
        let pruned = bench.ask(|store| store.prune(limit))?;
        let after = count(bench)?;
        ensure_eq!(
            (pruned.removed, before - after),
            (removed, removed),
            "at most {limit} of each kind are pruned"
        );
        ensure!(pruned.more || !more, "whoever asks is told that there is more to prune");
        before = after;
    }
    Ok(())
}

pub(super) fn jobs_that_keep_too_much_are_pruned_alike(bench: &mut Bench<'_>) -> Check {
    let keeps = |job| Link { keep_runs: 1, ..link(job) };
    bench.attach(A, &[keeps(FAN), keeps(FAN_TOO)])?;
    for (job, runs) in [(FAN, 9), (FAN_TOO, 3)] {
        for _ in 0..runs {
            let run = bench.filled(A, job, 0)?;
            bench.completed(run)?;
        }
    }
    let left = |bench: &mut Bench<'_>| -> Check<(usize, usize)> {
        let runs = bench.runs()?;
        let of = |job: &str| runs.iter().filter(|run| run.job == job).count();
        Ok((of(FAN), of(FAN_TOO)))
    };
    let pruned = bench.ask(|store| store.prune(4))?;
    ensure_eq!(left(bench)?, (7, 1), "each job that has too many gets the same share of the limit");
    ensure!(pruned.more, "whoever asks is told that there is more to prune");
    bench.ask(|store| store.prune(4))?;
    ensure_eq!(left(bench)?, (3, 1), "a job that is alone in having too many gets all of the limit");
    Ok(())
}

pub(super) fn tokens_grow_whatever_the_clock_says(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 9)?;
    let mut tokens = Vec::new();
    for (shift, again) in [(0, true), (-3_600_000, true), (7_200_000, false), (-7_200_000, true)] {
        bench.shift(shift)?;
        bench.beat(A)?;
        let lease = bench.lease_one(A)?;
        tokens.push(lease.token.0);
        if again {
            bench.settle(A, &lease, End::Back)?;
        }
        let fire = bench.by_hand(FAN);
        tokens.push(bench.stored(fire)?.number());
        let first = bench.lease(A, 1)?;
        tokens.extend(first.iter().map(|lease| lease.token.0));
    }
    let grow = tokens.windows(2).all(|two| two[0] < two[1]);
    ensure!(grow, "the numbers of a namespace grow, over connections and steps of the clock: {tokens:?}");
    let exact = tokens.iter().all(|token| *token <= jobs_core::Token::MAX.0);
    ensure!(exact, "every reader of JSON keeps them exactly: {tokens:?}");
    Ok(())
}

pub(super) fn every_reply_carries_the_stores_time(bench: &mut Bench<'_>) -> Check {
    let hour = Duration::from_secs(3600);
    bench.attach(A, &[link(FAN)])?;
    let before = bench.now;
    bench.advance(hour)?;
    let close = |bench: &Bench<'_>| bench.now >= before + hour && bench.now.since(before + hour) < LEASE;
    bench.beat(A)?;
    ensure!(close(bench), "a beat's reply carries the shifted clock: {} after {before}", bench.now);
    bench.settle_with(A, Vec::new(), Vec::new(), slots(1))?;
    ensure!(close(bench), "a settle's reply carries the shifted clock: {} after {before}", bench.now);
    let fire = bench.by_hand(FAN);
    let manual = matches!(fire.cause, Cause::Manual { .. });
    let run = bench.stored(fire)?;
    ensure!(manual && close(bench), "a fire's reply carries the shifted clock: {} after {before}", bench.now);
    let started = jobs_core::Millis::from(bench.run(run)?.started_at);
    ensure!(started >= before + hour && started <= bench.now, "what is stored carries it too: {started}");
    Ok(())
}

pub(super) fn a_job_is_listed_with_its_items(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 6)?;
    let lease = bench.lease_of(A, FAN, 3)?.remove(0);
    let later = End::snooze(bench.now + 30 * MINUTE, bench.now);
    bench.settle_part(A, &lease, 0, 1, later)?;
    bench.settle_part(A, &lease, 1, 2, End::Dead(failure("no", bench.now)))?;
    let listed = |bench: &mut Bench<'_>| -> Check<Vec<(bool, [u64; 4])>> {
        let jobs = bench.ask(|store| store.jobs())?;
        ensure!(jobs.iter().all(|job| job.link == link(FAN)), "how the job was linked last: {jobs:?}");
        Ok(jobs.iter().map(|job| (job.live, [job.ready, job.delayed, job.in_flight, job.dead])).collect())
    };
    ensure_eq!(listed(bench)?, [(true, [3, 1, 1, 1])], "items that are ready, delayed, in flight, dead");
    bench.detach(A)?;
    ensure_eq!(listed(bench)?, [(false, [4, 1, 0, 1])], "a job that nobody links is kept and listed");
    Ok(())
}

pub(super) fn the_items_of_a_run_are_listed(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 2)?;
    let run = bench.filled(A, FAN, 6)?;
    // Both items of the older run, and three of this one.
    let leases = bench.lease(A, 5)?;
    let lease = leases.into_iter().filter(|lease| lease.chunk.header.run() == Some(run)).collect::<Vec<_>>();
    let began = bench.now;
    let retry = End::retry(bench.now + 5 * MINUTE, bench.now, failure("no", bench.now));
    let until = bench.now + 5 * MINUTE;
    bench.settle_part(A, &lease[0], 0, 1, retry)?;
    let items = bench.ask(|store| store.items(run, 100))?;
    let flying = || ItemState::InFlight { node: format!("node-{A}"), since: began.timestamp() };
    let (ready, delayed) = (ItemState::Ready, ItemState::Delayed { until: until.timestamp() });
    let promised = [
        (1, flying(), 1),
        (2, flying(), 1),
        (3, ready.clone(), 1),
        (4, ready.clone(), 1),
        (5, ready, 1),
        (0, delayed, 2),
    ];
    let promised = promised.map(|(n, state, attempt)| (run.item(n), serde_json::json!(n), state, attempt));
    let seen: Vec<_> =
        items.into_iter().map(|item| (item.id, item.payload, item.state, item.attempt)).collect();
    ensure_eq!(seen, promised, "what is in flight, ready, delayed; each in the order of the run");
    ensure_eq!(bench.ask(|store| store.items(run, 2))?.len(), 2, "no more are listed than were asked for");
    Ok(())
}

pub(super) fn sessions_are_listed_with_what_they_hold(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.attach(B, &[link(FAN)])?;
    bench.filled(A, FAN, 6)?;
    bench.lease_of(A, FAN, 4)?;
    let began = bench.now;
    bench.advance(MINUTE)?;
    bench.beat(B)?;
    let sessions = bench.ask(|store| store.sessions())?;
    // A beat that is sent twice renews twice.
    let beaten = bench.now;
    let seen: Vec<_> = sessions.iter().map(|s| (s.session, s.node.name.clone(), s.holds)).collect();
    let promised = [(A, format!("node-{A}"), 4), (B, format!("node-{B}"), 0)];
    ensure_eq!(seen, promised, "each session with its node and the items that it holds");
    ensure!(sessions[0].until <= began + LEASE, "a session expires a lease after its last beat");
    ensure!(sessions[1].until <= beaten + LEASE && sessions[1].until > sessions[0].until, "a beat renews it");
    bench.detach(A)?;
    let left: Vec<_> = bench.ask(|store| store.sessions())?.iter().map(|s| s.session).collect();
    ensure_eq!(left, [B], "a session that has ended is not listed");
    Ok(())
}

pub(super) fn namespaces_share_nothing(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 3)?;
    bench.pause(FAN)?;
    let Some(other) = bench.namespace("another") else { return Ok(()) };
    bench.visit(&other, |bench| {
        ensure_eq!(bench.ask(|store| store.jobs())?, [], "a job of another namespace is not listed");
        ensure_eq!(bench.runs()?, [], "a run of another namespace is not listed");
        ensure!(!bench.beat(A)?.alive, "a session of another namespace is not known");
        bench.attach(A, &[link(FAN)])?;
        ensure_eq!(bench.lease(A, 9)?, [], "an item of another namespace is not leased");
        ensure_eq!(bench.beat(A)?.paused, [], "a pause of another namespace holds nothing");
        bench.filled(A, FAN, 1).map(drop)
    })?;
    ensure_eq!(bench.runs()?.len(), 1, "a run of another namespace is not listed");
    Ok(())
}

pub(super) fn a_finish_item_outlives_the_record_of_its_run(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[Link { keep_runs: 1, ..link(FAN) }])?;
    let runs = [bench.filled(A, FAN, 1)?, bench.filled(A, FAN, 1)?];
    for lease in bench.lease(A, 9)? {
        bench.settle(A, &lease, End::Done(None))?;
    }
    for run in runs {
        bench.complete(run, true)?;
    }
    bench.ask(|store| store.prune(100))?;
    let kept: Vec<_> = bench.runs()?.iter().map(|run| run.id).collect();
    ensure_eq!(kept, [runs[1]], "the older run is pruned");
    let finish: Vec<_> = bench.lease(A, 9)?.iter().filter_map(|lease| lease.chunk.header.run()).collect();
    ensure_eq!(finish, runs, "what follows the end of a run is leased, whether or not its record is kept");
    Ok(())
}
