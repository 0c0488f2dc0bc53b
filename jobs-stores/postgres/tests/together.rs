//! Many sessions at once on one schema.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{JOB, LEASE, connect, done, filled, options, server, somebody_waits, start, unique};
use jobs_core::{
    Attach, Cause, Complete, Declaration, End, Failure, FailureKind, Fire, Firing, IfBusy, JobWant, Lease,
    Link, Millis, Node, RunState, SessionId, Settle, Settlement, Store, Trigger, Verdict, Want,
};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::proxy::Proxy;

const WORKERS: u64 = 8;
/// No test waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

async fn attach(store: &PostgresStore, session: u64, link: Link) -> jobs_core::Attached {
    let (session, node) = (SessionId(session), Node::default());
    let attach = Attach { session, lease: LEASE, node, links: vec![link], gone: Vec::new() };
    store.attach(attach).await.unwrap().value
}

async fn settle(
    store: &PostgresStore,
    session: u64,
    n: u64,
    settlements: Vec<Settlement>,
    items: u32,
) -> Vec<Lease> {
    let jobs = vec![JobWant { job: JOB.into(), slots: 1, per_slot: items }];
    let want = Want { slots: 1, jobs };
    let settle = Settle { session: SessionId(session), lane: 0, n, settlements, effects: Vec::new(), want };
    store.settle(settle).await.unwrap().value.leases
}

