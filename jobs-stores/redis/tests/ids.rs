//! Ids at their limits: a number of Lua has 53 bits, and what has more digits is text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::{all, ask, attach, done, filled, fire, numbers, open, server, settle};
use jobs_core::{
    Beat, Cancellation, DeadFilter, End, Failure, FailureKind, ItemId, Millis, Requeue, RunId, SessionId,
    Settle, Store, StoreError, Token, Want,
};
use jobs_redis::RedisStore;
use servers::redis::Options;

#[tokio::test]
async fn numbers_near_the_greatest_keep_all_of_their_digits() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let last = Token::MAX.0 - 100_000;
    let _: i64 = ask(&server.url(), &["HSET", "{jobs}:meta", "last", &last.to_string()]);
    attach(&store, 1).await;
    let mut runs = Vec::new();
    for request in 1..=3 {
        runs.push(filled(&store, 1, request, 1_001).await);
    }
    assert!(runs.is_sorted() && runs[0].number() > last && runs[2].number() <= Token::MAX.0, "{runs:?}");
    let (mut n, mut settlements, mut seen, mut tokens) = (0, Vec::new(), Vec::new(), Vec::new());
    loop {
        n += 1;
        let leases = settle(&store, 1, n, std::mem::take(&mut settlements), 300).await.unwrap();
        if leases.is_empty() {
            break;
        }
        tokens.extend(leases.iter().map(|lease| lease.token));
        seen.extend(
            leases.iter().map(|lease| (lease.chunk.header.run(), numbers(std::slice::from_ref(lease)))),
        );
        settlements.extend(leases.iter().map(done));
    }
    assert!(tokens.windows(2).all(|two| two[0] < two[1]), "{tokens:?}");
    for run in runs {
        let of = seen.iter().filter(|(of, _)| *of == Some(run)).flat_map(|(_, numbers)| numbers.clone());
        assert_eq!(of.collect::<Vec<_>>(), (0..1_001).collect::<Vec<_>>(), "in the order of the query");
        let report = store.run(run).await.unwrap().value.unwrap();
        assert_eq!((report.id, report.counts.ok), (run, 1_001));
    }
}

#[tokio::test]
async fn sessions_requests_and_lanes_have_64_bits() {
    let (_place, store) = open().await;
    // Two that are one number of Lua.
    let (one, other) = (u64::MAX, u64::MAX - 1);
    attach(&store, one).await;
    attach(&store, other).await;
    assert_eq!(store.sessions().await.unwrap().value.len(), 2);
    let (first, _) = fire(&store, one, one).await.unwrap();
    let (second, _) = fire(&store, other, other).await.unwrap();
    assert_ne!(first, second, "two requests are two runs");
    assert_eq!(fire(&store, one, one).await.unwrap().0, first);
    let settle = |n| {
        let (session, want) = (SessionId(one), Want::default());
        store.settle(Settle {
            session,
            lane: u32::MAX,
            n,
            settlements: Vec::new(),
            effects: Vec::new(),
            want,
        })
    };
    settle(u64::MAX - 1).await.unwrap();
    settle(u64::MAX).await.unwrap();
    let beat =
        Beat { session: SessionId(other), held: Some(Vec::new()), as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
    store.detach(SessionId(one)).await.unwrap();
    let left: Vec<_> = store.sessions().await.unwrap().value.iter().map(|record| record.session).collect();
    assert_eq!(left, [SessionId(other)]);
}

#[tokio::test]
async fn what_names_nothing_is_found_nowhere() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    for number in [0, u64::MAX, Token::MAX.0] {
        let run = RunId::new(number);
        assert_eq!(store.run(run).await.unwrap().value, None);
        assert_eq!(store.cancel(run).await.unwrap().value, Cancellation::Unknown);
        assert_eq!(store.items(run, usize::MAX).await.unwrap().value, []);
        let item = ItemId::new(number, u64::MAX);
        assert_eq!(store.discard(number, vec![item]).await.unwrap().value, 0);
        let requeue = Requeue { request: number, job: common::JOB.into(), items: vec![item], note: None };
        assert_eq!(store.requeue(requeue).await.unwrap().value, None);
    }
    assert_eq!(store.completable(usize::MAX).await.unwrap().value, []);
    assert_eq!(store.ticks("no.such", usize::MAX).await.unwrap().value, []);
    store.prune(usize::MAX).await.unwrap();
    assert_eq!(store.job("no.such").await.unwrap().value, None);
}

#[tokio::test]
async fn texts_are_kept_whatever_they_hold() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let odd = "zero \0, quotes \" ' \\, [[ ]], \u{1f980}, and a line\nfeed";
    let run = filled(&store, 1, 1, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    let now = store.get(odd).await.unwrap().now;
    let failure = Failure::new(FailureKind::Error, odd, now.timestamp());
    let dead = leases.iter().map(|lease| all(lease, End::Dead(Box::new(failure.clone())))).collect();
    settle(&store, 1, 2, dead, 0).await.unwrap();
    let dead = store.dead(DeadFilter::new()).await.unwrap().value;
    assert_eq!(dead[0].attempts, [failure]);
    assert_eq!(store.run(run).await.unwrap().value.unwrap().errors[0].message, odd);
    let put = jobs_core::PutCell { value: Some(odd.into()), ..Default::default() };
    let version = store.put_if(odd, 0, put).await.unwrap().value.unwrap();
    let cell = store.get(odd).await.unwrap().value.unwrap();
    assert_eq!((cell.version, cell.value), (version, odd.into()));
    assert_eq!(store.list("zero \0").await.unwrap().value.len(), 1);
}

#[tokio::test]
async fn a_time_beyond_all_times_is_kept_as_the_latest() -> Result<(), StoreError> {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await?;
    let snoozed = leases.iter().map(|lease| all(lease, End::snooze(Millis::MAX, Millis(0)))).collect();
    settle(&store, 1, 2, snoozed, 1).await?;
    assert_eq!(store.job(common::JOB).await?.value.unwrap().delayed, 1);
    assert_eq!(store.items(run, 1).await?.value.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_step_takes_no_more_numbers_than_it_uses() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    // Ahead of the clock, so that each number is the one after the last.
    let ahead = Token::MAX.0 / 2;
    let _: i64 = ask(&server.url(), &["HSET", "{jobs}:meta", "last", &ahead.to_string()]);
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        let put = jobs_core::PutCell { value: Some(1.into()), ..Default::default() };
        versions.push(store.put_if(name, 0, put).await.unwrap().value.unwrap());
    }
    // So numbers are never ahead of the clock: a server whose last number is lost with a failover goes on from its clock.
    assert_eq!(versions, [ahead + 1, ahead + 2, ahead + 3]);
}
