//! Sessions: beats, take-over, orphans, leaving.

use std::time::Duration;

use jobs_core::{Attach, Beat, End, Lease, Token};

use super::settling::leased;
use crate::{
    bench::{A, B, Bench, C, FAN, LEASE, LONG, all_numbers, attach, link},
    violation::Check,
};

/// More than a lease passes, in which only these sessions are heard of.
pub(super) fn silence(bench: &mut Bench<'_>, heard: &[jobs_core::SessionId]) -> Check {
    for _ in 0..3 {
        bench.advance(LEASE.mul_f64(0.4))?;
        for session in heard {
            let alive = bench.beat(*session)?.alive;
            ensure!(alive, "a session that beats within its lease is alive");
        }
    }
    Ok(())
}

fn back(bench: &mut Bench<'_>, session: jobs_core::SessionId) -> Check<Vec<Lease>> {
    bench.lease(session, 9)
}

pub(super) fn the_items_of_a_dead_session_come_back(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    silence(bench, &[B])?;
    ensure_eq!(bench.lease(B, 9)?, [], "what is leased stays so until it is reaped");
    let reaped = bench.reap(B)?;
    ensure_eq!((reaped.nodes.len(), reaped.items), (1, 1), "a reap tells what it took back");
    ensure_eq!(all_numbers(&back(bench, B)?), [0], "the items of a dead session are ready again");
    Ok(())
}

pub(super) fn a_live_session_keeps_its_items(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    silence(bench, &[A, B])?;
    let reaped = bench.reap(B)?;
    ensure_eq!((reaped.nodes.len(), reaped.items), (0, 0), "a session that beats is reaped by nobody");
    ensure_eq!(bench.lease(B, 9)?, [], "its items are leased to nobody else");
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 2, "it settles what it holds");
    Ok(())
}

pub(super) fn an_expired_session_is_renewed_by_a_beat(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    silence(bench, &[B])?;
    let held = Some(vec![lease.token]);
    let pulse =
        bench.beat_with(Beat { session: A, held, reconnected: true, as_of: jobs_core::Millis::MAX })?;
    ensure_eq!(
        (pulse.alive, pulse.lost.len()),
        (true, 0),
        "a session that nobody reaped is renewed, not lost"
    );
    let reaped = bench.reap(B)?;
    ensure_eq!(reaped.items, 0, "a session that was renewed is not reaped");
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 2, "it settles what it holds");
    Ok(())
}

pub(super) fn a_reaped_session_is_told(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    silence(bench, &[B])?;
    bench.reap(B)?;
    ensure!(!bench.beat(A)?.alive, "a session that was reaped is told by its next beat");
    ensure!(!bench.beat(C)?.alive, "a session that never was is not alive");
    Ok(())
}

pub(super) fn a_session_reaps_nobody_during_its_first_lease(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    bench.advance(LONG)?;
    bench.attach(C, &[link(FAN)])?;
    let reaped = bench.reap(C)?;
    ensure_eq!((reaped.nodes.len(), reaped.items), (0, 0), "a session that just came reaps nobody");
    ensure_eq!(back(bench, C)?, [], "what is leased stays so until it is reaped");
    silence(bench, &[C])?;
    ensure_eq!(bench.reap(C)?.items, 1, "after one lease of its own it reaps");
    Ok(())
}

pub(super) fn a_reconnected_session_reaps_nobody_for_a_lease(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    silence(bench, &[B])?;
    bench.beat_with(Beat { session: B, held: None, reconnected: true, as_of: jobs_core::Millis::MAX })?;
    let reaped = bench.reap(B)?;
    ensure_eq!(
        (reaped.nodes.len(), reaped.items),
        (0, 0),
        "a session that was cut off reaps nobody at first"
    );
    silence(bench, &[B])?;
    ensure_eq!(bench.reap(B)?.items, 1, "after one lease it reaps again");
    Ok(())
}

pub(super) fn an_expired_session_reaps_nobody(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 1)?;
    // The store was away for all: both sessions have expired, and the second is back first.
    bench.advance(LONG)?;
    ensure_eq!(bench.reap(B)?.items, 0, "a session that has expired itself reaps nobody");
    bench.beat(B)?;
    ensure_eq!(bench.reap(B)?.items, 0, "nor does it just after its renewal, though it does not say so");
    ensure!(bench.beat(A)?.alive, "an outage by itself ends no session");
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 1, "an outage by itself gives nobody's work to others");
    Ok(())
}

