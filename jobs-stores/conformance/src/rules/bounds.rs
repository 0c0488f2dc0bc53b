//! One step touches at most a thousand records one by one, and says whether there are more.

use std::collections::BTreeSet;

use jobs_core::{
    Append, Appended, BodyWriter, Cancellation, End, ItemId, JobRecord, Lease, RunId, RunState, STEP_RECORDS,
    SessionId, Settlement, Want,
};

use super::{sessions::silence, undecodable::minutes};
use crate::{
    bench::{A, B, Bench, FAN, MINUTE, failure, link, slots},
    violation::{Broken, Check},
};

/// A little more than one step touches.
const MANY: u64 = STEP_RECORDS as u64 + 50;
/// Calls that are surely enough for so many, however they are sent.
const CALLS: usize = 6;

/// Two sessions with room for many, and a run of many items.
fn many(bench: &mut Bench<'_>) -> Check<RunId> {
    let link = jobs_core::Link { concurrency: 10_000, ..link(FAN) };
    bench.attach(A, std::slice::from_ref(&link))?;
    bench.attach(B, &[link])?;
    let fire = bench.by_hand(FAN);
    let (run, fill) = bench.fired_and_leased(A, fire)?;
    // Each item is stored apart, so that each gets a lease of its own.
    let mut bodies = Vec::new();
    for item in 0..MANY {
        let mut writer = BodyWriter::default();
        let written = writer.push(&item).map_err(|error| Broken(format!("a number is JSON: {error}")))?;
        bodies.extend(written);
        bodies.extend(writer.finish());
    }
    let append =
        Append { token: fill.token, seq: 0, item_type: "u64".into(), bodies, page: None, last: true };
    let appended = bench.ask(|store| store.append(append))?;
    ensure!(matches!(appended, Appended::Stored { .. }), "a query may find many items: {appended:?}");
    Ok(run)
}

/// Leases all of them: one call grants a part.
fn leased(bench: &mut Bench<'_>, session: SessionId) -> Check<Vec<Lease>> {
    let mut leases = Vec::new();
    for _ in 0..CALLS {
        let granted = bench.lease(session, u32::try_from(2 * MANY).unwrap_or(u32::MAX))?;
        ensure!(granted.len() <= STEP_RECORDS, "one call grants {STEP_RECORDS} leases at most");
        leases.extend(granted);
    }
    let items: u64 = leases.iter().map(|lease| u64::from(lease.chunk.count())).sum();
    ensure_eq!(items, MANY, "what is ready is leased to whoever has room for it");
    Ok(leases)
}

/// Settles each item by itself, in two calls.
fn each(bench: &mut Bench<'_>, leases: &[Lease], end: impl Fn(u64) -> End) -> Check {
    let items = leases.iter().flat_map(|lease| (0..lease.chunk.count()).map(move |n| (lease, n)));
    let one = |(lease, n): (&Lease, u32)| Settlement {
        token: lease.token,
        from: n,
        to: n + 1,
        end: end(lease.chunk.header.start + u64::from(n)),
    };
    let settlements: Vec<_> = items.map(one).collect();
    for some in settlements.chunks(STEP_RECORDS / 2) {
        bench.settle_with(A, some.to_vec(), Vec::new(), Want::default())?;
    }
    Ok(())
}

fn record(bench: &mut Bench<'_>) -> Check<JobRecord> {
    let record = bench.ask(|store| store.job(FAN))?;
    record.ok_or_else(|| Broken(format!("`{FAN}` has items, and was not found")))
}

pub(super) fn what_is_due_at_once_becomes_ready_step_by_step(bench: &mut Bench<'_>) -> Check {
    many(bench)?;
    let leases = leased(bench, A)?;
    let at = bench.now + MINUTE;
    let now = bench.now;
    each(bench, &leases, |_| End::snooze(at, now))?;
    ensure_eq!(record(bench)?.delayed, MANY, "all wait for the same instant");
    bench.advance(2 * MINUTE)?;
    let first = bench.settle_with(A, Vec::new(), Vec::new(), slots(1))?;
    let (due, record) = (first.next_due.filter(|due| *due <= bench.now), record(bench)?);
    ensure!(due.is_some(), "`next_due` says that more is due than one step makes ready");
    let ready = record.ready + record.in_flight;
    ensure!(ready <= STEP_RECORDS as u64, "one step makes at most {STEP_RECORDS} ready, and made {ready}");
    ensure_eq!(record.open(), MANY, "what is not ready yet waits on");
    let mut seen: BTreeSet<ItemId> = first.leases.iter().map(|lease| lease.chunk.header.item(0)).collect();
    for _ in 0..CALLS {
        let leases = bench.lease(A, u32::try_from(2 * MANY).unwrap_or(u32::MAX))?;
        for lease in leases {
            let items = (0..lease.chunk.count()).map(|n| lease.chunk.header.item(n));
            let twice = items.filter(|item| !seen.insert(*item)).count();
            ensure_eq!(twice, 0, "an item is leased once");
        }
    }
    ensure_eq!(seen.len() as u64, MANY, "in the end all of them are leased");
    Ok(())
}

