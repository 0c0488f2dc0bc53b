//! A server that is killed, stopped, cut off or made to forget its scripts: nothing that was acknowledged is lost, and
//! the store finds back by itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::{Duration, Instant};

use common::{append, ask, attach, done, filled, fire, numbers, server, settle};
use jobs_core::{Store, StoreError};
use jobs_redis::{RedisOptions, RedisStore};
use servers::{proxy::Proxy, redis::Options};

/// Short enough for a test, and long enough for a machine that has more to do.
const DEADLINE: Duration = Duration::from_millis(700);

/// Asks until the store answers again.
async fn await_answer(store: &RedisStore) {
    let begun = Instant::now();
    while let Err(error) = store.completable(1).await {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come back: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_unreachable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_syncs_always_loses_nothing_when_it_is_killed() {
    let mut server = server(Options::new().appendfsync("always"));
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 7, 2_500).await;
    let (half, fill) = fire(&store, 1, 8).await.unwrap();
    let fill = fill.unwrap().token;
    append(&store, fill, 0, 0..1_500, false).await.unwrap();
    let mut leases = settle(&store, 1, 1, Vec::new(), 100).await.unwrap();
    for n in 2..=5 {
        server.kill();
        is_unreachable(store.completable(1).await);
        server.restart().unwrap();
        await_answer(&store).await;
        let again = settle(&store, 1, n - 1, Vec::new(), 100).await.unwrap();
        assert_eq!(again, leases, "a repeat is answered alike, over a crash of the server");
        leases = settle(&store, 1, n, leases.iter().map(done).collect(), 100).await.unwrap();
        assert_eq!(numbers(&leases), (100 * (n - 1)..100 * n).collect::<Vec<_>>());
    }
    append(&store, fill, 1, 1_500..2_000, true).await.unwrap();
    let counts = |run| async move { store.run(run).await.unwrap().value.unwrap().counts };
    let (whole, half) = (counts.clone()(run).await, counts(half).await);
    assert_eq!((whole.total, whole.ok, half.total), (2_500, 400, 2_000));
}

#[tokio::test]
async fn tokens_grow_when_the_server_comes_back_with_older_data() {
    let mut server = server(Options::new().appendfsync("always"));
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let (before, _) = fire(&store, 1, 1).await.unwrap();
    // A backup that knows nothing of it is restored, as by a promoted replica that was behind.
    server.kill();
    std::fs::remove_dir_all(server.folder().join("appendonlydir")).unwrap();
    server.restart().unwrap();
    await_answer(&store).await;
    assert!(
        !store
            .beat(jobs_core::Beat {
                session: jobs_core::SessionId(1),
                held: None,
                as_of: jobs_core::Millis::MAX,
                reconnected: true,
            })
            .await
            .unwrap()
            .value
            .alive,
        "the session is told that it is no more"
    );
    attach(&store, 1).await;
    let (after, _) = fire(&store, 1, 1).await.unwrap();
    assert!(after > before, "{after} comes after {before}");
}

#[tokio::test]
async fn a_replica_that_is_promoted_goes_on_where_the_primary_was() {
    let mut primary = server(Options::new());
    let replica = server(Options::new().replica_of(&primary));
    let store = RedisStore::connect(&primary.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 2_500).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_000).await.unwrap();
    let begun = Instant::now();
    // It may still be on its way to its first copy.
    while ask::<String>(&replica.url(), &["INFO", "replication"]).contains("master_link_status:down") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the replica finds no primary");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    attach(&store, 2).await;
    let mut copied = 0;
    while copied == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the replica does not get what is written");
        copied = ask::<String>(&replica.url(), &["HLEN", "{jobs}:k:0000000000000002"]).parse().unwrap();
    }
    primary.kill();
    let _: () = ask(&replica.url(), &["REPLICAOF", "NO", "ONE"]);
    let store = RedisStore::connect(&replica.url()).await.unwrap();
    let more = settle(&store, 1, 2, leases.iter().map(done).collect(), 1_000).await.unwrap();
    assert_eq!(numbers(&more), (1_000..2_000).collect::<Vec<_>>());
    assert!(more[0].token > leases[0].token);
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.ok, 1_000);
}