pub(super) fn an_expired_session_leases_nothing(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.filled(A, FAN, 2)?;
    bench.advance(LONG)?;
    ensure_eq!(bench.lease(A, 9)?, [], "what a session held that has expired would count against no limit");
    let fire = bench.by_hand(FAN);
    let (_, lease) = bench.fired(A, fire)?;
    ensure_eq!(lease, None, "nor does it get the first item of what it fires");
    ensure!(bench.beat(A)?.alive, "a session that nobody reaped is renewed");
    let items: u32 = bench.lease(A, 9)?.iter().map(|lease| lease.chunk.count()).sum();
    ensure_eq!(items, 3, "once it is renewed it leases again");
    Ok(())
}

pub(super) fn an_orphaned_lease_goes_back(bench: &mut Bench<'_>) -> Check {
    let (_, known) = leased(bench, 2)?;
    bench.filled(A, FAN, 1)?;
    // The answer with this lease is lost.
    bench.lease_one(A)?;
    silence(bench, &[A, B])?;
    let pulse = bench.beat_with(Beat {
        session: A,
        held: Some(vec![known.token]),
        reconnected: false,
        as_of: jobs_core::Millis::MAX,
    })?;
    ensure_eq!((pulse.alive, pulse.lost.len()), (true, 0), "what the session holds is not lost");
    let leases = back(bench, B)?;
    ensure_eq!(all_numbers(&leases), [0], "what the session does not know of goes back, and only that");
    let header = &leases[0].chunk.header;
    let charged = (header.attempt, header.crashes, header.suspect);
    ensure_eq!(charged, (0, 0, false), "an orphan goes back uncharged");
    Ok(())
}

pub(super) fn a_young_lease_is_no_orphan(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    bench.advance(Duration::from_secs(30))?;
    // The answer with the lease is still on its way.
    let pulse = bench.beat_with(Beat {
        session: A,
        held: Some(Vec::new()),
        reconnected: false,
        as_of: jobs_core::Millis::MAX,
    })?;
    ensure!(pulse.alive, "the session is alive");
    ensure_eq!(back(bench, B)?, [], "a lease that is younger than a session's lease is no orphan");
    bench.settle(A, &lease, End::Done(None))?;
    ensure_eq!(bench.run(run)?.counts.ok, 2, "it is settled when it has arrived");
    Ok(())
}

pub(super) fn a_beat_tells_lost_leases(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = leased(bench, 2)?;
    let held = Some(vec![Token(7), lease.token]);
    let pulse =
        bench.beat_with(Beat { session: A, held, reconnected: false, as_of: jobs_core::Millis::MAX })?;
    ensure_eq!(pulse.lost, [Token(7)], "a lease that the session does not have is told");
    Ok(())
}

pub(super) fn detach_gives_everything_back_uncharged(bench: &mut Bench<'_>) -> Check {
    leased(bench, 3)?;
    bench.detach(A)?;
    let leases = back(bench, B)?;
    ensure_eq!(all_numbers(&leases), [0, 1, 2], "what a session held is ready when it has left");
    let uncharged = |lease: &Lease| {
        let header = &lease.chunk.header;
        (header.attempt, header.crashes, header.suspect, header.fresh) == (0, 0, false, true)
    };
    ensure!(leases.iter().all(uncharged), "what goes back is uncharged, and were {leases:?}");
    ensure!(!bench.beat(A)?.alive, "a session that has left is no more");
    Ok(())
}

pub(super) fn sessions_known_to_be_gone_are_reaped_at_attach(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    let attached = bench.attach_with(Attach { gone: vec![A], ..attach(C, &[link(FAN)]) })?;
    let told = (attached.reaped.nodes.len(), attached.reaped.items);
    ensure_eq!(told, (1, 1), "what was taken back is told");
    ensure!(attached.others.iter().all(|other| other.session != A), "what is gone is not listed");
    let leases = back(bench, C)?;
    ensure_eq!(
        all_numbers(&leases),
        [0],
        "the items of a session that is gone for certain are ready at once"
    );
    ensure!(leases[0].chunk.header.suspect, "its node died holding it");
    ensure!(!bench.beat(A)?.alive, "a session that was reaped is no more");
    Ok(())
}
