//! No operation takes more than five round trips, whatever it carries: counted on the wire.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{future::Future, sync::Arc, time::Duration};

use common::{LEASE, server, unique};
use jobs_core::{
    Attach, Beat, BodyWriter, Cause, Complete, DeadFilter, Declaration, End, Failure, FailureKind, Fire,
    Firing, IfBusy, Lease, Link, Millis, Node, Overlap, Requeue, RunFilter, RunId, SessionId, Settle,
    Settlement, Store, Trigger, Verdict, Want,
};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::proxy::Proxy;

/// The most round trips of one operation.
const MOST: u64 = 5;
const ME: SessionId = SessionId(1);

/// A store behind a proxy that counts.
struct Counted {
    store: PostgresStore,
    proxy: Proxy,
}

impl Counted {
    async fn open() -> Self {
        let proxy = Proxy::to_postgres(server().port()).unwrap();
        let options = PostgresOptions::from_url(&server().url_through(proxy.port())).unwrap();
        let options = options.schema(unique("counted")).connections(1).deadline(Duration::from_secs(60));
        Self { store: PostgresStore::open(options).await.unwrap(), proxy }
    }

    /// What an operation answers, whose round trips are counted.
    async fn count<T>(&self, name: &str, operation: impl Future<Output = T>) -> T {
        self.quiet().await;
        let before = self.proxy.round_trips();
        let answer = operation.await;
        let taken = self.proxy.round_trips() - before;
        assert!((1..=MOST).contains(&taken), "`{name}` took {taken} round trips");
        answer
    }

    /// Waits until nothing is under way: news are told to others, and what was dropped is deleted, when a call has been
    /// answered.
    async fn quiet(&self) {
        let mut seen = u64::MAX;
        while std::mem::replace(&mut seen, self.proxy.round_trips()) != seen {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn attach(&self, session: u64, links: Vec<Link>) -> jobs_core::Attached {
        let attach = Attach {
            session: SessionId(session),
            lease: LEASE,
            node: Node::default(),
            links,
            gone: Vec::new(),
        };
        self.store.attach(attach).await.unwrap().value
    }

    async fn settle(&self, n: u64, settlements: Vec<Settlement>, slots: u32) -> Vec<Lease> {
        let want = Want { slots, jobs: Vec::new() };
        let settle = Settle { session: ME, lane: 0, n, settlements, effects: Vec::new(), want };
        self.store.settle(settle).await.unwrap().value.leases
    }

    /// Runs by hand of one item each, with their leases.
    async fn runs(&self, first: u64, count: u64, job: &str) -> Vec<(RunId, Option<Lease>)> {
        let fires = (first..first + count).map(|request| by_hand(job, request)).collect();
        let want = Want { slots: 100_000, jobs: Vec::new() };
        let answers = self.store.fire(Some(ME), fires, want).await.unwrap().value;
        let fired = |firing| match firing {
            Firing::Fired { run, lease } => (run, lease),
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(fired).collect()
    }

    /// Prepares all statements on the one connection, so that what is counted is what every later call takes.
    async fn warm(&self) {
        self.attach(9, vec![link("warm.up")]).await;
        let run = self.runs(900_000, 1, "warm.up").await;
        let again = self.runs(900_000, 1, "warm.up").await;
        assert_eq!(run[0].0, again[0].0);
        self.settle(1_000, Vec::new(), 1).await;
        self.settle(1_000, Vec::new(), 1).await;
        self.store.complete(vec![Complete { run: run[0].0, finish: true }]).await.unwrap();
        self.store.cancel(run[0].0).await.unwrap();
        self.store.reap(SessionId(9)).await.unwrap();
        self.store.shifted(2 * LEASE.as_millis() as i64).attach(detached(90)).await.unwrap();
        self.store.completable(1).await.unwrap();
        self.store.prune(1).await.unwrap();
        let items = vec![run[0].0.item(0)];
        let requeue = Requeue { request: 900_001, job: "warm.up".into(), items: items.clone(), note: None };
        self.store.requeue(requeue).await.unwrap();
        self.store.discard(900_002, items).await.unwrap();
        self.store.detach(SessionId(90)).await.unwrap();
    }
}

fn detached(session: u64) -> Attach {
    Attach {
        session: SessionId(session),
        lease: LEASE,
        node: Node::default(),
        links: Vec::new(),
        gone: Vec::new(),
    }
}

/// A job without a query whose runs may overlap.
fn link(job: &str) -> Link {
    Link { overlap: Overlap::Allow, concurrency: 100_000, ..Link::new(job) }
}

fn by_hand(job: &str, request: u64) -> Fire {
    Fire {
        job: job.into(),
        cause: Cause::Manual { request, note: None },
        if_busy: IfBusy::Fire,
        priority: 0,
        query: false,
        exclusive: false,
        item_type: "()".into(),
    }
}

fn failure(n: usize) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, format!("no {n}"), Millis(0).timestamp()))
}