pub(super) fn a_cancel_of_many_goes_on_until_all_have_ended(bench: &mut Bench<'_>) -> Check {
    let run = many(bench)?;
    let leases = leased(bench, A)?;
    let now = bench.now;
    each(bench, &leases, |n| End::retry(now, now, failure(&format!("{}", n % 3), now)))?;
    silence(bench, &[A, B])?;
    let cancelled = bench.ask(|store| store.cancel(run))?;
    ensure_eq!(cancelled, Cancellation::Cancelled { more: true }, "more waits than one step ends");
    bench.advance(2 * MINUTE)?;
    ensure_eq!(bench.lease(A, 9)?, [], "nothing of a cancelled run is leased, ended or not");
    let mut calls = 0;
    while bench.reap(B)?.more {
        calls += 1;
        ensure!(calls < CALLS, "a reap goes on with what a cancel has begun, and comes to an end");
    }
    let again = bench.ask(|store| store.cancel(run))?;
    let more = again == Cancellation::Cancelled { more: true };
    ensure!(!more, "what a reap has ended is not ended again");
    let report = bench.completed(run)?;
    ensure_eq!((report.state, report.counts.cancelled), (RunState::Cancelled, MANY), "all are cancelled");
    ensure_eq!(record(bench)?.open(), 0, "nothing is left over");
    Ok(())
}

/// The items that are in flight.
fn in_flight(bench: &mut Bench<'_>, run: RunId) -> Check<BTreeSet<ItemId>> {
    let items = bench.ask(|store| store.items(run, 2 * STEP_RECORDS))?;
    let held = items.iter().filter(|item| matches!(item.state, jobs_core::ItemState::InFlight { .. }));
    Ok(held.map(|item| item.id).collect())
}

pub(super) fn a_reap_of_many_leases_goes_on_until_all_are_back(bench: &mut Bench<'_>) -> Check {
    let run = many(bench)?;
    let mut leases = leased(bench, A)?;
    leases.sort_by_key(|lease| lease.token);
    silence(bench, &[B])?;
    let reaped = bench.reap(B)?;
    if leases.len() > STEP_RECORDS {
        ensure!(reaped.more, "a reap says that there is more to do");
        ensure!(reaped.items <= STEP_RECORDS as u64, "one step takes back {STEP_RECORDS} leases at most");
    }
    let left = in_flight(bench, run)?;
    let youngest = leases.iter().rev().take(left.len()).map(|lease| lease.chunk.header.item(0)).collect();
    ensure_eq!(left, youngest, "the oldest leases are taken back first");
    let mut calls = 0;
    while bench.reap(B)?.more {
        calls += 1;
        ensure!(calls < CALLS, "a reap of so many comes to an end");
    }
    let record = record(bench)?;
    ensure_eq!((record.ready, record.in_flight), (MANY, 0), "all that the dead session held is back");
    let sessions = bench.ask(|store| store.sessions())?;
    ensure!(sessions.iter().all(|other| other.session != A), "a session of which all is back is gone");
    let suspect = bench.lease(B, 9)?;
    ensure!(
        suspect.iter().all(|lease| lease.chunk.header.suspect && lease.chunk.header.crashes == 0),
        "what its node died holding is under suspicion, and uncharged"
    );
    Ok(())
}

