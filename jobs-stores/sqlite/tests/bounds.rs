//! One step touches a bounded number of records, and looking for work costs what is leased.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{File, JOB, attach, done, filled, settle};
use jobs_core::{
    Attach, Beat, Cancellation, Cause, End, Failure, FailureKind, Fire, IfBusy, JobWant, Lease, Link, Millis,
    Node, PutCell, STEP_RECORDS, SessionId, Settle, Settlement, Store, Want, pause_cell,
};
use jobs_sqlite::SqliteStore;

/// So many records that three steps are needed.
const MANY: u32 = 2_500;

/// Leases of one item each.
async fn single_leases(store: &SqliteStore, items: u32) -> Vec<Lease> {
    attach(store, 1).await;
    filled(store, 1, 7, u64::from(items)).await;
    let mut leases = Vec::new();
    for n in 0..items {
        leases.extend(settle(store, 1, 1 + u64::from(n), Vec::new(), 1).await.unwrap());
    }
    assert_eq!(leases.len(), items as usize);
    leases
}

/// As many chunks as items, each settled with that end.
async fn split(store: &SqliteStore, items: u32, end: impl Fn(u32) -> End) -> jobs_core::RunId {
    attach(store, 1).await;
    let run = filled(store, 1, 7, u64::from(items)).await;
    let mut leased = 0;
    let mut n = 1;
    while leased < items {
        let leases = settle(store, 1, n, Vec::new(), 1_000).await.unwrap();
        n += 1;
        let mut settlements = Vec::new();
        for lease in &leases {
            for from in 0..lease.chunk.count() {
                let end = end(leased + from);
                settlements.push(Settlement { token: lease.token, from, to: from + 1, end });
            }
            leased += lease.chunk.count();
        }
        settle(store, 1, n, settlements, 0).await.unwrap();
        n += 1;
    }
    run
}

/// A session that has been there for a lease of its own, seconds from now, and is alive: it may reap.
async fn reaper(store: &SqliteStore, session: u64, seconds: i64) -> SqliteStore {
    for seconds in [seconds - 100, seconds] {
        let beat = Beat { session: SessionId(session), held: None, as_of: Millis::MAX, reconnected: false };
        assert!(store.shifted(seconds * 1_000).beat(beat).await.unwrap().value.alive);
    }
    store.shifted(seconds * 1_000)
}

fn failure() -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, "no", Millis(0).timestamp()))
}

async fn job(store: &SqliteStore) -> jobs_core::JobRecord {
    store.job(JOB).await.unwrap().value.unwrap()
}

#[tokio::test]
async fn a_session_that_leaves_gives_back_step_by_step() {
    let file = File::new();
    let store = file.open().await;
    single_leases(&store, MANY).await;
    let mut more = Vec::new();
    let mut left = u64::from(MANY);
    for _ in 0..3 {
        more.push(store.detach(SessionId(1)).await.unwrap().value);
        let held = job(&store).await.in_flight;
        assert!(left - held <= STEP_RECORDS as u64, "{left} {held}");
        left = held;
        assert!(store.sessions().await.unwrap().value.is_empty(), "it has left");
    }
    assert_eq!(more, [true, true, false]);
    let record = job(&store).await;
    assert_eq!((record.ready, record.in_flight), (u64::from(MANY), 0));
}

#[tokio::test]
async fn what_a_dead_session_held_comes_back_step_by_step() {
    let file = File::new();
    let store = file.open().await;
    single_leases(&store, MANY).await;
    attach(&store.shifted(601_000), 3).await;
    let later = reaper(&store, 3, 1_202).await;
    let mut steps = Vec::new();
    for _ in 0..3 {
        let reaped = later.reap(SessionId(3)).await.unwrap().value;
        assert!(reaped.items <= STEP_RECORDS as u64, "{}", reaped.items);
        steps.push(reaped.more);
    }
    assert_eq!(steps, [true, true, false]);
    assert_eq!(job(&later).await.ready, u64::from(MANY));
}

#[tokio::test]
async fn what_is_due_at_once_is_made_ready_step_by_step() {
    let file = File::new();
    let store = file.open().await;
    let now = store.jobs().await.unwrap().now;
    split(&store, MANY, |_| End::Snooze { at: now + Duration::from_secs(60), wait: Duration::from_secs(60) })
        .await;
    let later = store.shifted(120_000);
    let before = job(&later).await;
    let mut ready = before.ready;
    for n in 0..3 {
        let want = Want::default();
        let settle =
            Settle { session: SessionId(1), lane: 9, n, settlements: Vec::new(), effects: Vec::new(), want };
        let settled = later.settle(settle).await.unwrap();
        let record = job(&later).await;
        assert!(record.ready - ready <= STEP_RECORDS as u64, "{} of {ready}", record.ready);
        let past = settled.value.next_due.is_some_and(|due| due <= settled.now);
        assert_eq!(past, record.delayed > 0, "whoever settles hears that there is more");
        ready = record.ready;
    }
    assert_eq!(ready, u64::from(MANY));
}

