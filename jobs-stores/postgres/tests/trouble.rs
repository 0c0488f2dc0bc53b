//! What goes wrong in a database stops nobody else: refused values, records that are gone or cannot be read, a schema that
//! was dropped, and very much that is due at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{JOB, LEASE, append, attach, connect, done, filled, fire, numbers, run, settle, start};
use jobs_core::{
    Appended, Beat, Cancellation, Complete, End, Failure, FailureKind, Millis, PutCell, RunReport, RunState,
    SessionId, Settlement, Store, StoreError,
};
use jobs_postgres::PostgresStore;
use servers::postgres::Server;

async fn number(server: &Server, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connect(server).await)
        .await
        .unwrap()
}

fn snoozed(token: jobs_core::Token) -> Settlement {
    let wait = Duration::from_secs(3600);
    Settlement { token, from: 0, to: 1, end: End::Snooze { at: Millis::MAX, wait } }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_at_once_is_made_ready_a_thousand_at_a_time() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    settle(&store, 1, 2, vec![snoozed(leases[0].token)], 0).await.unwrap();
    let more = "INSERT INTO jobs.delayed (ns, job, due, number, start, count, body, at, header, since)
        SELECT ns, job, due, number, n, count, body, at, header, since FROM jobs.delayed, generate_series(1, 199999) AS g (n)";
    run(&server, more).await;
    let later = store.shifted(3_600_000);
    attach(&later, 2).await;
    for left in [199_000, 198_000, 197_000] {
        let began = std::time::Instant::now();
        let leases = settle(&later, 2, 200_000 - left, Vec::new(), 5).await.unwrap();
        assert_eq!(leases.len(), 5);
        assert_eq!(number(&server, "SELECT count(*) FROM jobs.delayed").await, i64::try_from(left).unwrap());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_value_fails_what_it_refers_to_alone() {
    let store = common::open().await;
    attach(&store, 1).await;
    let put = PutCell { value: Some(1.into()), ..PutCell::default() };
    let error = store.put_if("a\0b", 0, put.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    // An index of Postgres takes no more than 2,700 bytes.
    let name: String = (0..40_000_u32).filter_map(|n| char::from_u32(0x4e00 + n * 7919 % 20_000)).collect();
    let error = store.put_if(&name, 0, put.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    store.put_if("ab", 0, put).await.unwrap().value.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_keep_every_text_is_refused_with_the_remedy() {
    let server = start();
    run(&server, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        .await;
    let url = server.url();
    let (server_of, _) = url.rsplit_once('/').unwrap();
    let error = PostgresStore::connect(&format!("{server_of}/latin")).await.unwrap_err().to_string();
    assert!(error.contains("LATIN1") && error.contains("ENCODING 'UTF8'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_dropped_is_made_anew() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 10).await;
    run(&server, "DROP SCHEMA jobs CASCADE").await;
    let beat = Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected: false };
    assert!(!store.beat(beat).await.unwrap().value.alive, "it is gone with the rest");
    attach(&store, 1).await;
    filled(&store, 1, 1, 10).await;
    assert_eq!(numbers(&settle(&store, 1, 1, Vec::new(), 10).await.unwrap()).len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_alone() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 1).await;
    filled(&store, 1, 2, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    settle(&store, 1, 2, vec![snoozed(leases[0].token)], 0).await.unwrap();
    // A newer version wrote what this one does not know.
    run(&server, "UPDATE jobs.delayed SET header = replace(header, '\"Manual\"', '\"Lunar\"'), due = 0")
        .await;
    run(&server, "UPDATE jobs.body SET header = replace(header, '\"Manual\"', '\"Lunar\"')").await;
    assert_eq!(settle(&store, 1, 3, Vec::new(), 9).await.unwrap().len(), 0);
    assert_eq!(number(&server, "SELECT count(*) FROM jobs.lease").await, 0, "nobody holds it");
    assert_eq!(number(&server, "SELECT count(*) FROM jobs.ready").await, 2, "nothing of it is lost");
    filled(&store, 1, 3, 3).await;
    let leases = settle(&store, 1, 4, Vec::new(), 9).await.unwrap();
    assert_eq!(numbers(&leases), [0, 1, 2], "others go on");
}

const TABLES: [&str; 14] = [
    "session", "link", "lane", "job", "tick", "run", "tally", "line", "ready", "delayed", "body", "share",
    "lease", "failure",
];

/// All that is done with runs. Answers may be anything but errors.
async fn go_on(store: &PostgresStore, request: u64, leases: Vec<jobs_core::Lease>) {
    let n = request * 10;
    settle(store, 1, n, leases.iter().map(done).collect(), 5).await.unwrap();
    settle(store, 1, n, Vec::new(), 5).await.unwrap();
    let runs = store.completable(100).await.unwrap().value;
    store.complete(runs.into_iter().map(|run| Complete { run, finish: false }).collect()).await.unwrap();
    for report in store.runs(jobs_core::RunFilter::new()).await.unwrap().value {
        store.items(report.id, 10).await.unwrap();
        store.cancel(report.id).await.unwrap();
    }
    store.reap(SessionId(1)).await.unwrap();
    store.prune(100).await.unwrap();
    store.jobs().await.unwrap();
    store.dead(jobs_core::DeadFilter::new()).await.unwrap();
    store.sessions().await.unwrap();
    store.ticks(JOB, 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_deleted_by_hand_wedge_nothing() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let mut request = 0;
    for table in TABLES {
        for which in ["", " WHERE ctid = (SELECT min(ctid) FROM jobs.table_)"] {
            request += 10;
            attach(&store, 1).await;
            filled(&store, 1, request, 20).await;
            let staged = fire(&store, 1, request + 1).await.unwrap().1.unwrap();
            append(&store, staged.token, 0, 0..5, false).await.unwrap();
            let leases = settle(&store, 1, request * 10 - 5, Vec::new(), 8).await.unwrap();
            let failure = Box::new(Failure::new(FailureKind::Error, "no", Millis(0).timestamp()));
            let retry = |token| Settlement {
                token,
                from: 0,
                to: 1,
                end: End::retry(Millis(0), Millis(0), failure.clone()),
            };
            let some: Vec<Settlement> = leases.first().map(|lease| retry(lease.token)).into_iter().collect();
            settle(&store, 1, request * 10 - 4, some, 0).await.unwrap();
            run(&server, &format!("DELETE FROM jobs.{table}{}", which.replace("table_", table))).await;
            append(&store, staged.token, 1, 5..9, true).await.unwrap();
            go_on(&store, request, leases).await;
            // What is begun anew goes to its end.
            attach(&store, 1).await;
            let run = filled(&store, 1, request + 2, 5).await;
            let mut left = 40;
            let mut n = request * 10 + 5;
            let mut leases = Vec::new();
            while left > 0 && store.run(run).await.unwrap().value.unwrap().counts.ok < 5 {
                left -= 1;
                n += 1;
                leases = settle(&store, 1, n, leases.iter().map(done).collect(), 100).await.unwrap();
            }
            assert!(left > 0, "after rows of `{table}` were deleted");
            request += 10;
        }
    }
    // Nobody holds anything for ever, and no run stays open, whatever was taken from under it.
    let half = LEASE / 2;
    let mut later = store.shifted(2 * LEASE.as_millis() as i64);
    attach(&later, 2).await;
    let mut open = usize::MAX;
    for step in 0..40 {
        later = later.shifted(half.as_millis() as i64);
        let beat = Beat { session: SessionId(2), held: None, as_of: Millis::MAX, reconnected: false };
        assert!(later.beat(beat).await.unwrap().value.alive);
        later.reap(SessionId(2)).await.unwrap();
        let leases = settle(&later, 2, 2 * step, Vec::new(), 100).await.unwrap();
        settle(&later, 2, 2 * step + 1, leases.iter().map(done).collect(), 0).await.unwrap();
        let ended = later.completable(100).await.unwrap().value;
        let ended = ended.into_iter().map(|run| Complete { run, finish: false }).collect();
        later.complete(ended).await.unwrap();
        let runs = later.runs(jobs_core::RunFilter::new().limit(1_000)).await.unwrap().value;
        open = runs.iter().filter(|run| run.finished_at.is_none()).count();
    }
    assert_eq!(open, 0, "runs that are open for ever");
    let runs = later.runs(jobs_core::RunFilter::new().limit(1_000)).await.unwrap().value;
    let missing = |run: &RunReport| run.errors.iter().any(|group| group.message.contains("items are gone"));
    let lost: Vec<RunState> = runs.iter().filter(|run| missing(run)).map(|run| run.state).collect();
    assert!(
        !lost.is_empty() && !lost.contains(&RunState::Succeeded),
        "what is missing is no success: {lost:?}"
    );
    assert_eq!(number(&server, "SELECT count(*) FROM jobs.lease").await, 0, "leases that nobody gives back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_counts_what_nobody_has_touched() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 60_000).await;
    let began = std::time::Instant::now();
    let cancelled = store.cancel(run).await.unwrap().value;
    assert_eq!(cancelled, Cancellation::Cancelled { more: false });
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.cancelled, 60_000);
    let appended = fire(&store, 1, 2).await.unwrap().1.unwrap();
    assert!(matches!(append(&store, appended.token, 0, 0..3, true).await, Ok(Appended::Stored { .. })));
    assert_eq!(LEASE.as_secs(), 600);
}