/// How a worker ends what it has leased: much is done, some comes back, and some is tried again.
fn ends(
    lease: &Lease,
    random: &mut fastrand::Rng,
    done_of: &Mutex<BTreeMap<(u64, u64), u32>>,
) -> Vec<Settlement> {
    let (token, count) = (lease.token, lease.chunk.count());
    let (first, second) = (random.u32(0..=count), random.u32(0..=count));
    let (first, second) = (first.min(second), first.max(second));
    let failure = Box::new(Failure::new(FailureKind::Error, "no".to_owned(), Millis(0).timestamp()));
    let header = &lease.chunk.header;
    let is_first = header.attempt == 0;
    let middle = if is_first { End::retry(Millis(0), Millis(0), failure) } else { End::Done(None) };
    let parts = [(0, first, End::Done(None)), (first, second, middle), (second, count, End::Back)];
    let mut settlements = Vec::new();
    for (from, to, end) in parts.into_iter().filter(|(from, to, _)| from < to) {
        if end == End::Done(None) {
            let mut done_of = done_of.lock().unwrap();
            (from..to)
                .for_each(|n| *done_of.entry((header.number, header.start + u64::from(n))).or_default() += 1);
        }
        settlements.push(Settlement { token, from, to, end });
    }
    settlements
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_lease_and_settle_at_once_is_done_once() {
    const ITEMS: u64 = 12_000;
    let options = options();
    let stores =
        [PostgresStore::open(options.clone()).await.unwrap(), PostgresStore::open(options).await.unwrap()];
    let link = Link { query: true, concurrency: 10_000, ..Link::new(JOB) };
    for session in 1..=WORKERS {
        attach(&stores[0], session, link.clone()).await;
    }
    let mut runs = Vec::new();
    for request in 1..=3 {
        runs.push(filled(&stores[0], 1, request, ITEMS).await);
    }
    let done_of = Arc::new(Mutex::new(BTreeMap::new()));
    let workers = (1..=WORKERS).map(|session| {
        let (store, done_of) = (stores[session as usize % 2].clone(), done_of.clone());
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(session);
            // Each session leases the query of no run here: lane 0 begins at 1.
            let (mut n, mut settlements, mut idle) = (0, Vec::new(), 0);
            while idle < 40 {
                n += 1;
                let leases = settle(&store, session, n, settlements, random.u32(1..900)).await;
                settlements = leases.iter().flat_map(|lease| ends(lease, &mut random, &done_of)).collect();
                idle = if leases.is_empty() { idle + 1 } else { 0 };
                if leases.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        tokio::time::timeout(PATIENCE, worker).await.unwrap().unwrap();
    }
    let done_of = done_of.lock().unwrap().clone();
    let twice: Vec<_> = done_of.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "done twice: {twice:?}");
    assert_eq!(done_of.len() as u64, 3 * ITEMS);
    assert_eq!(stores[0].completable(9).await.unwrap().value, runs);
    for run in runs {
        let report = stores[1].run(run).await.unwrap().value.unwrap();
        assert_eq!((report.counts.ok, report.counts.total), (ITEMS, ITEMS));
        assert_eq!(report.errors.iter().map(|group| group.count).sum::<u64>(), report.counts.retries);
        stores[1].complete(vec![Complete { run, finish: false }]).await.unwrap();
        assert_eq!(stores[0].run(run).await.unwrap().value.unwrap().state, RunState::Succeeded);
    }
    let job = stores[0].job(JOB).await.unwrap().value.unwrap();
    assert_eq!(job.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_over_all_sessions_is_exact() {
    const LIMIT: u32 = 5;
    let schema = unique("test");
    let by = |port| PostgresOptions::from_url(&server().url_through(port)).unwrap().schema(&*schema);
    let store = PostgresStore::open(by(server().port())).await.unwrap();
    // Half of them are so far away that others lease between their count and what they take.
    let far = Proxy::start(server().port()).unwrap();
    let distant = PostgresStore::open(by(far.port())).await.unwrap();
    far.delay(Duration::from_millis(3));
    let link = Link { query: true, concurrency: 100, global_concurrency: Some(5), ..Link::new(JOB) };
    for session in 1..=WORKERS {
        attach(&store, session, link.clone()).await;
    }
    let run = filled(&store, 1, 1, 200).await;
    let mut held: Vec<Vec<Lease>> = vec![Vec::new(); usize::try_from(WORKERS).unwrap()];
    let (mut n, mut left) = (0, 200);
    while left > 0 {
        // All settle, and then all want more in the same moment.
        for wanted in [0, 3] {
            n += 1;
            let calls = (1..=WORKERS).zip(held.drain(..)).map(|(session, leases)| {
                let store = if session % 2 == 0 { distant.clone() } else { store.clone() };
                let settlements = leases.iter().map(done).collect();
                tokio::spawn(async move { settle(&store, session, n, settlements, wanted).await })
            });
            for call in calls.collect::<Vec<_>>() {
                held.push(tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap());
            }
        }
        let most: u32 = held.iter().flatten().map(|lease| lease.chunk.count()).sum();
        assert!((1..=LIMIT).contains(&most), "{most} are held at once");
        left -= most;
    }
    for (session, leases) in (1..=WORKERS).zip(&held) {
        settle(&store, session, n + 1, leases.iter().map(done).collect(), 0).await;
    }
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.ok, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_many_fire_at_once_makes_one_run() {
    let store = PostgresStore::open(options()).await.unwrap();
    let declared =
        Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: "f".into(), instant: None };
    let link = Link { schedule: Some(declared), query: true, ..Link::new(JOB) };
    let mut state = attach(&store, 1, link.clone()).await.schedules[JOB].clone();
    for session in 2..=WORKERS {
        attach(&store, session, link.clone()).await;
    }
    let store = store.shifted(3_600_000);
    for minute in 1..=10 {
        let tick = state.cursor + Duration::from_secs(60);
        let cause = Cause::Tick {
            schedule: JOB.into(),
            fingerprint: "f".into(),
            cursor: state.cursor,
            tick,
            at: tick,
            verdict: Verdict::Fired,
            trigger: Trigger::Schedule,
            passed: Vec::new(),
        };
        let fire = Fire {
            job: JOB.into(),
            cause,
            if_busy: IfBusy::Fire,
            priority: 0,
            query: true,
            exclusive: false,
            item_type: "u64".into(),
        };
        let firing = (1..=WORKERS).map(|session| {
            let (store, fire) = (store.clone(), fire.clone());
            tokio::spawn(async move {
                store
                    .fire(Some(SessionId(session)), vec![fire], Want::default())
                    .await
                    .unwrap()
                    .value
                    .remove(0)
            })
        });
        let mut fired = 0;
        for firing in firing.collect::<Vec<_>>() {
            match firing.await.unwrap() {
                Firing::Fired { .. } => fired += 1,
                Firing::Already(now) => state = now,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((fired, state.cursor), (1, tick), "in minute {minute}");
    }
    assert_eq!(store.runs(jobs_core::RunFilter::new()).await.unwrap().value.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_link_ten_thousand_jobs() {
    let store = PostgresStore::open(options()).await.unwrap();
    let declared =
        Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: "f".into(), instant: None };
    let link =
        |n| Link { schedule: Some(declared.clone()), query: true, ..Link::new(format!("many.job{n}")) };
    let links: Vec<Link> = (0..10_000).map(link).collect();
    for session in 1..=2 {
        let (session, node) = (SessionId(session), Node::default());
        let attach = Attach { session, lease: LEASE, node, links: links.clone(), gone: Vec::new() };
        assert_eq!(store.attach(attach).await.unwrap().value.schedules.len(), 10_000);
    }
    assert_eq!(store.jobs().await.unwrap().value.len(), 10_000);
}

/// One session looks for two jobs. While it waits for the one, another session makes the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_made_while_a_session_opens_is_found() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1, Link::new("of.old")).await;
    let mut holder = connect(&server).await;
    let hold = "BEGIN; SELECT FROM jobs.job WHERE name = 'of.old' FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut holder).await.unwrap();
    let links = vec![Link::new("of.new"), Link::new("of.old")];
    let (session, node, lease) = (SessionId(2), Node::default(), LEASE);
    let both = Attach { session, lease, node, links, gone: Vec::new() };
    let opening = tokio::spawn({
        let store = store.clone();
        async move { store.attach(both).await }
    });
    somebody_waits(&server).await;
    attach(&store, 3, Link::new("of.new")).await;
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    opening.await.unwrap().unwrap();
    assert_eq!(store.jobs().await.unwrap().value.len(), 2);
}