fn ended(leases: &[(RunId, Option<Lease>)], end: impl Fn(usize) -> End) -> Vec<Settlement> {
    let settlement = |(n, (_, lease)): (usize, &(RunId, Option<Lease>))| Settlement {
        token: lease.as_ref().unwrap().token,
        from: 0,
        to: 1,
        end: end(n),
    };
    leases.iter().enumerate().map(settlement).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_of_many_jobs_fire_in_five_round_trips() {
    for exclusive in [false, true] {
        let counted = Counted::open().await;
        let declared = Declaration {
            text: "* * * * *".into(),
            tz: "UTC".into(),
            fingerprint: "f".into(),
            instant: None,
        };
        let links: Vec<Link> = (0..256)
            .map(|n| Link {
                schedule: Some(declared.clone()),
                overlap: if exclusive { Overlap::Skip } else { Overlap::Allow },
                priority: n % 7,
                ..Link::new(format!("many.job{n}"))
            })
            .collect();
        let states = counted.attach(1, links.clone()).await.schedules;
        let later = counted.store.shifted(60_000);
        counted.warm().await;
        let fires: Vec<Fire> = links
            .iter()
            .map(|link| {
                let state = &states[&link.job];
                let tick = state.cursor + Duration::from_secs(30);
                let cause = Cause::Tick {
                    schedule: link.job.clone(),
                    fingerprint: "f".into(),
                    cursor: state.cursor,
                    tick,
                    at: tick,
                    verdict: Verdict::Fired,
                    trigger: Trigger::Schedule,
                    passed: Vec::new(),
                };
                Fire {
                    cause,
                    if_busy: if exclusive { IfBusy::Skip } else { IfBusy::Fire },
                    priority: link.priority,
                    exclusive,
                    ..by_hand(&link.job, 0)
                }
            })
            .collect();
        let want = Want { slots: 256, jobs: Vec::new() };
        for time in ["first", "second"] {
            let fire = later.fire(Some(ME), fires.clone(), want.clone());
            let answers = counted.count(time, fire).await.unwrap().value;
            let leased =
                answers.iter().filter(|answer| matches!(answer, Firing::Fired { lease: Some(_), .. }));
            assert_eq!(leased.count(), 256, "the {time} time");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_by_hand_and_their_ends_take_five_round_trips() {
    let counted = Counted::open().await;
    counted.attach(1, vec![link("many.runs"), link("warm.up")]).await;
    counted.warm().await;
    let runs = counted.count("fire", counted.runs(1, 600, "many.runs")).await;
    let waits = |n: usize| End::Retry { at: Millis(0), wait: Duration::ZERO, failure: failure(n) };
    counted.count("settle retries", counted.settle(1_001, ended(&runs, waits), 0)).await;
    let again: Vec<_> = counted.count("settle leases", counted.settle(1_002, Vec::new(), 600)).await;
    assert_eq!(again.len(), 600);
    let again: Vec<_> =
        again.into_iter().map(|lease| (lease.chunk.header.run().unwrap(), Some(lease))).collect();
    let dead = |n: usize| End::Dead(failure(n));
    counted.count("settle dead", counted.settle(1_003, ended(&again, dead), 0)).await;
    let all: Vec<Complete> = runs.iter().map(|(run, _)| Complete { run: *run, finish: true }).collect();
    let completed = counted.count("complete", counted.store.complete(all)).await.unwrap().value;
    assert!(completed.iter().all(|completion| matches!(completion, jobs_core::Completion::Completed(_))));
    let dead = counted.store.dead(DeadFilter::new().limit(1_000)).await.unwrap().value;
    assert_eq!(dead.len(), 600);
    assert!(dead.iter().all(|dead| dead.attempts.len() == 2));
    let items: Vec<_> = dead.iter().map(|dead| dead.id).collect();
    let requeue =
        Requeue { request: 5_000, job: "many.runs".into(), items: items[..500].to_vec(), note: None };
    let requeued = counted.count("requeue", counted.store.requeue(requeue)).await.unwrap().value.unwrap();
    assert_eq!(requeued.items, 500);
    let discarded = counted.count("discard", counted.store.discard(5_001, items)).await.unwrap().value;
    assert_eq!(discarded, 100);
    let cancelled = counted.count("cancel", counted.store.cancel(requeued.run)).await.unwrap().value;
    assert_eq!(cancelled, jobs_core::Cancellation::Cancelled { more: false });
    counted.count("completable", counted.store.completable(1_000)).await.unwrap();
    let pruned = counted.count("prune", counted.store.prune(1_000)).await.unwrap().value;
    assert!(pruned.removed >= 500, "{pruned:?}");
    assert!(counted.store.runs(RunFilter::new().limit(1_000)).await.unwrap().value.len() < 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_and_taking_over_take_five_round_trips() {
    let counted = Counted::open().await;
    counted.attach(1, vec![link("warm.up")]).await;
    counted.warm().await;
    let links: Vec<Link> = (0..1_000).map(|n| link(&format!("many.job{n}"))).collect();
    counted.count("attach", counted.attach(2, links)).await;
    counted.attach(1, vec![link("many.job1"), link("warm.up")]).await;
    counted.runs(1, 1_000, "many.job1").await;
    // One was leased before.
    counted.runs(2_000, 699, "many.job1").await;
    let later = counted.store.shifted(i64::try_from(LEASE.as_millis()).unwrap() + 1_000);
    later.attach(Attach { links: vec![link("many.job1")], ..detached(3) }).await.unwrap();
    // Whoever takes over has been connected for a lease itself.
    let beat = Beat { session: SessionId(3), held: None, as_of: Millis::MAX, reconnected: false };
    later.shifted(i64::try_from(LEASE.as_millis() / 2).unwrap()).beat(beat).await.unwrap();
    let later = later.shifted(i64::try_from(LEASE.as_millis()).unwrap() + 1_000);
    // The first call prepares its statement.
    assert_eq!(later.reap(SessionId(3)).await.unwrap().value.items, 1_000);
    let reaped = counted.count("reap", later.reap(SessionId(3))).await.unwrap().value;
    assert_eq!(reaped.items, 700);
    counted.count("detach", later.detach(SessionId(3))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_from_many_queues_take_five_round_trips() {
    let counted = Counted::open().await;
    let links: Vec<Link> = (0..50).map(|n| link(&format!("many.job{n}"))).collect();
    counted.attach(1, links.clone()).await;
    counted.warm().await;
    for (n, link) in links.iter().enumerate() {
        let fire = by_hand(&link.job, n as u64);
        counted.store.fire(None, vec![fire], Want::default()).await.unwrap();
    }
    let leases = counted.count("settle", counted.settle(1_001, Vec::new(), 50)).await;
    assert_eq!(leases.len(), 50);
    // What a query finds is appended, however much it is.
    let fill = Fire { query: true, ..by_hand("many.job0", 77) };
    let answer = counted.store.fire(Some(ME), vec![fill], Want { slots: 1, jobs: Vec::new() }).await.unwrap();
    let Some(Firing::Fired { lease: Some(lease), .. }) = answer.value.into_iter().next() else { panic!() };
    let mut writer = BodyWriter::default();
    let mut bodies: Vec<_> = (0..20_000_u64).filter_map(|item| writer.push(&item).unwrap()).collect();
    bodies.extend(writer.finish());
    let append = jobs_core::Append {
        token: lease.token,
        seq: 0,
        item_type: Arc::from("u64"),
        bodies,
        page: None,
        last: true,
    };
    let before = counted.proxy.round_trips();
    counted.store.append(append).await.unwrap();
    // Its statement is prepared by it: one more.
    assert!(counted.proxy.round_trips() - before <= MOST + 2);
}