#[tokio::test]
async fn a_cancel_ends_what_was_touched_step_by_step_and_leases_nothing_meanwhile() {
    let file = File::new();
    let store = file.open().await;
    let now = store.jobs().await.unwrap().now;
    let wait = Duration::from_secs(3_600);
    let run = split(&store, MANY, |n| match n % 3 {
        0 => End::Snooze { at: now + wait, wait },
        1 => End::Retry { at: now, wait: Duration::ZERO, failure: failure() },
        _ => End::Done(None),
    })
    .await;
    let cancelled = store.cancel(run).await.unwrap().value;
    assert_eq!(cancelled, Cancellation::Cancelled { more: true });
    let report = store.run(run).await.unwrap().value.unwrap();
    assert!(report.counts.cancelled <= STEP_RECORDS as u64, "{:?}", report.counts);
    assert_eq!(settle(&store, 1, 1_000, Vec::new(), 1_000).await.unwrap(), [], "nothing of it is leased");
    let cancelled = store.cancel(run).await.unwrap().value;
    assert_eq!(cancelled, Cancellation::Cancelled { more: false });
    let report = store.run(run).await.unwrap().value.unwrap();
    assert_eq!(report.counts.ended(), u64::from(MANY), "{:?}", report.counts);
    let record = job(&store).await;
    assert_eq!((record.ready, record.delayed), (0, 0));
}

#[tokio::test]
async fn a_reap_goes_on_with_a_cancel() {
    let file = File::new();
    let store = file.open().await;
    let now = store.jobs().await.unwrap().now;
    let wait = Duration::from_secs(3_600);
    let run = split(&store, 1_500, |_| End::Snooze { at: now + wait, wait }).await;
    assert_eq!(store.cancel(run).await.unwrap().value, Cancellation::Cancelled { more: true });
    // Whoever reaps has been there for a lease of its own.
    let later = reaper(&store, 1, 601).await;
    let reaped = later.reap(SessionId(1)).await.unwrap().value;
    assert_eq!((reaped.ended, reaped.more), (vec![run], false));
    assert_eq!(store.completable(9).await.unwrap().value, [run]);
}

#[tokio::test]
async fn undecodable_items_end_step_by_step() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 7, u64::from(MANY)).await;
    let mut n = 1;
    loop {
        let leases = settle(&store, 1, n, Vec::new(), 1_000).await.unwrap();
        if leases.is_empty() {
            break;
        }
        let undecodable = |lease: &Lease| Settlement { end: End::Undecodable("no".into()), ..done(lease) };
        let settlements = leases.iter().map(undecodable).collect();
        settle(&store, 1, n + 1, settlements, 0).await.unwrap();
        n += 2;
    }
    let later = store.shifted(16 * 60_000);
    attach(&later, 2).await;
    let later = reaper(&store, 2, 26 * 60).await;
    let mut steps = Vec::new();
    for _ in 0..4 {
        let reaped = later.reap(SessionId(2)).await.unwrap().value;
        steps.push((reaped.dead.len(), reaped.more));
    }
    assert_eq!(steps, [(1_000, true), (1_000, true), (500, false), (0, false)]);
    assert_eq!(job(&later).await.dead, u64::from(MANY));
}

/// Makes jobs of which each has an item ready.
async fn make_ready(store: &SqliteStore, session: u64, jobs: impl Iterator<Item = String>, runs: u64) {
    let jobs: Vec<String> = jobs.collect();
    let links = jobs.iter().map(|job| Link { concurrency: 1_000, ..Link::new(&**job) }).collect();
    let (lease, node) = (Duration::from_secs(600), Node::default());
    let attach = Attach { session: SessionId(session), lease, node, links, gone: Vec::new() };
    store.attach(attach).await.unwrap();
    for (n, job) in jobs.iter().enumerate() {
        let fire = |k: u64| Fire {
            job: Arc::from(&**job),
            cause: Cause::Manual { request: session << 40 | (n as u64) << 20 | k, note: None },
            if_busy: IfBusy::Fire,
            priority: 1,
            query: false,
            exclusive: false,
            item_type: "()".into(),
        };
        store.fire(None, (0..runs).map(fire).collect(), Want::default()).await.unwrap();
    }
}

