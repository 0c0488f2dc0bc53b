//! What a query found: staged or page by page, fenced and in order.

use jobs_core::{Appended, Completion, End, Lease, RunId, RunState, SessionId, Stage, Token};

use super::sessions::silence;
use crate::{
    bench::{A, B, Bench, C, FAN, all_numbers, failure, link},
    violation::{Broken, Check},
};

/// A run of a query, and the lease of its fill item.
fn filling(bench: &mut Bench<'_>) -> Check<(RunId, Lease)> {
    bench.attach(A, &[link(FAN)])?;
    let fire = bench.by_hand(FAN);
    let (run, lease) = bench.fired_and_leased(A, fire)?;
    ensure_eq!(
        lease.chunk.header.stage,
        Stage::Fill,
        "the first item of a run with a query is its fill item"
    );
    Ok((run, lease))
}

/// All items that are ready, leased one lease after another.
pub(super) fn drain(bench: &mut Bench<'_>) -> Check<Vec<Lease>> {
    let mut all = Vec::new();
    loop {
        let leases = bench.lease_of(A, FAN, 7)?;
        if leases.is_empty() {
            return Ok(all);
        }
        all.extend(leases);
        ensure!(all.len() < 1_000, "what is leased is not ready any more, and was leased again and again");
    }
}

fn ready(appended: &Appended) -> Check<(u64, u64)> {
    match appended {
        Appended::Stored { ready, total } => Ok((*ready, *total)),
        other => Err(Broken(format!("an append under a good lease, in its turn, was answered {other:?}"))),
    }
}

pub(super) fn an_append_needs_the_lease(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    bench.attach(B, &[link(FAN)])?;
    let unknown = bench.append(Token(1), 0, 0..3, None, true)?;
    ensure_eq!(unknown, Appended::Lost, "an append under a lease that never was is lost");
    silence(bench, &[B])?;
    bench.reap(B)?;
    let second = bench.lease_one(B)?;
    for last in [false, true] {
        let late = bench.append(lease.token, 0, 100..103, None, last)?;
        ensure_eq!(late, Appended::Lost, "an append under a lease that was taken over is lost");
    }
    bench.stored_all(&second, 0..2)?;
    let late = bench.append(lease.token, 0, 100..103, None, true)?;
    ensure_eq!(late, Appended::Lost, "an append under a lease that was taken over is lost");
    ensure_eq!(bench.run(run)?.counts.total, 2, "what was lost is not stored");
    Ok(())
}

pub(super) fn appends_are_stored_in_their_order(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    let early = bench.append(lease.token, 1, 2..4, None, true)?;
    ensure_eq!(early, Appended::OutOfOrder { expected: 0 }, "an append before its turn does nothing");
    ready(&bench.append(lease.token, 0, 0..2, None, false)?)?;
    let early = bench.append(lease.token, 2, 4..6, None, false)?;
    ensure_eq!(early, Appended::OutOfOrder { expected: 1 }, "an append before its turn does nothing");
    ready(&bench.append(lease.token, 1, 2..4, None, true)?)?;
    ensure_eq!(all_numbers(&drain(bench)?), [0, 1, 2, 3], "what was stored is what came in its turn");
    ensure_eq!(bench.run(run)?.counts.total, 4, "what was stored is counted");
    Ok(())
}

pub(super) fn a_repeated_append_stores_nothing(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    let mut totals = Vec::new();
    for (seq, last) in [(0, false), (0, false), (1, true), (1, true)] {
        totals.push(ready(&bench.append(lease.token, seq, 10 * seq..10 * seq + 3, None, last)?)?.1);
    }
    ensure_eq!(totals, [3, 3, 6, 6], "a repeat is answered as the first was, also the last one");
    ensure_eq!(all_numbers(&drain(bench)?), [0, 1, 2, 10, 11, 12], "a repeat stores nothing");
    ensure_eq!(bench.run(run)?.counts.total, 6, "a repeat counts nothing");
    Ok(())
}

pub(super) fn staged_items_are_invisible_before_the_last(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    let staged = ready(&bench.append(lease.token, 0, 0..25, None, false)?)?;
    ensure_eq!(staged, (0, 25), "staged items are counted for the run, and are not ready");
    ensure_eq!(bench.lease(A, 50)?, [], "staged items are not leased");
    ensure_eq!(bench.run(run)?.state, RunState::Filling, "the run is filling");
    let published = ready(&bench.append(lease.token, 1, 25..30, None, true)?)?;
    ensure_eq!(published, (30, 30), "the last append publishes all");
    let items: Vec<u64> = (0..30).collect();
    ensure_eq!(all_numbers(&drain(bench)?), items, "what was staged is leased once it is published");
    Ok(())
}

