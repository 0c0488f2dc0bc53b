//! A server does not fill up with what is over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;

use common::{all, append, ask, attach, done, filled, fire, server, settle};
use jobs_core::{
    Beat, Cancellation, Complete, Completion, DeadFilter, End, Failure, FailureKind, Millis, RunId,
    SessionId, Store,
};
use jobs_redis::RedisStore;
use servers::redis::{Options, Server};

/// How many keys there are of each kind: what their names have before the second colon.
fn kinds(server: &Server) -> BTreeMap<String, usize> {
    let keys: Vec<String> = ask(&server.url(), &["KEYS", "*"]);
    let mut kinds = BTreeMap::new();
    for key in keys {
        let kind = key.split(':').nth(1).unwrap().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

const CANCELLED: Cancellation = Cancellation::Cancelled { more: false };

async fn complete(store: &RedisStore, run: RunId) {
    let completion = store.complete(vec![Complete { run, finish: false }]).await.unwrap().value.remove(0);
    assert!(matches!(completion, Completion::Completed(_)), "{completion:?}");
}

async fn beat(store: &RedisStore) {
    let beat = Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
}

fn failure(now: Millis) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, "no", now.timestamp()))
}

#[tokio::test]
async fn a_run_that_is_over_leaves_its_record_alone() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let empty = kinds(&server);
    let run = filled(&store, 1, 1, 2_500).await;
    assert_eq!(kinds(&server)["b"], 3, "the bodies of what is ready");
    let now = store.get("").await.unwrap().now;
    let (mut n, mut settlements) = (0, Vec::new());
    loop {
        n += 1;
        let leases = settle(&store, 1, n, std::mem::take(&mut settlements), 700).await.unwrap();
        if leases.is_empty() {
            break;
        }
        for lease in &leases {
            // Some fail at first, some come back, the others are done.
            let end = match lease.chunk.header.attempt {
                0 if n == 1 => End::retry(now, now, failure(now)),
                _ if n == 2 => End::Back,
                _ => End::Done(None),
            };
            settlements.push(all(lease, end));
        }
    }
    complete(&store, run).await;
    let mut left = kinds(&server);
    for kind in ["a", "jf", "jr", "r", "requests", "filled", "runs"] {
        left.remove(kind);
    }
    let mut empty = empty;
    empty.remove("a");
    assert_eq!(left, empty, "nothing else is left of a run");
}

#[tokio::test]
async fn what_was_dropped_is_deleted_little_by_little() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let cancelled = filled(&store, 1, 1, 300_000).await;
    let (_, fill) = fire(&store, 1, 2).await.unwrap();
    let fill = fill.unwrap();
    append(&store, fill.token, 0, 0..300_000, false).await.unwrap();
    assert_eq!(kinds(&server)["b"], 600);
    // Some of it is in flight when it is cancelled.
    let leases = settle(&store, 1, 1, Vec::new(), 10).await.unwrap();
    assert_eq!(store.cancel(cancelled).await.unwrap().value, CANCELLED);
    let now = store.get("").await.unwrap().now;
    let failed = all(&fill, End::Dead(failure(now)));
    settle(&store, 1, 2, vec![failed], 0).await.unwrap();
    assert_eq!(kinds(&server)["b"], 600, "that is a small step, whatever there is");
    for _ in 0..4 {
        beat(&store).await;
    }
    assert_eq!(kinds(&server)["b"], 1, "what is in flight is still there");
    settle(&store, 1, 3, leases.iter().map(done).collect(), 0).await.unwrap();
    assert_eq!(kinds(&server).get("b"), None);
    assert_eq!(kinds(&server).get("dropped"), None);
}

#[tokio::test]
async fn what_waits_of_a_cancelled_run_ends_in_one_small_step_and_is_deleted_little_by_little() {
    const ITEMS: u32 = 1_000;
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, ITEMS.into()).await;
    let leases = settle(&store, 1, 1, Vec::new(), ITEMS).await.unwrap();
    let now = store.get("").await.unwrap().now;
    let (token, at) = (leases[0].token, now + std::time::Duration::from_secs(3_600));
    let each = (0..ITEMS).map(|from| {
        let end = if from % 2 == 0 { End::retry(at, now, failure(now)) } else { End::snooze(at, now) };
        jobs_core::Settlement { token, from, to: from + 1, end }
    });
    settle(&store, 1, 2, each.collect(), 0).await.unwrap();
    let job = |store: RedisStore| async move { store.job(common::JOB).await.unwrap().value.unwrap() };
    assert_eq!(job(store.clone()).await.delayed, u64::from(ITEMS));
    assert_eq!(store.cancel(run).await.unwrap().value, CANCELLED);
    let counts = store.run(run).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.total, counts.cancelled), (ITEMS.into(), ITEMS.into()));
    assert_eq!(job(store.clone()).await.open(), 0);
    assert_eq!(store.items(run, 10).await.unwrap().value, []);
    complete(&store, run).await;
    assert_eq!(kinds(&server)["f"], ITEMS as usize / 2, "their failures are still there");
    for _ in 0..ITEMS / 256 + 1 {
        beat(&store).await;
    }
    let left = kinds(&server);
    for kind in ["f", "b", "d", "z", "due", "spent", "dropped", "cancels"] {
        assert_eq!(left.get(kind), None, "{kind}");
    }
}

#[tokio::test]
async fn a_dead_item_keeps_its_payload_and_not_the_body_it_came_in() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 1_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_000).await.unwrap();
    let now = store.get("").await.unwrap().now;
    let token = leases[0].token;
    let ends =
        [(0, 500, End::Done(None)), (500, 502, End::Dead(failure(now))), (502, 1_000, End::Done(None))];
    let settlements =
        ends.map(|(from, to, end)| jobs_core::Settlement { token, from, to, end }).into_iter().collect();
    settle(&store, 1, 2, settlements, 0).await.unwrap();
    assert_eq!(kinds(&server).get("b"), None);
    let dead = store.dead(DeadFilter::new()).await.unwrap().value;
    let payloads: Vec<_> = dead.iter().map(|dead| (dead.id, dead.payload.clone())).collect();
    assert_eq!(payloads, [(run.item(501), 501.into()), (run.item(500), 500.into())]);
    assert_eq!(dead[0].attempts.len(), 1);
    store.discard(1, vec![run.item(500), run.item(501)]).await.unwrap();
    let left = kinds(&server);
    for kind in ["x", "f", "dead", "jx", "jd", "with_dead"] {
        assert_eq!(left.get(kind), None, "{kind}");
    }
}