#[tokio::test]
async fn a_connection_that_was_killed_is_renewed_unnoticed() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 10).await;
    for _ in 0..5 {
        let killed: i64 = ask(&server.url(), &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert!(killed >= 1);
        assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.total, 10);
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    for n in 1..=3 {
        let _: () = ask(&server.url(), &["SCRIPT", "FLUSH"]);
        filled(&store, 1, n, 10).await;
        let _: () = ask(&server.url(), &["SCRIPT", "FLUSH"]);
        assert_eq!(settle(&store, 1, n, Vec::new(), 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_stalls_is_told_in_time_and_replaced() {
    let server = server(Options::new());
    let proxy = Proxy::start(server.port()).unwrap();
    let options = RedisOptions::from_url(&server.url_through(proxy.port())).unwrap().deadline(DEADLINE);
    let store = RedisStore::open(options.clone()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 10).await;
    proxy.stall();
    for _ in 0..2 {
        let begun = Instant::now();
        is_unreachable(store.run(run).await);
        assert!(begun.elapsed() < 4 * DEADLINE, "{:?}", begun.elapsed());
    }
    is_unreachable(RedisStore::open(options).await);
    proxy.resume();
    await_answer(&store).await;
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.total, 10);
    proxy.cut();
    proxy.refuse(true);
    is_unreachable(store.run(run).await);
    proxy.refuse(false);
    await_answer(&store).await;
    proxy.delay(DEADLINE / 10);
    assert_eq!(
        store.run(run).await.unwrap().value.unwrap().counts.total,
        10,
        "a slow one is none that is lost"
    );
}

#[tokio::test]
async fn a_connection_that_is_gone_without_a_word_is_replaced() {
    let server = server(Options::new());
    let proxy = Proxy::start(server.port()).unwrap();
    let options = RedisOptions::from_url(&server.url_through(proxy.port())).unwrap().deadline(DEADLINE);
    let store = RedisStore::open(options).await.unwrap();
    proxy.silence();
    is_unreachable(store.completable(1).await);
    store.completable(1).await.unwrap();
}

#[tokio::test]
async fn what_was_done_before_its_answer_was_lost_is_not_done_twice() {
    let server = server(Options::new());
    let proxy = Proxy::start(server.port()).unwrap();
    let options = RedisOptions::from_url(&server.url_through(proxy.port())).unwrap().deadline(DEADLINE);
    let store = RedisStore::open(options).await.unwrap();
    attach(&store, 1).await;
    // The answer is held back for longer than the deadline.
    proxy.delay(DEADLINE * 3 / 4);
    is_unreachable(fire(&store, 1, 1).await);
    proxy.delay(Duration::ZERO);
    await_answer(&store).await;
    fire(&store, 1, 1).await.unwrap();
    assert_eq!(store.runs(jobs_core::RunFilter::new()).await.unwrap().value.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_stopped_is_told_in_time_and_goes_on() {
    let server = server(Options::new());
    let options = RedisOptions::from_url(&server.url()).unwrap().deadline(DEADLINE);
    let store = RedisStore::open(options).await.unwrap();
    attach(&store, 1).await;
    server.stop().unwrap();
    is_unreachable(fire(&store, 1, 1).await);
    server.go_on().unwrap();
    await_answer(&store).await;
    fire(&store, 1, 1).await.unwrap();
    assert_eq!(
        store.runs(jobs_core::RunFilter::new()).await.unwrap().value.len(),
        1,
        "a repeat is no second run"
    );
}

#[tokio::test]
async fn nothing_answers_where_no_server_is() {
    let port = servers::port::free().unwrap();
    let begun = Instant::now();
    is_unreachable(RedisStore::connect(&format!("redis://127.0.0.1:{port}")).await);
    assert!(begun.elapsed() < Duration::from_secs(2), "a refusal is told at once");
}
