//! How items end, or their attempts.

use jobs_core::{Counts, End, RunId};

use super::{filling::drain, settling::leased};
use crate::{
    bench::{A, Bench, FAN, MINUTE, all_numbers, failure, link, numbers},
    violation::Check,
};

/// Ends all items of a run of three in one way, and gives what was counted.
fn ended(bench: &mut Bench<'_>, end: End) -> Check<(RunId, Counts)> {
    let (run, lease) = leased(bench, 3)?;
    bench.settle(A, &lease, end)?;
    ensure_eq!(bench.lease(A, 9)?, [], "an item that has ended is not leased again");
    ensure_eq!(
        bench.ask(|store| store.completable(9))?,
        [run],
        "a run whose items have all ended may be over"
    );
    Ok((run, bench.run(run)?.counts))
}

pub(super) fn a_done_item_is_counted(bench: &mut Bench<'_>) -> Check {
    let (_, counts) = ended(bench, End::Done(None))?;
    ensure_eq!(counts, Counts { total: 3, ok: 3, ..Counts::default() }, "items that are done are counted so");
    Ok(())
}

pub(super) fn a_discarded_item_is_counted(bench: &mut Bench<'_>) -> Check {
    let (_, counts) = ended(bench, End::Discarded("no longer wanted".to_owned()))?;
    let promised = Counts { total: 3, discarded: 3, ..Counts::default() };
    ensure_eq!(counts, promised, "items that are discarded are counted so");
    ensure_eq!(bench.dead()?, [], "a discarded item is not dead");
    Ok(())
}

pub(super) fn a_cancelled_item_is_counted(bench: &mut Bench<'_>) -> Check {
    let (_, counts) = ended(bench, End::Cancelled)?;
    let promised = Counts { total: 3, cancelled: 3, ..Counts::default() };
    ensure_eq!(counts, promised, "items that are cancelled are counted so");
    Ok(())
}

pub(super) fn an_expired_item_is_counted(bench: &mut Bench<'_>) -> Check {
    let (_, counts) = ended(bench, End::Expired)?;
    let promised = Counts { total: 3, expired: 3, ..Counts::default() };
    ensure_eq!(counts, promised, "items that have expired are counted so");
    Ok(())
}

pub(super) fn a_retried_item_comes_back_as_its_next_attempt(bench: &mut Bench<'_>) -> Check {
    let (run, mut lease) = leased(bench, 1)?;
    for attempt in 1..4 {
        bench.settle(A, &lease, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
        lease = bench.lease_one(A)?;
        let header = &lease.chunk.header;
        ensure_eq!((header.attempt, header.fresh), (attempt, false), "an attempt that failed is counted");
        ensure_eq!(header.item(0), run.item(0), "an item keeps its id");
    }
    bench.settle(A, &lease, End::Done(None))?;
    let promised = Counts { total: 1, ok: 1, retries: 3, ..Counts::default() };
    ensure_eq!(bench.run(run)?.counts, promised, "attempts after the first are counted");
    Ok(())
}

pub(super) fn a_retry_waits_for_its_time(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = leased(bench, 2)?;
    let at = bench.now + 5 * MINUTE;
    let settled = bench.settle_part(A, &lease, 0, 1, End::retry(at, bench.now, failure("no", bench.now)))?;
    ensure_eq!(settled.next_due, Some(at), "a settle tells when the next item is due");
    bench.settle_part(A, &lease, 1, 2, End::snooze(at + MINUTE, bench.now))?;
    ensure_eq!(bench.lease(A, 9)?, [], "what waits for its time is not leased before");
    bench.advance(4 * MINUTE)?;
    ensure_eq!(bench.lease(A, 9)?, [], "what waits for its time is not leased a minute before");
    bench.advance(MINUTE)?;
    ensure_eq!(all_numbers(&bench.lease(A, 9)?), [0], "a retry is leased when its time has come");
    bench.advance(MINUTE)?;
    ensure_eq!(all_numbers(&bench.lease(A, 9)?), [1], "a snoozed item is leased when its time has come");
    Ok(())
}

pub(super) fn a_snoozed_item_comes_back_uncharged(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 1)?;
    bench.settle(A, &lease, End::snooze(bench.now, bench.now))?;
    let lease = bench.lease_one(A)?;
    ensure_eq!(lease.chunk.header.attempt, 0, "a snooze is no attempt");
    bench.settle(A, &lease, End::Done(None))?;
    let promised = Counts { total: 1, ok: 1, ..Counts::default() };
    ensure_eq!(bench.run(run)?.counts, promised, "a snooze is no retry");
    Ok(())
}

