//! A job that takes over what belongs to another one that is there, with items in every place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{Place, append, by_hand, done, numbers, open};
use jobs_core::{
    Attach, Completion, DeadFilter, End, Failure, FailureKind, Firing, JobRecord, JobWant, Lease, Link, Node,
    Requeue, RunFilter, RunId, SessionId, Settle, Settlement, Store, Want,
};
use jobs_redis::RedisStore;

const OLD: &str = "suite.old";
const NEW: &str = "suite.new";
const ITEMS: u64 = 1_500;

fn link(job: &str) -> Link {
    Link { query: true, concurrency: 10_000, ..Link::new(job) }
}

async fn attach(store: &RedisStore, session: u64, links: Vec<Link>) {
    let (session, lease) = (SessionId(session), Duration::from_secs(600));
    store.attach(Attach { session, lease, node: Node::default(), links, gone: Vec::new() }).await.unwrap();
}

async fn settle(
    store: &RedisStore,
    session: u64,
    n: u64,
    settlements: Vec<Settlement>,
    job: &str,
    items: u32,
) -> Vec<Lease> {
    let other = if job == OLD { NEW } else { OLD };
    let wanted = |job: &str, per_slot| JobWant { job: job.into(), slots: 1, per_slot };
    let want = Want { slots: u32::from(items > 0), jobs: vec![wanted(job, items), wanted(other, 0)] };
    let settle = Settle { session: SessionId(session), lane: 0, n, settlements, effects: Vec::new(), want };
    store.settle(settle).await.unwrap().value.leases
}

/// A run of a job with items that are ready, given back, in flight, waiting and dead; and what is in flight.
async fn scattered(store: &RedisStore, job: &str, n: u64) -> (RunId, Lease) {
    let fire = jobs_core::Fire { job: job.into(), ..by_hand(n) };
    let want = Want { slots: 1, jobs: Vec::new() };
    let fired = store.fire(Some(SessionId(1)), vec![fire], want).await.unwrap().value.pop();
    let Some(Firing::Fired { run, lease: Some(fill) }) = fired else { panic!("{fired:?}") };
    append(store, fill.token, 0, 0..ITEMS, true).await.unwrap();
    let lease = settle(store, 1, n, Vec::new(), job, 100).await.remove(0);
    let now = store.get("").await.unwrap().now;
    let failure = || Box::new(Failure::new(FailureKind::Error, "no", now.timestamp()));
    let later = now + Duration::from_secs(60);
    let ends = [
        (0, 10, End::Done(None)),
        (10, 20, End::retry(later, jobs_core::Millis(0), failure())),
        (20, 30, End::Dead(failure())),
        (30, 40, End::Back),
    ];
    let token = lease.token;
    let settlements = ends.map(|(from, to, end)| Settlement { token, from, to, end });
    settle(store, 1, n + 1, settlements.into(), job, 0).await;
    (run, lease)
}

async fn job(store: &RedisStore, name: &str) -> Option<JobRecord> {
    store.job(name).await.unwrap().value
}

async fn renamed() -> (Place, RedisStore, [(RunId, Lease); 2]) {
    let (place, store) = open().await;
    attach(&store, 1, vec![link(OLD), link(NEW)]).await;
    let runs = [scattered(&store, OLD, 1).await, scattered(&store, NEW, 3).await];
    for name in [OLD, NEW] {
        let of = job(&store, name).await.unwrap();
        let counts = (of.ready, of.delayed, of.in_flight, of.dead);
        assert_eq!(counts, (ITEMS - 90, 10, 60, 10), "{name}");
    }
    attach(&store, 2, vec![Link { was: Some(OLD.into()), ..link(NEW) }]).await;
    (place, store, runs)
}

#[tokio::test]
async fn a_job_that_takes_over_another_one_has_all_of_both() {
    let (_place, store, _) = renamed().await;
    assert_eq!(job(&store, OLD).await, None);
    let of = job(&store, NEW).await.unwrap();
    let counts = (of.ready, of.delayed, of.in_flight, of.dead);
    assert_eq!(counts, (2 * (ITEMS - 90), 20, 120, 20));
    let runs = store.runs(RunFilter::new().job(NEW)).await.unwrap().value;
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.job == NEW));
    let dead = store.dead(DeadFilter::new().job(NEW).limit(100)).await.unwrap().value;
    assert!(dead.len() == 20 && dead.iter().all(|dead| dead.job == NEW));
}

#[tokio::test]
async fn all_of_both_is_worked_off_under_the_new_name() {
    let (_place, store, runs) = renamed().await;
    // What is in flight is settled by its token, as ever.
    let held = runs.iter().map(|(_, lease)| Settlement { from: 40, ..done(lease) }).collect();
    settle(&store, 1, 9, held, OLD, 0).await;
    let later = store.shifted(61_000);
    let (mut n, mut settlements, mut handled) = (0, Vec::new(), 0);
    loop {
        n += 1;
        let leases = settle(&later, 2, n, std::mem::take(&mut settlements), NEW, 700).await;
        if leases.is_empty() {
            break;
        }
        assert!(leases.iter().all(|lease| &*lease.chunk.header.job == NEW));
        handled += numbers(&leases).len() as u64;
        settlements.extend(leases.iter().map(done));
    }
    assert_eq!(handled, 2 * (ITEMS - 80));
    for (run, _) in &runs {
        let completion = later
            .complete(vec![jobs_core::Complete { run: *run, finish: false }])
            .await
            .unwrap()
            .value
            .remove(0);
        let Completion::Completed(report) = completion else { panic!("{completion:?}") };
        assert_eq!((report.counts.ok, report.counts.dead, report.counts.retries), (ITEMS - 10, 10, 10));
    }
    let dead = later.dead(DeadFilter::new().limit(100)).await.unwrap().value;
    let items = dead.iter().map(|dead| dead.id).collect();
    let requeue = Requeue { request: 77, job: NEW.into(), items, note: None };
    let requeued = later.requeue(requeue).await.unwrap().value.unwrap();
    assert_eq!(requeued.items, 20);
    let of = job(&later, NEW).await.unwrap();
    assert_eq!((of.ready, of.delayed, of.in_flight, of.dead), (20, 0, 0, 0));
}

#[tokio::test]
async fn a_run_of_the_former_name_is_cancelled_whole() {
    let (_place, store, runs) = renamed().await;
    let (run, lease) = &runs[0];
    assert_eq!(store.cancel(*run).await.unwrap().value, jobs_core::Cancellation::Cancelled { more: false });
    settle(&store, 1, 9, vec![Settlement { from: 40, ..done(lease) }], OLD, 0).await;
    let counts = store.run(*run).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.ok, counts.dead, counts.cancelled), (70, 10, ITEMS - 80));
    let of = job(&store, NEW).await.unwrap();
    assert_eq!((of.ready, of.delayed, of.in_flight), (ITEMS - 90, 10, 60), "the other run is as it was");
}
