//! Dead items: listed, tried again, discarded.

use jobs_core::{Cause, End, Failure, Firing, Header, IfBusy, ItemId, Requeue, Requeued, RunState, Trigger};

use super::{settling::leased, ticks::due};
use crate::{
    bench::{A, Bench, FAN, FAN_TOO, MINUTE, all_numbers, failure, link, numbers, tick},
    violation::{Broken, Check},
};

pub(super) fn dead_items_are_listed_newest_first(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    let old = bench.filled(A, FAN, 1)?;
    let new = bench.filled(A, FAN, 1)?;
    let mut leases = bench.lease(A, 2)?;
    ensure_eq!(leases.len(), 2, "both items are leased");
    // The item of the older run dies last.
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.chunk.header.number));
    for lease in &leases {
        bench.settle(A, lease, End::Dead(failure("no", bench.now)))?;
        bench.advance(MINUTE)?;
    }
    let dead: Vec<_> = bench.dead()?.into_iter().map(|item| item.id).collect();
    ensure_eq!(dead, [old.item(0), new.item(0)], "dead items are listed by their deaths, newest first");
    Ok(())
}

pub(super) fn the_end_of_a_query_forgets_no_attempt_of_an_item(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    let fire = bench.by_hand(FAN);
    let (_, fill) = bench.fired_and_leased(A, fire)?;
    bench.append(fill.token, 0, 7..8, Some(Some(b"1")), false)?;
    let item = bench.lease_one(A)?;
    bench.settle(A, &item, End::retry(bench.now, bench.now, failure("first", bench.now)))?;
    let item = bench.lease_one(A)?;
    bench.settle(A, &fill, End::retry(bench.now, bench.now, failure("of the query", bench.now)))?;
    let fill = bench.lease_one(A)?;
    ensure_eq!(fill.chunk.header.attempt, 1, "the query is tried again");
    bench.settle(A, &fill, End::Dead(failure("of the query", bench.now)))?;
    bench.settle(A, &item, End::Dead(failure("second", bench.now)))?;
    let dead = bench.dead()?;
    let said: Vec<_> =
        dead.iter().flat_map(|item| item.attempts.iter().map(|failure| failure.message.clone())).collect();
    ensure_eq!(said, ["first", "second"], "an item keeps its own attempts, whatever becomes of its query");
    Ok(())
}

/// Items 0..n of a run, all dead, in the order in which they died: the last one first.
fn buried(bench: &mut Bench<'_>, n: u32) -> Check<Vec<ItemId>> {
    let (run, lease) = leased(bench, u64::from(n))?;
    for index in (0..n).rev() {
        bench.settle_part(A, &lease, index, index + 1, End::Dead(failure("no", bench.now)))?;
    }
    bench.completed(run)?;
    Ok((0..n).rev().map(|index| run.item(u64::from(index))).collect())
}

fn requeued(bench: &mut Bench<'_>, request: u64, items: &[ItemId]) -> Check<Option<Requeued>> {
    let note = Some("mended".to_owned());
    let requeue = Requeue { request, job: FAN.into(), items: items.to_vec(), note };
    bench.ask(|store| store.requeue(requeue))
}

/// The run that some dead items are in now.
fn reborn(bench: &mut Bench<'_>, items: &[ItemId]) -> Check<Requeued> {
    let request = bench.request();
    requeued(bench, request, items)?
        .ok_or_else(|| Broken("dead items are requeued, and were not found".to_owned()))
}