pub(super) fn a_detach_of_many_leases_gives_all_back_uncharged(bench: &mut Bench<'_>) -> Check {
    many(bench)?;
    let leases = leased(bench, A)?;
    silence(bench, &[A, B])?;
    let more = bench.ask(|store| store.detach(A))?;
    ensure_eq!(more, leases.len() > STEP_RECORDS, "a detach says whether there is more to give back");
    ensure_eq!(bench.lease(A, 9)?, [], "a session that leaves leases nothing meanwhile");
    let mut calls = 0;
    while bench.reap(B)?.more {
        calls += 1;
        ensure!(calls < CALLS, "a reap goes on with what a detach has begun, and comes to an end");
    }
    ensure!(!bench.ask(|store| store.detach(A))?, "all has been given back");
    let back = self::leased(bench, B)?;
    let charged = back.iter().filter(|lease| {
        let header = &lease.chunk.header;
        (header.attempt, header.crashes, header.suspect, header.fresh) != (0, 0, false, true)
    });
    ensure_eq!(charged.count(), 0, "what goes back is uncharged, whoever brings it back");
    ensure!(!bench.beat(A)?.alive, "a session that has left is no more");
    Ok(())
}

pub(super) fn undecodable_items_end_step_by_step(bench: &mut Bench<'_>) -> Check {
    many(bench)?;
    let leases = leased(bench, A)?;
    bench.detach(B)?;
    let whole = |lease: &Lease| Settlement {
        token: lease.token,
        from: 0,
        to: lease.chunk.count(),
        end: End::Undecodable("missing field `id`".to_owned()),
    };
    let settlements: Vec<_> = leases.iter().map(whole).collect();
    for some in settlements.chunks(STEP_RECORDS / 2) {
        bench.settle_with(A, some.to_vec(), Vec::new(), Want::default())?;
    }
    minutes(bench, 20, &[A])?;
    let first = bench.reap(A)?;
    ensure!(first.more, "a reap says that there is more to do");
    let ended = first.dead.len();
    ensure!((1..=STEP_RECORDS).contains(&ended), "one step ends {STEP_RECORDS} items at most: {ended}");
    let mut calls = 0;
    while bench.reap(A)?.more {
        calls += 1;
        ensure!(calls < CALLS, "a reap of so many comes to an end");
    }
    let record = record(bench)?;
    ensure_eq!((record.dead, record.open()), (MANY, 0), "each of them is among the dead");
    Ok(())
}

pub(super) fn many_failures_in_one_call_are_kept_each_with_its_item(bench: &mut Bench<'_>) -> Check {
    const FAILING: u64 = 640;
    bench.attach(A, &[link(FAN)])?;
    let run = bench.filled(A, FAN, FAILING)?;
    let all = |bench: &mut Bench<'_>| bench.lease_of(A, FAN, u32::try_from(FAILING).unwrap_or(u32::MAX));
    for (attempt, last) in [("first", false), ("second", true)] {
        let now = bench.now;
        let leases = all(bench)?;
        let end = |n: u64| {
            let failure = failure(&format!("{attempt} of {n}"), now);
            if last { End::Dead(failure) } else { End::retry(now, now, failure) }
        };
        let items = leases.iter().flat_map(|lease| (0..lease.chunk.count()).map(move |n| (lease, n)));
        let settlements: Vec<_> = items
            .map(|(lease, n)| {
                let end = end(lease.chunk.header.start + u64::from(n));
                Settlement { token: lease.token, from: n, to: n + 1, end }
            })
            .collect();
        ensure_eq!(settlements.len() as u64, FAILING, "all items are leased for their {attempt} attempt");
        bench.settle_with(A, settlements, Vec::new(), Want::default())?;
    }
    let filter = jobs_core::DeadFilter::new().limit(2 * STEP_RECORDS);
    let dead = bench.ask(|store| store.dead(filter))?;
    ensure_eq!(dead.len() as u64, FAILING, "each of them is dead");
    for item in dead {
        let n = item.payload.as_u64().unwrap_or(u64::MAX);
        let said: Vec<_> = item.attempts.iter().map(|failure| failure.message.clone()).collect();
        let promised = [format!("first of {n}"), format!("second of {n}")];
        ensure_eq!((item.id, said), (run.item(n), promised.to_vec()), "each keeps its own attempts");
    }
    let report = bench.completed(run)?;
    let counted: u64 = report.errors.iter().map(|group| group.count).sum();
    ensure_eq!((report.counts.dead, counted), (FAILING, 2 * FAILING), "each failure is counted");
    Ok(())
}