pub(super) fn a_second_lease_drops_what_the_first_staged(bench: &mut Bench<'_>) -> Check {
    let (run, first) = filling(bench)?;
    ready(&bench.append(first.token, 0, 0..5, None, false)?)?;
    bench.settle(A, &first, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
    let second = bench.lease_one(A)?;
    ready(&bench.append(second.token, 0, 100..103, None, false)?)?;
    bench.settle(A, &second, End::Back)?;
    let third = bench.lease_one(A)?;
    bench.stored_all(&third, 200..204)?;
    ensure_eq!(all_numbers(&drain(bench)?), [200, 201, 202, 203], "what an earlier lease staged is dropped");
    ensure_eq!(bench.run(run)?.counts.total, 4, "what was dropped is not counted");
    Ok(())
}

pub(super) fn pages_are_visible_at_once(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = filling(bench)?;
    let stored = ready(&bench.append(lease.token, 0, 0..3, Some(Some(b"3")), false)?)?;
    ensure_eq!(stored, (3, 3), "the items of a page are ready at once");
    ensure_eq!(all_numbers(&drain(bench)?), [0, 1, 2], "the items of a page are leased at once");
    ready(&bench.append(lease.token, 1, 3..5, Some(None), true)?)?;
    ensure_eq!(all_numbers(&drain(bench)?), [3, 4], "the items of the last page are leased");
    Ok(())
}

pub(super) fn a_page_is_resumed_at_its_cursor(bench: &mut Bench<'_>) -> Check {
    let (run, first) = filling(bench)?;
    ensure_eq!(first.cursor, None, "a query begins without a cursor");
    ready(&bench.append(first.token, 0, 0..3, Some(Some(b"three")), false)?)?;
    bench.settle(A, &first, End::Back)?;
    // The fill item stands before what it found, or behind: whichever is leased, it is in there.
    let second = bench.lease(A, 9)?.into_iter().find(|lease| lease.chunk.header.stage == Stage::Fill);
    let Some(second) = second else {
        return Err(Broken("a fill item that was given back is ready, and was not leased".to_owned()));
    };
    ensure_eq!(second.cursor.as_deref(), Some(&b"three"[..]), "the cursor that was stored with the page");
    ready(&bench.append(second.token, 0, 3..5, Some(None), true)?)?;
    ensure_eq!(bench.run(run)?.counts.total, 5, "what was published stays, once");
    Ok(())
}

pub(super) fn a_stored_page_starts_the_attempts_anew(bench: &mut Bench<'_>) -> Check {
    let (_, first) = filling(bench)?;
    ensure_eq!(first.chunk.header.attempt, 0, "no attempt was counted before the first");
    bench.settle(A, &first, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
    let second = bench.lease_one(A)?;
    ensure_eq!(second.chunk.header.attempt, 1, "an attempt that failed is counted");
    ready(&bench.append(second.token, 0, 0..0, Some(Some(b"0")), false)?)?;
    bench.settle(A, &second, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
    let third = bench.lease_one(A)?;
    ensure_eq!(third.chunk.header.attempt, 1, "a stored page starts the attempts anew");
    Ok(())
}

pub(super) fn a_stored_page_ends_the_suspicion(bench: &mut Bench<'_>) -> Check {
    bench.attach(C, &[link(FAN)])?;
    let fire = bench.by_hand(FAN);
    let run = bench.stored(fire)?;
    for page in 0..8_u8 {
        let victim = SessionId(100 + u64::from(page));
        bench.attach(victim, &[link(FAN)])?;
        let lease = bench.lease_one(victim)?;
        let header = &lease.chunk.header;
        ensure_eq!((header.stage, header.crashes), (Stage::Fill, 0), "a query that gets on is not charged");
        ready(&bench.append(lease.token, 0, 0..0, Some(Some(&[page])), false)?)?;
        silence(bench, &[C])?;
        let reaped = bench.reap(C)?;
        ensure_eq!((reaped.items, reaped.dead.len()), (1, 0), "a query that gets on is no poison");
    }
    ensure_eq!(bench.run(run)?.state, RunState::Filling, "a query that gets on goes on");
    Ok(())
}

pub(super) fn the_last_append_ends_the_filling(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    bench.stored_all(&lease, 0..3)?;
    ensure_eq!(bench.run(run)?.state, RunState::Working, "a run whose query is through is working");
    bench.settle(A, &lease, End::Dead(failure("late", bench.now)))?;
    let leases = drain(bench)?;
    ensure_eq!(all_numbers(&leases), [0, 1, 2], "the fill item is settled, and comes back no more");
    for lease in &leases {
        bench.settle(A, lease, End::Done(None))?;
    }
    ensure_eq!(bench.completed(run)?.state, RunState::Succeeded, "what is settled late changes nothing");
    Ok(())
}

pub(super) fn a_query_that_finds_nothing_ends_its_run(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    ensure_eq!(bench.complete(run, false)?, Completion::Open, "a run is not over while it is filling");
    bench.stored_all(&lease, 0..0)?;
    let completable = bench.ask(|store| store.completable(9))?;
    ensure_eq!(completable, [run], "a run without items may be over when its query is through");
    let report = bench.completed(run)?;
    ensure_eq!((report.state, report.counts.total), (RunState::Succeeded, 0), "it succeeded");
    Ok(())
}

pub(super) fn a_query_that_fails_for_good_fails_its_run(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = filling(bench)?;
    ready(&bench.append(lease.token, 0, 0..3, None, false)?)?;
    let settled = bench.settle(A, &lease, End::Dead(failure("no such table", bench.now)))?;
    ensure_eq!(settled.ended, [run], "a run whose query is dead, and that has no items, may be over");
    let report = bench.completed(run)?;
    ensure_eq!((report.state, report.counts.total), (RunState::Failed, 0), "what was staged is dropped");
    ensure_eq!(bench.lease(A, 9)?, [], "what was staged is dropped");
    let errors: Vec<_> = report.errors.iter().map(|group| (&*group.message, group.count)).collect();
    ensure_eq!(errors, [("no such table", 1)], "the query's error is kept with the run");
    ensure_eq!(bench.dead()?, [], "a query is no item that could be requeued");
    Ok(())
}
