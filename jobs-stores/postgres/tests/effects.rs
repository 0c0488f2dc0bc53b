//! Effects that happen exactly once, in the handler's own transaction.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{LEASE, attach, filled, numbers, run, settle, start};
use jobs_core::{
    Beat, Delivery, End, Failure, FailureKind, JobContext, Lease, Millis, SessionId, Settlement, Store,
    Trigger,
};
use jobs_postgres::{Once, OnceIn, PostgresStore};
use sqlx::PgPool;

/// What the attempt of an item of a lease knows about itself.
fn context(lease: &Lease, index: u32) -> JobContext {
    let header = &lease.chunk.header;
    let delivery = Delivery {
        job: header.job.clone(),
        run: header.run(),
        trigger: Trigger::Manual,
        tick: None,
        attempt: 1,
        max_attempts: 1,
        redelivered: header.redelivered,
        enqueued_at: header.enqueued_at.timestamp(),
        token: lease.token.0,
        node: "test".into(),
        shutting_down: Arc::default(),
    };
    JobContext::new(Arc::new(delivery), header.item(index), Millis(0).timestamp(), None)
}

/// A handler that books an item, and says whether it did.
async fn book(store: &PostgresStore, pool: &PgPool, cx: &JobContext) -> Once {
    let mut transaction = pool.begin().await.unwrap();
    let once = cx.once_in(store, &mut transaction).await.unwrap();
    if once == Once::First {
        let n = i64::try_from(cx.item_id().n()).unwrap();
        sqlx::query("INSERT INTO booked VALUES ($1)").bind(n).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    once
}

async fn booked(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("SELECT n FROM booked ORDER BY n").fetch_all(pool).await.unwrap()
}

/// The same store when the leases of all sessions but a new one have expired, and what they held was taken back.
async fn taken_over(store: &PostgresStore) -> (PostgresStore, u64) {
    let lease = i64::try_from(LEASE.as_millis()).unwrap();
    let later = store.shifted(lease + 1_000);
    attach(&later, 2).await;
    let later = later.shifted(lease - 1_000);
    let beat = Beat { session: SessionId(2), held: None, as_of: Millis::MAX, reconnected: false };
    later.beat(beat).await.unwrap();
    let later = later.shifted(2_000);
    let items = later.reap(SessionId(2)).await.unwrap().value.items;
    (later, items)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_commit_and_settle_neither_repeats_the_effect_nor_loses_an_item() {
    let mut server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    run(&server, "CREATE TABLE booked (n bigint)").await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let whole = filled(&store, 1, 1, 5).await;
    let leases = settle(&store, 1, 1, Vec::new(), 5).await.unwrap();
    for index in [1, 3] {
        assert_eq!(book(&store, &pool, &context(&leases[0], index)).await, Once::First);
        assert_eq!(book(&store, &pool, &context(&leases[0], index)).await, Once::Before);
    }
    // Both the server and the node are gone before anything is settled.
    server.kill();
    server.restart().unwrap();
    let pool = PgPool::connect(&server.url()).await.unwrap();
    let (later, items) = taken_over(&store).await;
    assert_eq!(items, 3, "what is booked does not come back");
    assert_eq!(later.run(whole).await.unwrap().value.unwrap().counts.ok, 2);
    // The others are suspects now, and come one at a time.
    for n in 1..=3 {
        let leases = settle(&later, 2, 2 * n, Vec::new(), 9).await.unwrap();
        assert_eq!(numbers(&leases).len(), 1);
        assert_eq!(book(&later, &pool, &context(&leases[0], 0)).await, Once::First);
        settle(&later, 2, 2 * n + 1, leases.iter().map(common::done).collect(), 0).await.unwrap();
    }
    assert_eq!(booked(&pool).await, [0, 1, 2, 3, 4]);
    assert_eq!(later.run(whole).await.unwrap().value.unwrap().counts.ok, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_booked_is_done_whatever_the_handler_says() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    run(&server, "CREATE TABLE booked (n bigint)").await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let whole = filled(&store, 1, 1, 4).await;
    let leases = settle(&store, 1, 1, Vec::new(), 4).await.unwrap();
    assert_eq!(book(&store, &pool, &context(&leases[0], 2)).await, Once::First);
    let failure = Box::new(Failure::new(FailureKind::Error, "later".to_owned(), Millis(0).timestamp()));
    let dead = Settlement { token: leases[0].token, from: 0, to: 4, end: End::Dead(failure) };
    settle(&store, 1, 2, vec![dead], 0).await.unwrap();
    let counts = store.run(whole).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.ok, counts.dead), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lease_writes_nothing() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    run(&server, "CREATE TABLE booked (n bigint)").await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    let zombie = context(&leases[0], 0);
    let (later, items) = taken_over(&store).await;
    assert_eq!(items, 1);
    assert_eq!(book(&store, &pool, &zombie).await, Once::Lost);
    let again = settle(&later, 2, 1, Vec::new(), 1).await.unwrap();
    assert_eq!(book(&later, &pool, &context(&again[0], 0)).await, Once::First);
    settle(&later, 2, 2, again.iter().map(common::done).collect(), 0).await.unwrap();
    assert_eq!(book(&store, &pool, &zombie).await, Once::Before, "the row outlives the item");
    assert_eq!(booked(&pool).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_the_second_waits_for_the_first() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    run(&server, "CREATE TABLE booked (n bigint)").await;
    let pool = PgPool::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    let cx = context(&leases[0], 0);
    for commits in [false, true] {
        let mut first = pool.begin().await.unwrap();
        assert_eq!(cx.once_in(&store, &mut first).await.unwrap(), Once::First);
        let second = tokio::spawn({
            let (store, pool, cx) = (store.clone(), pool.clone(), cx.clone());
            async move { book(&store, &pool, &cx).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!second.is_finished(), "it waits");
        if commits {
            first.commit().await.unwrap();
            assert_eq!(second.await.unwrap(), Once::Before);
        } else {
            first.rollback().await.unwrap();
            assert_eq!(second.await.unwrap(), Once::First);
            run(&server, "DELETE FROM jobs.effect; DELETE FROM booked").await;
        }
    }
}