/// How long a settle takes that leases one item and gives it back, at best.
async fn settling(store: &SqliteStore, n: &mut u64, full: Option<&str>) -> Duration {
    let mut best = Duration::MAX;
    let mut held: Vec<Lease> = Vec::new();
    for _ in 0..200 {
        *n += 1;
        let mut jobs = vec![JobWant { job: Arc::from(JOB), slots: 1, per_slot: 1 }];
        jobs.extend(full.map(|job| JobWant { job: Arc::from(job), slots: 0, per_slot: 0 }));
        let settlements = held.iter().map(|lease| Settlement { end: End::Back, ..done(lease) }).collect();
        let want = Want { slots: 1, jobs };
        let settle = Settle { session: SessionId(1), lane: 3, n: *n, settlements, effects: Vec::new(), want };
        let began = Instant::now();
        held = store.settle(settle).await.unwrap().value.leases;
        best = best.min(began.elapsed());
        assert_eq!(held.len(), 1);
        assert_eq!(*held[0].chunk.header.job, *JOB);
    }
    let settlements = held.iter().map(done).collect();
    *n += 1;
    let want = Want::default();
    let last = Settle { session: SessionId(1), lane: 3, n: *n, settlements, effects: Vec::new(), want };
    store.settle(last).await.unwrap();
    best
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_work_costs_nothing_for_what_may_not_be_leased() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 7, 1_000).await;
    let mut n = 0;
    let alone = settling(&store, &mut n, None).await;

    // Jobs that another session links.
    make_ready(&store, 2, (0..5_000).map(|n| format!("other.job{n}")), 1).await;
    let beside_others = settling(&store, &mut n, None).await;
    // The runs of one job that is full.
    let file = File::new();
    let store = file.open().await;
    make_ready(&store, 1, ["suite.full".to_owned()].into_iter(), 5_000).await;
    let link = |job: &str| Link { query: true, concurrency: 1_000, ..Link::new(job) };
    let (session, lease, node) = (SessionId(1), Duration::from_secs(600), Node::default());
    let links = vec![link(JOB), link("suite.full")];
    store.attach(Attach { session, lease, node, links, gone: Vec::new() }).await.unwrap();
    filled(&store, 1, 9, 1_000).await;
    let beside_full = settling(&store, &mut n, Some("suite.full")).await;
    // Jobs that are paused.
    let file = File::new();
    let store = file.open().await;
    let jobs = (0..5_000).map(|n| format!("paused.job{n}")).chain([JOB.to_owned()]);
    make_ready(&store, 1, jobs, 1).await;
    let pause = PutCell { value: Some(serde_json::json!({"note": "moving"})), ..PutCell::default() };
    store.put_if(&pause_cell("paused.*"), 0, pause).await.unwrap().value.unwrap();
    let beside_paused = settling(&store, &mut n, None).await;
    for (what, took) in [("others", beside_others), ("full", beside_full), ("paused", beside_paused)] {
        assert!(took < 2 * alone + Duration::from_micros(50), "{what}: {took:?}, and {alone:?} alone");
    }
    println!("alone {alone:?}, others {beside_others:?}, full {beside_full:?}, paused {beside_paused:?}");
}

#[tokio::test]
async fn what_was_paused_is_leased_when_it_is_resumed_or_the_pause_expires() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 7, 10).await;
    let pause = |expires_in| PutCell {
        value: Some(serde_json::json!({"note": "moving"})),
        expires_in,
        ..PutCell::default()
    };
    let cell = pause_cell(JOB);
    let version = store.put_if(&cell, 0, pause(None)).await.unwrap().value.unwrap();
    assert_eq!(settle(&store, 1, 1, Vec::new(), 1).await.unwrap(), []);
    assert_eq!(settle(&store, 1, 2, Vec::new(), 1).await.unwrap(), []);
    store.put_if(&cell, version, PutCell::default()).await.unwrap().value.unwrap();
    assert_eq!(settle(&store, 1, 3, Vec::new(), 1).await.unwrap().len(), 1);
    store.put_if(&cell, 0, pause(Some(Duration::from_secs(60)))).await.unwrap().value.unwrap();
    assert_eq!(settle(&store, 1, 4, Vec::new(), 1).await.unwrap(), []);
    let later = store.shifted(61_000);
    assert_eq!(settle(&later, 1, 5, Vec::new(), 1).await.unwrap().len(), 1);
}
