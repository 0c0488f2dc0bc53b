//! A server whose clock was ten years ahead for a moment, and is right again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{JOB, all, attach, beat, filled, open, settle};
use jobs_core::{
    Attach, Attached, Beat, Declaration, End, Link, Millis, Node, Pass, Passing, SessionId, Store, TickInfo,
    Verdict,
};
use jobs_redis::RedisStore;

const TEN_YEARS: i64 = 10 * 366 * 24 * 3_600_000;
const LEASE: i64 = 600_000;

async fn declare(store: &RedisStore, session: u64) -> Attached {
    let schedule =
        Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: "one".into(), instant: None };
    let link = Link { query: true, concurrency: 1_000, schedule: Some(schedule), ..Link::new(JOB) };
    let attach = Attach {
        session: SessionId(session),
        lease: Duration::from_millis(LEASE as u64),
        node: Node::default(),
        links: vec![link],
        gone: Vec::new(),
    };
    store.attach(attach).await.unwrap().value
}

/// A session that may take over from others.
async fn settled_in(store: &RedisStore, session: u64) -> RedisStore {
    attach(store, session).await;
    beat(&store.shifted(LEASE - 1_000), session).await;
    store.shifted(LEASE + 1_000)
}

#[tokio::test]
async fn items_wait_no_longer_than_they_were_meant_to() {
    let (_place, store) = open().await;
    let wrong = store.shifted(TEN_YEARS);
    attach(&wrong, 1).await;
    filled(&wrong, 1, 1, 50).await;
    let leases = settle(&wrong, 1, 1, Vec::new(), 50).await.unwrap();
    let now = wrong.get("").await.unwrap().now;
    let snoozed = leases.iter().map(|lease| all(lease, End::snooze(now + Duration::from_secs(60), now)));
    settle(&wrong, 1, 2, snoozed.collect(), 0).await.unwrap();
    let right = settled_in(&store, 2).await;
    right.reap(SessionId(2)).await.unwrap();
    let due = store.items(leases[0].chunk.header.run().unwrap(), 1).await.unwrap();
    let jobs_core::ItemState::Delayed { until } = due.value[0].state else { panic!("{due:?}") };
    let wait = Millis::from(until).since(due.now);
    assert!(wait <= Duration::from_millis(LEASE as u64 + 61_000), "it is due in {wait:?}");
    let later = store.shifted(LEASE + 62_000);
    beat(&later, 2).await;
    let again = settle(&later, 2, 1, Vec::new(), 50).await.unwrap();
    assert_eq!(again.iter().map(|lease| lease.chunk.count()).sum::<u32>(), 50);
}

#[tokio::test]
async fn a_session_lives_no_longer_than_a_lease_from_now() {
    let (_place, store) = open().await;
    let wrong = store.shifted(TEN_YEARS);
    attach(&wrong, 1).await;
    filled(&wrong, 1, 1, 10).await;
    assert_eq!(settle(&wrong, 1, 1, Vec::new(), 10).await.unwrap().len(), 1);
    let right = settled_in(&store, 2).await;
    right.reap(SessionId(2)).await.unwrap();
    let later = store.shifted(2 * LEASE - 2_000);
    beat(&later, 2).await;
    let later = store.shifted(2 * LEASE + 3_000);
    let reaped = later.reap(SessionId(2)).await.unwrap().value;
    assert_eq!(reaped.items, 10, "its process is gone, and what it held is taken back");
}

#[tokio::test]
async fn a_beat_after_the_clock_is_right_again_renews_for_a_lease_and_the_session_may_take_over_again() {
    let (_place, store) = open().await;
    attach(&store.shifted(TEN_YEARS), 1).await;
    let beat = Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected: false };
    let now = store.beat(beat).await.unwrap().now;
    let until = store.sessions().await.unwrap().value[0].until;
    assert!(until <= now + Duration::from_millis(LEASE as u64), "{until} is more than a lease after {now}");
    attach(&store, 2).await;
    common::beat(&store.shifted(LEASE - 1_000), 1).await;
    let reaped = store.shifted(LEASE + 2_000).reap(SessionId(1)).await.unwrap().value;
    assert_eq!(reaped.nodes.len(), 1, "the one that is not heard of");
}

#[tokio::test]
async fn a_cursor_that_is_far_ahead_is_set_back_on_record_and_one_that_is_near_is_waited_for() {
    for (ahead, set_back) in [(30 * 60_000, false), (TEN_YEARS, true)] {
        let (_place, store) = open().await;
        let wrong = store.shifted(ahead);
        let state = declare(&wrong, 1).await.schedules[JOB].clone();
        let now = wrong.get("").await.unwrap().now;
        let over = vec![TickInfo::passed(now.timestamp(), now.timestamp(), 1, Verdict::Missed)];
        let pass =
            Pass { schedule: JOB.into(), fingerprint: state.fingerprint, cursor: state.cursor, passed: over };
        assert_eq!(wrong.pass(vec![pass]).await.unwrap().value, [Passing::Passed]);
        let attached = declare(&store, 2).await;
        assert_eq!(attached.ahead.len(), 1, "{attached:?}");
        assert_eq!((attached.ahead[0].cursor, attached.ahead[0].set_back), (now, set_back));
        let reply = store.get(&jobs_core::ledger::ahead_cell(JOB)).await.unwrap();
        assert_eq!(reply.value.is_some(), set_back, "the cell keeps where it stood");
        assert_eq!(attached.schedules[JOB].cursor <= reply.now, set_back);
        assert!(declare(&store, 3).await.ahead.iter().all(|ahead| !ahead.set_back), "it is told once");
    }
}

#[tokio::test]
async fn an_orphan_of_a_clock_of_the_future_goes_back() {
    let (_place, store) = open().await;
    let wrong = store.shifted(TEN_YEARS);
    attach(&wrong, 1).await;
    filled(&wrong, 1, 1, 10).await;
    settle(&wrong, 1, 1, Vec::new(), 10).await.unwrap();
    let beat = Beat { session: SessionId(1), held: Some(Vec::new()), as_of: Millis::MAX, reconnected: false };
    store.beat(beat).await.unwrap();
    let job = store.job(JOB).await.unwrap().value.unwrap();
    assert_eq!((job.ready, job.in_flight), (10, 0));
}
