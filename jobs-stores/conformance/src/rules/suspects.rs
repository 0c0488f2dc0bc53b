//! Items that a node held when it died.

use jobs_core::{End, FailureKind, JobWant, SessionId, Stage, Want};

use super::{sessions::silence, settling::leased};
use crate::{
    bench::{A, B, Bench, C, FAN, all_numbers, failure, link},
    violation::Check,
};

pub(super) fn suspects_are_leased_one_at_a_time(bench: &mut Bench<'_>) -> Check {
    bench.attach(C, &[link(FAN)])?;
    leased(bench, 3)?;
    silence(bench, &[B, C])?;
    ensure_eq!(bench.reap(B)?.items, 3, "all that the dead node held");
    let first = bench.lease(B, 9)?;
    ensure_eq!(all_numbers(&first).len(), 1, "a session holds one suspect at a time");
    let header = &first[0].chunk.header;
    ensure!(header.suspect, "what a dead node held is a suspect");
    ensure_eq!((header.attempt, header.crashes), (0, 0), "it is uncharged: it was not alone");
    ensure_eq!(bench.lease(B, 9)?, [], "a session holds one suspect at a time");
    ensure_eq!(all_numbers(&bench.lease(C, 9)?).len(), 1, "another session gets another one");
    bench.settle(B, &first[0], End::Done(None))?;
    ensure_eq!(all_numbers(&bench.lease(B, 9)?).len(), 1, "the next comes when the last is settled");
    Ok(())
}

pub(super) fn only_a_suspect_is_charged(bench: &mut Bench<'_>) -> Check {
    bench.attach(C, &[link(FAN)])?;
    leased(bench, 1)?;
    silence(bench, &[B, C])?;
    bench.reap(B)?;
    let lease = bench.lease_one(B)?;
    ensure_eq!(lease.chunk.header.crashes, 0, "who was not a suspect is not charged");
    silence(bench, &[C])?;
    bench.reap(C)?;
    let lease = bench.lease_one(C)?;
    let header = &lease.chunk.header;
    ensure_eq!((header.crashes, header.attempt), (1, 0), "a suspect is charged with a crash, not an attempt");
    bench.settle(C, &lease, End::Back)?;
    ensure_eq!(
        bench.lease_one(C)?.chunk.header.crashes,
        1,
        "what is given back keeps its crashes, and no more"
    );
    Ok(())
}

pub(super) fn an_item_that_kills_its_nodes_is_poison(bench: &mut Bench<'_>) -> Check {
    bench.attach(C, &[link(FAN)])?;
    let run = bench.filled(C, FAN, 1)?;
    for delivery in 1..=5 {
        ensure_eq!(bench.dead()?, [], "an item dies after five deliveries, not after {}", delivery - 1);
        let victim = SessionId(100 + delivery);
        bench.attach(victim, &[link(FAN)])?;
        bench.lease_one(victim)?;
        silence(bench, &[C])?;
        let reaped = bench.reap(C)?;
        let dead: Vec<_> = reaped.dead.iter().map(|(_, of, item, why)| (*of, *item, why.kind)).collect();
        let poison = (Some(run), run.item(0), FailureKind::Poison);
        let promised = if delivery < 5 { vec![] } else { vec![poison] };
        ensure_eq!(dead, promised, "a reap tells what is dead, after delivery {delivery}");
    }
    ensure_eq!(bench.lease(C, 9)?, [], "poison is not leased any more");
    let dead = bench.dead()?;
    ensure_eq!(dead.len(), 1, "poison is kept among the dead");
    ensure_eq!(dead[0].payload, serde_json::json!(0), "poison keeps its payload");
    let last = dead[0].attempts.last().map(|failure| failure.kind);
    ensure_eq!(last, Some(FailureKind::Poison), "poison says what it died of");
    ensure_eq!(bench.run(run)?.counts.dead, 1, "poison is counted as dead");
    Ok(())
}

pub(super) fn a_settled_attempt_ends_the_suspicion(bench: &mut Bench<'_>) -> Check {
    leased(bench, 1)?;
    silence(bench, &[B])?;
    bench.reap(B)?;
    let lease = bench.lease_one(B)?;
    ensure!(lease.chunk.header.suspect, "what a dead node held is a suspect");
    bench.settle(B, &lease, End::retry(bench.now, bench.now, failure("no", bench.now)))?;
    let lease = bench.lease_one(B)?;
    ensure!(!lease.chunk.header.suspect, "who has failed in an orderly way is no suspect any more");
    Ok(())
}

pub(super) fn a_suspect_query_needs_no_slot_of_its_job(bench: &mut Bench<'_>) -> Check {
    let narrow = jobs_core::Link { concurrency: 1, ..link(FAN) };
    bench.attach(A, std::slice::from_ref(&narrow))?;
    bench.attach(B, &[narrow])?;
    let fire = bench.by_hand(FAN);
    let (run, _) = bench.fired_and_leased(A, fire)?;
    silence(bench, &[B])?;
    bench.filled(B, FAN, 2)?;
    let item = bench.lease_one(B)?;
    ensure_eq!(item.chunk.header.stage, Stage::Work, "an item is in flight");
    bench.reap(B)?;
    let jobs = vec![JobWant { job: FAN.into(), slots: 0, per_slot: 1 }];
    let settled = bench.settle_with(B, Vec::new(), Vec::new(), Want { slots: 9, jobs })?;
    let leased: Vec<_> =
        settled.leases.iter().map(|lease| (lease.chunk.header.run(), lease.chunk.header.stage)).collect();
    ensure_eq!(leased, [(Some(run), Stage::Fill)], "a query waits for no slot of its job, a suspect neither");
    Ok(())
}
