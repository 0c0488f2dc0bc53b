//! Payloads that a build cannot decode, and chunks of a newer format.

use std::time::Duration;

use jobs_core::{Body, Chunk, End, FORMAT, FailureKind, Header, Lease, SessionId, Stage};

use super::{sessions::silence, settling::leased};
use crate::{
    bench::{A, B, Bench, C, FAN, MINUTE, link},
    violation::Check,
};

/// Time passes in which these sessions are heard of.
pub(super) fn minutes(bench: &mut Bench<'_>, minutes: u32, heard: &[SessionId]) -> Check {
    for _ in 0..minutes.div_ceil(5) {
        bench.advance(minutes * MINUTE / minutes.div_ceil(5))?;
        for session in heard {
            bench.beat(*session)?;
        }
    }
    Ok(())
}

fn undecodable(bench: &mut Bench<'_>, session: SessionId, lease: &Lease) -> Check {
    bench.settle(session, lease, End::Undecodable("missing field `id`".to_owned())).map(drop)
}

pub(super) fn a_build_that_cannot_decode_is_not_offered_the_item_again(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 2)?;
    undecodable(bench, A, &lease)?;
    ensure_eq!(bench.lease(A, 9)?, [], "a build that cannot decode an item is not offered it again");
    let leases = bench.lease(B, 9)?;
    let items: u32 = leases.iter().map(|lease| lease.chunk.count()).sum();
    ensure_eq!(items, 2, "another build is offered it");
    for lease in &leases {
        let header = &lease.chunk.header;
        ensure_eq!((header.attempt, header.fresh), (0, true), "no attempt is counted");
        bench.settle(B, lease, End::Done(None))?;
    }
    ensure_eq!(bench.run(run)?.counts.ok, 2, "a build that can decode it works it off");
    Ok(())
}

pub(super) fn an_undecodable_item_lives_a_quarter_of_an_hour(bench: &mut Bench<'_>) -> Check {
    let (run, lease) = leased(bench, 1)?;
    bench.detach(B)?;
    silence(bench, &[A])?;
    undecodable(bench, A, &lease)?;
    minutes(bench, 14, &[A])?;
    ensure_eq!(bench.reap(A)?.dead.len(), 0, "after 14 minutes a deploy may still bring a build that can");
    minutes(bench, 2, &[A])?;
    let dead = bench.reap(A)?.dead;
    let dead: Vec<_> = dead.iter().map(|(_, of, item, why)| (*of, *item, why.kind)).collect();
    let promised = [(Some(run), run.item(0), FailureKind::Undecodable)];
    ensure_eq!(dead, promised, "after 15 minutes an item that no live build can decode is dead");
    let dead = bench.dead()?;
    ensure_eq!(dead.len(), 1, "it is kept among the dead");
    ensure_eq!(dead[0].payload, serde_json::json!(0), "it keeps its payload");
    Ok(())
}

pub(super) fn an_undecodable_item_waits_for_every_live_build(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = leased(bench, 1)?;
    undecodable(bench, A, &lease)?;
    minutes(bench, 30, &[A, B])?;
    ensure_eq!(bench.reap(A)?.dead.len(), 0, "a live build that links the job has not tried it");
    let lease = bench.lease_one(B)?;
    undecodable(bench, B, &lease)?;
    ensure_eq!(bench.reap(A)?.dead.len(), 1, "all live builds have failed on it, the first long ago");
    Ok(())
}

pub(super) fn a_chunk_of_a_newer_format_is_left_alone(bench: &mut Bench<'_>) -> Check {
    bench.attach(A, &[link(FAN)])?;
    bench.attach(C, &[link(FAN)])?;
    let fire = bench.by_hand(FAN);
    let (run, fill) = bench.fired_and_leased(A, fire)?;
    let header = Header {
        format: FORMAT + 1,
        stage: Stage::Work,
        start: 100,
        number: run.number(),
        ..fill.chunk.header.clone()
    };
    if !bench.plant(Chunk { header, body: Body::unit() })? {
        return Ok(());
    }
    bench.stored_all(&fill, 0..2)?;
    let leases = bench.lease(A, 9)?;
    let newer =
        leases.iter().any(|lease| lease.chunk.header.format > FORMAT || lease.chunk.header.start >= 100);
    ensure!(!newer, "a chunk of a newer format is left alone, and was leased: {leases:?}");
    let items: u32 = leases.iter().map(|lease| lease.chunk.count()).sum();
    ensure_eq!(items, 2, "what stands beside it is leased");
    bench.advance(Duration::from_secs(1))?;
    ensure_eq!(bench.lease(C, 9)?, [], "a chunk of a newer format is left alone");
    Ok(())
}
