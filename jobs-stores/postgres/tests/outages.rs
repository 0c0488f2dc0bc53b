//! A server that is killed, that ends connections, that does not answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::{Duration, Instant};

use common::{append, attach, connect, done, filled, fire, numbers, run, settle, start};
use jobs_core::{Appended, Complete, Completion, RunState, Store, StoreError};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::proxy::Proxy;

async fn opened(url: &str, deadline: Duration) -> PostgresStore {
    PostgresStore::open(PostgresOptions::from_url(url).unwrap().deadline(deadline)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let mut server = start();
    let store = opened(&server.url(), Duration::from_secs(1)).await;
    attach(&store, 1).await;
    let whole = filled(&store, 1, 1, 2_500).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_500).await.unwrap();
    let last_token = leases.last().unwrap().token;
    let second = settle(&store, 1, 2, vec![done(&leases[0])], 0).await.unwrap();
    assert_eq!(second, []);
    // A query that has stored something, and is not through.
    let (half, fill) = fire(&store, 1, 2).await.unwrap();
    append(&store, fill.as_ref().unwrap().token, 0, 0..10, false).await.unwrap();

    server.kill();
    let began = Instant::now();
    let error = store.get("anything").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "a call has a deadline");
    server.restart().unwrap();

    let report = store.run(whole).await.unwrap().value.unwrap();
    assert_eq!((report.counts.total, report.counts.ok), (2_500, 1_000));
    // What is staged is durable with the last append; what was lost before is asked for again.
    let token = fill.unwrap().token;
    let appended = match append(&store, token, 1, 10..20, true).await.unwrap() {
        Appended::OutOfOrder { expected: 0 } => append(&store, token, 0, 0..20, true).await.unwrap(),
        appended => appended,
    };
    assert_eq!(appended, Appended::Stored { ready: 1_020, total: 20 });
    let rest = settle(&store, 1, 3, vec![done(&leases[1])], 2_000).await.unwrap();
    assert!(rest.iter().all(|lease| lease.token > last_token), "tokens grow over a restart");
    let of =
        |id| numbers(&rest.iter().filter(|l| l.chunk.header.run() == Some(id)).cloned().collect::<Vec<_>>());
    assert_eq!(of(whole), (1_500..2_500).collect::<Vec<_>>());
    assert_eq!(of(half), (0..20).collect::<Vec<_>>());
    settle(&store, 1, 4, rest.iter().map(done).collect(), 0).await.unwrap();
    assert_eq!(store.completable(9).await.unwrap().value, [whole, half]);
    store.complete(vec![Complete { run: whole, finish: false }]).await.unwrap();
    assert_eq!(store.run(whole).await.unwrap().value.unwrap().state, RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_ended_are_made_anew() {
    let server = start();
    let store = opened(&server.url(), Duration::from_secs(5)).await;
    attach(&store, 1).await;
    let (run_of, _) = fire(&store, 1, 1).await.unwrap();
    for _ in 0..3 {
        // Several connections, all idle when they are ended.
        let looks =
            (0..6).map(|_| store.clone()).map(|store| tokio::spawn(async move { store.jobs().await }));
        for look in looks.collect::<Vec<_>>() {
            look.await.unwrap().unwrap();
        }
        run(
            &server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await;
        assert!(store.run(run_of).await.unwrap().value.is_some());
        attach(&store, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_stalls_is_unreachable_in_time() {
    let server = start();
    let proxy = Proxy::start(server.port()).unwrap();
    let store = opened(&server.url_through(proxy.port()), Duration::from_millis(500)).await;
    attach(&store, 1).await;
    proxy.stall();
    let began = Instant::now();
    let error = store.jobs().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    proxy.resume();
    assert_eq!(store.jobs().await.unwrap().value.len(), 1);
    proxy.cut();
    assert_eq!(store.jobs().await.unwrap().value.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_inside_a_transaction_holds_nobody_up_for_long() {
    let server = start();
    let proxy = Proxy::start(server.port()).unwrap();
    let stopped = opened(&server.url_through(proxy.port()), Duration::from_secs(1)).await;
    let store = opened(&server.url(), Duration::from_secs(5)).await;
    attach(&store, 1).await;
    filled(&store, 1, 1, 100).await;
    // A call that takes a while, and then what would end it is never sent.
    proxy.delay(Duration::from_millis(40));
    let busy = tokio::spawn({
        let stopped = stopped.clone();
        async move { settle(&stopped, 1, 1, Vec::new(), 100).await }
    });
    let locked = "SELECT FROM pg_locks WHERE locktype = 'advisory'";
    let mut other = connect(&server).await;
    while sqlx::query(locked).fetch_all(&mut other).await.unwrap().is_empty() {
        assert!(!busy.is_finished(), "it was too quick");
    }
    proxy.stall();
    // This one needs the namespace alone.
    attach(&store, 2).await;
    let leases = settle(&store, 2, 1, Vec::new(), 100).await.unwrap();
    assert_eq!(numbers(&leases).len(), 100);
    let error = busy.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let server = start();
    let store = opened(&server.url(), Duration::from_secs(10)).await;
    attach(&store, 1).await;
    let (run, fill) = fire(&store, 1, 1).await.unwrap();
    append(&store, fill.unwrap().token, 0, 0..0, true).await.unwrap();
    let mut other = connect(&server).await;
    let sql = |text: &'static str| sqlx::raw_sql(text);
    sql("BEGIN; SELECT FROM jobs.job FOR UPDATE").execute(&mut other).await.unwrap();
    let completing = tokio::spawn({
        let store = store.clone();
        async move { store.complete(vec![Complete { run, finish: false }]).await }
    });
    // The store holds its namespace, and waits for the job.
    let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let began = Instant::now();
    while sqlx::query(waits).fetch_all(&mut connect(&server).await).await.unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5), "nobody waits");
    }
    let lock = "SELECT pg_advisory_xact_lock(classid::integer, objid::integer) FROM pg_locks
                WHERE locktype = 'advisory' AND mode = 'ShareLock' LIMIT 1";
    sql(lock).execute(&mut other).await.unwrap();
    sql("COMMIT").execute(&mut other).await.unwrap();
    let completed = completing.await.unwrap().unwrap().value;
    assert!(matches!(completed[..], [Completion::Completed(_)]), "at the second attempt: {completed:?}");
    let said = std::fs::read_to_string(server.folder().join("log-1")).unwrap();
    assert!(said.contains("deadlock detected"), "{said}");
}
