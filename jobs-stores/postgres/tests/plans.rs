//! No statement reads a whole table, though nothing was ever analysed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{LEASE, attach, connect, done, filled, settle, start};
use jobs_core::{
    Beat, Complete, DeadFilter, End, Failure, FailureKind, Millis, PutCell, Requeue, RunFilter, SessionId,
    Settlement, Store, Token,
};
use jobs_postgres::PostgresStore;
use servers::postgres::Server;

/// How often each table was read from its beginning to its end.
async fn scans(server: &Server) -> BTreeMap<String, i64> {
    let sql = "SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'jobs'";
    sqlx::query_as(sql).fetch_all(&mut connect(server).await).await.unwrap().into_iter().collect()
}

fn failure() -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, "no".to_owned(), Millis(0).timestamp()))
}

/// All that happens in the life of runs.
async fn live(store: &PostgresStore) {
    attach(store, 1).await;
    let run = filled(store, 1, 1, 5_000).await;
    let leases = settle(store, 1, 1, Vec::new(), 3_300).await.unwrap();
    let ends = [
        End::retry(Millis(0), Millis(0), failure()),
        End::retry(Millis(i64::MAX / 4), Millis(0), failure()),
        End::Dead(failure()),
        End::Undecodable("no".to_owned()),
        End::Back,
    ];
    let token = leases[0].token;
    let some = (0..).zip(ends).map(|(n, end)| Settlement { token, from: n, to: n + 1, end });
    settle(store, 1, 2, some.collect(), 100).await.unwrap();
    let held: Vec<Token> = leases.iter().map(|lease| lease.token).collect();
    let session = SessionId(1);
    let beat = Beat { session, held: Some(held), as_of: Millis::MAX, reconnected: false };
    store.beat(beat).await.unwrap();
    settle(store, 1, 3, leases.iter().map(done).collect(), 4_000).await.unwrap();
    store.items(run, 10).await.unwrap();
    let dead = store.dead(DeadFilter::new()).await.unwrap().value;
    let items = vec![dead[0].id];
    let requeue = Requeue { request: 9, job: common::JOB.into(), items: items.clone(), note: None };
    store.requeue(requeue).await.unwrap();
    store.discard(10, items).await.unwrap();
    // The node dies, and another takes over.
    let later = store.shifted(i64::try_from(LEASE.as_millis()).unwrap() * 2);
    attach(&later, 2).await;
    let later = later.shifted(i64::try_from(LEASE.as_millis()).unwrap() - 1_000);
    later
        .beat(Beat { session: SessionId(2), held: None, as_of: Millis::MAX, reconnected: false })
        .await
        .unwrap();
    let later = later.shifted(2_000);
    assert!(later.reap(SessionId(2)).await.unwrap().value.items > 0);
    settle(&later, 2, 1, Vec::new(), 10).await.unwrap();
    store.cancel(run).await.unwrap();
    store.complete(vec![Complete { run, finish: true }]).await.unwrap();
    store.completable(10).await.unwrap();
    store.prune(1_000).await.unwrap();
    let put = PutCell { value: Some(1.into()), expires_in: Some(Duration::from_secs(1)), owner: None };
    store.put_if("cell", 0, put).await.unwrap().value.unwrap();
    store.list("c").await.unwrap();
    store.jobs().await.unwrap();
    store.runs(RunFilter::new()).await.unwrap();
    store.sessions().await.unwrap();
    store.ticks(common::JOB, 10).await.unwrap();
    store.detach(SessionId(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_a_whole_table() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = scans(&server).await;
    live(&store).await;
    drop(store);
    // What sessions have counted is there when they have ended.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = scans(&server).await;
    let counted = "SELECT count(*) FROM pg_stat_user_tables WHERE relname IN ('ready', 'lease', 'run') AND idx_scan > 0";
    let counted: i64 = sqlx::query_scalar(counted).fetch_one(&mut connect(&server).await).await.unwrap();
    assert_eq!(counted, 3, "what was read by an index is counted too");
    // Among a handful of namespaces there is nothing to find faster.
    let small = ["namespace", "jobs_store"];
    let more: Vec<_> = after
        .iter()
        .filter(|(table, scans)| {
            !small.contains(&&***table) && **scans > before.get(*table).copied().unwrap_or(0)
        })
        .collect();
    assert!(more.is_empty(), "these were read as a whole: {more:?}");
}