pub(super) fn a_requeued_item_begins_anew_in_a_new_run(bench: &mut Bench<'_>) -> Check {
    let (old, lease) = leased(bench, 1)?;
    bench.settle(A, &lease, End::retry(bench.now, bench.now, failure("first", bench.now)))?;
    let again = bench.lease_one(A)?;
    bench.settle(A, &again, End::Dead(failure("second", bench.now)))?;
    let before = bench.completed(old)?;
    bench.advance(MINUTE)?;
    let since = bench.now;
    let new = reborn(bench, &[old.item(0)])?;
    let until = bench.now;
    ensure_eq!(new.items, 1, "the answer says how many items were requeued");
    ensure!(new.run != old, "dead items are requeued into a run of their own");
    ensure_eq!(bench.run(old)?, before, "a run that is over stays as it is");
    ensure_eq!(bench.dead()?, [], "an item that was requeued is no longer dead");
    let report = bench.run(new.run)?;
    let said = (&*report.job, report.trigger, report.tick, report.note.as_deref(), report.counts.total);
    ensure_eq!(said, (FAN, Trigger::Requeued, None, Some("mended"), 1), "the run says why it is");

    let lease = bench.lease_one(A)?;
    let Header { attempt, crashes, suspect, trigger, item_type, .. } = &lease.chunk.header;
    let header = (*attempt, *crashes, *suspect, *trigger, &**item_type);
    ensure_eq!(header, (0, 0, false, Trigger::Requeued, "u64"), "a requeued item begins anew");
    let stored = lease.chunk.header.enqueued_at;
    ensure!(
        (since..=until).contains(&stored),
        "a requeued item was stored when it was requeued, and says {stored}"
    );
    ensure_eq!(
        (lease.chunk.header.item(0), numbers(&lease)),
        (new.run.item(0), vec![0]),
        "it is of the new run"
    );
    bench.settle(A, &lease, End::Dead(failure("third", bench.now)))?;
    ensure_eq!(bench.completed(new.run)?.state, RunState::Failed, "the new run ends as its items did");
    let attempts = bench.dead()?.into_iter().flat_map(|item| item.attempts);
    let said: Vec<Failure> = attempts.collect();
    ensure_eq!(said.len(), 1, "a requeued item keeps the failures of its new life: {said:?}");
    Ok(())
}

pub(super) fn requeued_items_keep_the_order_of_their_deaths(bench: &mut Bench<'_>) -> Check {
    let mut dead = buried(bench, 5)?;
    dead.swap(0, 3);
    let new = reborn(bench, &dead[..4])?;
    ensure_eq!(new.items, 4, "the answer says how many items were requeued");
    let leases = bench.lease(A, 9)?;
    ensure_eq!(all_numbers(&leases), [4, 3, 2, 1], "what died first is tried first");
    ensure_eq!(bench.dead()?.len(), 1, "an item that nobody named stays dead");
    Ok(())
}

pub(super) fn an_item_is_requeued_once(bench: &mut Bench<'_>) -> Check {
    let dead = buried(bench, 3)?;
    let first = bench.request();
    let new = requeued(bench, first, &dead[..2])?;
    ensure_eq!(new.map(|new| new.items), Some(2), "the answer says how many items were requeued");
    ensure_eq!(requeued(bench, first, &dead[..2])?, new, "a repeat is answered as the first was");
    let second = bench.request();
    let rest = requeued(bench, second, &dead)?;
    ensure_eq!(rest.map(|rest| rest.items), Some(1), "an item that is not dead any more is passed over");
    let third = bench.request();
    ensure_eq!(requeued(bench, third, &dead)?, None, "without dead items no run is made");
    ensure_eq!(all_numbers(&bench.lease(A, 9)?).len(), 3, "each item is in one run");
    Ok(())
}

pub(super) fn a_run_of_dead_items_holds_no_tick(bench: &mut Bench<'_>) -> Check {
    let state = due(bench)?;
    let run = bench.filled(A, FAN, 1)?;
    let lease = bench.lease_one(A)?;
    bench.settle(A, &lease, End::Dead(failure("no", bench.now)))?;
    bench.completed(run)?;
    let new = reborn(bench, &[run.item(0)])?;
    let fire = tick(FAN, &state, state.cursor + MINUTE, IfBusy::Skip);
    ensure!(matches!(fire.cause, Cause::Tick { .. }), "a tick");
    let fired = bench.fire(A, fire)?;
    ensure!(matches!(fired, Firing::Fired { .. }), "run {} holds no tick, and it was {fired:?}", new.run);
    Ok(())
}

pub(super) fn a_discarded_death_is_forgotten(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN), link(FAN_TOO)])?;
    let dead = buried(bench, 3)?;
    let first = bench.request();
    let discard = |bench: &mut Bench<'_>, request, items: &[ItemId]| {
        let items = items.to_vec();
        bench.ask(|store| store.discard(request, items))
    };
    ensure_eq!(discard(bench, first, &dead[..2])?, 2, "the answer says how many there were");
    ensure_eq!(discard(bench, first, &dead[..2])?, 2, "a repeat is answered as the first was");
    let left: Vec<_> = bench.dead()?.into_iter().map(|item| item.id).collect();
    ensure_eq!(left, dead[2..], "an item that nobody named stays");
    let second = bench.request();
    ensure_eq!(discard(bench, second, &dead)?, 1, "an item that is not there is not counted");
    ensure_eq!(bench.dead()?, [], "what was discarded is not listed");
    let third = bench.request();
    ensure_eq!(requeued(bench, third, &dead)?, None, "what was discarded cannot be requeued");
    Ok(())
}