pub(super) fn a_dead_item_keeps_its_payload_and_failures(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 3)?;
    bench.settle_part(A, &lease, 0, 1, End::Done(None))?;
    bench.settle_part(A, &lease, 2, 3, End::Done(None))?;
    bench.settle_part(A, &lease, 1, 2, End::retry(bench.now, bench.now, failure("first", bench.now)))?;
    let lease = bench.lease_one(A)?;
    bench.settle(A, &lease, End::Dead(failure("second", bench.now)))?;
    let dead = bench.dead()?;
    ensure_eq!(dead.len(), 1, "an item that is out of attempts is dead");
    let item = &dead[0];
    let named = (item.id, &*item.job, item.run, &item.payload);
    ensure_eq!(named, (run.item(1), FAN, Some(run), &serde_json::json!(1)), "a dead item keeps what it was");
    let said: Vec<_> = item.attempts.iter().map(|failure| &*failure.message).collect();
    ensure_eq!(said, ["first", "second"], "a dead item keeps the failure of each attempt");
    let promised = Counts { total: 3, ok: 2, dead: 1, retries: 1, ..Counts::default() };
    ensure_eq!(bench.run(run)?.counts, promised, "a dead item is counted");
    ensure_eq!(bench.lease(A, 9)?, [], "a dead item is not tried again");
    Ok(())
}

pub(super) fn a_run_keeps_its_errors(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 4)?;
    let retry = |bench: &Bench<'_>, text| End::retry(bench.now, bench.now, failure(text, bench.now));
    let end = retry(bench, "timed out");
    bench.settle_part(A, &lease, 0, 2, end)?;
    let end = retry(bench, "refused");
    bench.settle_part(A, &lease, 2, 3, end)?;
    bench.settle_part(A, &lease, 3, 4, End::Dead(failure("timed out", bench.now)))?;
    let errors = bench.run(run)?.errors;
    let errors: Vec<_> = errors.iter().map(|group| (&*group.message, group.count, group.sample)).collect();
    let promised = [("timed out", 3, run.item(0)), ("refused", 1, run.item(2))];
    ensure_eq!(errors, promised, "failed attempts are grouped by what they say, in the order of their first");
    Ok(())
}

pub(super) fn given_back_items_return_to_their_place(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 30)?;
    let first = bench.lease_of(A, FAN, 3)?;
    let second = bench.lease_of(A, FAN, 3)?;
    ensure_eq!(all_numbers(&first), [0, 1, 2], "what is ready is leased in its order");
    bench.advance(MINUTE)?;
    for lease in second.iter().chain(&first) {
        let done = u32::from(numbers(lease).first() == Some(&0));
        bench.settle_part(A, lease, 0, done, End::Done(None))?;
        bench.settle_part(A, lease, done, lease.chunk.count(), End::Back)?;
    }
    let leases = drain(bench)?;
    let rest: Vec<u64> = (1..30).collect();
    ensure_eq!(all_numbers(&leases), rest, "items that were given back stand where they stood");
    let uncharged = |lease: &jobs_core::Lease| {
        let header = &lease.chunk.header;
        header.attempt == 0 && header.fresh && !header.suspect && header.crashes == 0
    };
    ensure!(leases.iter().all(uncharged), "items that were given back are uncharged");
    Ok(())
}
