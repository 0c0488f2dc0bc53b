//! Settling: at most once, fenced, and one answer per call of a lane.

use jobs_core::{Effect, End, Lease, PutCell, RunId, Settle, Settlement, Token, Want};

use super::sessions::silence;
use crate::{
    bench::{A, B, Bench, FAN, all_numbers, link, slots},
    violation::Check,
};

/// A run with so many items, all leased to the first session in one lease.
pub(super) fn leased(bench: &mut Bench<'_>, n: u64) -> Check<(RunId, Lease)> {
    bench.attach(A, &[link(FAN)])?;
    bench.attach(B, &[link(FAN)])?;
    let run = bench.filled(A, FAN, n)?;
    let mut leases = bench.lease_of(A, FAN, 10)?;
    let numbers: Vec<u64> = (0..n).collect();
    ensure_eq!(all_numbers(&leases), numbers, "what is ready is leased");
    ensure_eq!(leases.len(), 1, "a lease covers a range of a chunk");
    Ok((run, leases.remove(0)))
}

pub(super) fn an_item_is_settled_once(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 5)?;
    bench.settle_part(A, &lease, 1, 3, End::Done(None))?;
    bench.settle_part(A, &lease, 0, 4, End::Discarded("again".to_owned()))?;
    let counts = bench.run(run)?.counts;
    ensure_eq!((counts.ok, counts.discarded), (2, 2), "only what was not settled is settled");
    // A range that leaves the lease is no reason to fail.
    bench.settle_part(A, &lease, 3, 99, End::Done(None))?;
    bench.settle(A, &lease, End::Discarded("and again".to_owned()))?;
    let counts = bench.run(run)?.counts;
    ensure_eq!((counts.total, counts.ok, counts.discarded), (5, 3, 2), "each item is settled at most once");
    Ok(())
}

pub(super) fn a_settlement_needs_the_session(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    let settled = bench.settle(B, &lease, End::Done(None))?;
    ensure_eq!(settled.lost, [lease.token], "the lease of another session is none");
    ensure_eq!(bench.run(run)?.counts.ok, 0, "the lease of another session settles nothing");
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 2, "the session that holds the lease settles it");
    Ok(())
}

pub(super) fn a_settlement_needs_the_token(bench: &mut Bench<'_>) -> Check {
    let (run, first) = leased(bench, 1)?;
    silence(bench, &[B])?;
    bench.reap(B)?;
    // The first session comes back, under its own name.
    bench.attach(A, &[link(FAN)])?;
    let second = bench.lease_one(A)?;
    ensure!(second.token > first.token, "tokens grow: {:?} came after {:?}", second.token, first.token);
    let settled = bench.settle(A, &first, End::Done(None))?;
    ensure_eq!(settled.lost, [first.token], "a lease that was taken away is lost");
    ensure_eq!(bench.run(run)?.counts.ok, 0, "a lost token settles nothing");
    bench.settle(A, &second, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 1, "the item's own token settles it");
    Ok(())
}

pub(super) fn lost_leases_are_told(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    let done = |token, from| Settlement { token, from, to: from + 1, end: End::Done(None) };
    let settlements = vec![done(Token(7), 0), done(lease.token, 0), done(lease.token, 1)];
    let settled = bench.settle_with(A, settlements, Vec::new(), Want::default())?;
    ensure_eq!(settled.lost, [Token(7)], "a lost lease is told, and only that");
    ensure_eq!(bench.run(run)?.counts.ok, 2, "what stands beside a lost lease is settled");
    silence(bench, &[B])?;
    bench.reap(B)?;
    let settled = bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(settled.lost, [lease.token], "all leases of a session that was reaped are lost");
    ensure_eq!(settled.leases, [], "a session that was reaped gets no leases");
    Ok(())
}

pub(super) fn a_repeated_call_of_a_lane_gets_the_same_leases(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 3)?;
    bench.filled(A, FAN, 6)?;
    let settlements = vec![Settlement { token: lease.token, from: 0, to: 2, end: End::Done(None) }];
    let settle = Settle { session: A, lane: 3, n: 1, settlements, effects: Vec::new(), want: slots(2) };
    let first = bench.ask(|store| store.settle(settle.clone()))?;
    ensure_eq!(all_numbers(&first.leases), [0, 1], "the call leases what it wants");
    let again = bench.ask(|store| store.settle(settle))?;
    ensure_eq!(again, first, "a repeat gets the same answer");
    ensure_eq!(all_numbers(&bench.lease(B, 9)?), [2, 3, 4, 5], "a repeat leases nothing more");
    ensure_eq!(bench.run(run)?.counts.ok, 2, "a repeat settles nothing more");
    Ok(())
}

pub(super) fn an_older_call_of_a_lane_changes_nothing(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    bench.filled(A, FAN, 4)?;
    let call =
        |n, settlements| Settle { session: A, lane: 3, n, settlements, effects: Vec::new(), want: slots(1) };
    // The first call never arrived in time: the second is answered before it.
    let first = call(1, vec![Settlement { token: lease.token, from: 0, to: 1, end: End::Done(None) }]);
    let second = call(2, Vec::new());
    let answer = bench.ask(|store| store.settle(second))?;
    ensure_eq!(answer.leases.len(), 1, "the call leases what it wants");
    let late = bench.ask(|store| store.settle(first))?;
    ensure_eq!(late.leases, [], "a call that is older than one that was answered leases nothing");
    ensure_eq!(
        bench.run(run)?.counts.ok,
        0,
        "a call that is older than one that was answered settles nothing"
    );
    ensure_eq!(all_numbers(&bench.lease(B, 9)?), [1, 2, 3], "it leased nothing");
    Ok(())
}

pub(super) fn effects_happen_with_their_settlement(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = leased(bench, 2)?;
    let end = |token, from| Settlement { token, from, to: from + 1, end: End::Done(None) };
    let put = |index: usize, name: &str| {
        let put = PutCell { value: Some(index.into()), ..PutCell::default() };
        (index, Effect::PutCell { name: name.to_owned(), put })
    };
    let settlements = vec![end(lease.token, 0), end(Token(7), 0), end(lease.token, 1)];
    let effects =
        vec![put(2, "effect/of-the-third"), put(0, "effect/of-the-first"), put(1, "effect/of-none")];
    bench.settle_with(A, settlements, effects, Want::default())?;
    let names = |bench: &mut Bench<'_>| -> Check<Vec<String>> {
        Ok(bench.ask(|store| store.list("effect/"))?.into_iter().map(|(name, _)| name).collect())
    };
    let there = names(bench)?;
    ensure_eq!(
        there,
        ["effect/of-the-first", "effect/of-the-third"],
        "an effect happens with its settlement, and not without"
    );
    let again = vec![end(lease.token, 0)];
    bench.settle_with(A, again, vec![put(0, "effect/of-a-repeat")], Want::default())?;
    ensure_eq!(names(bench)?.len(), 2, "an item that was settled before has no second effect");
    Ok(())
}
