//! Decisions that rest on one look, although others write meanwhile; and what a step looks at when there is much.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{JOB, attach, connect, done, filled, fire, run, settle, somebody_waits, start};
use jobs_core::{
    Beat, Cancellation, DeadFilter, End, Failure, FailureKind, Lease, Millis, PutCell, Requeue, RunId,
    RunState, SessionId, Settlement, Store,
};
use jobs_postgres::PostgresStore;
use sqlx::PgConnection;

const SESSION: SessionId = SessionId(1);

fn failure() -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, "no".to_owned(), Millis(0).timestamp()))
}

fn ended(lease: &Lease, end: End) -> Settlement {
    Settlement { token: lease.token, from: 0, to: 1, end }
}

async fn execute(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}

/// The store so much later, with the session alive.
async fn later(store: &PostgresStore, millis: i64) -> PostgresStore {
    let store = store.shifted(millis);
    let beat = Beat { session: SESSION, held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
    store
}

async fn state(store: &PostgresStore, run: RunId) -> RunState {
    store.run(run).await.unwrap().value.unwrap().state
}

/// A settle makes what is due ready. While it waits for one run, another is cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_due_when_it_is_cancelled_ends_its_run() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let (first, lease_of_first) = fire(&store, 1, 1).await.unwrap();
    let (second, lease_of_second) = fire(&store, 1, 2).await.unwrap();
    let lease_of_second = match lease_of_second {
        Some(lease) => lease,
        None => settle(&store, 1, 1, Vec::new(), 1).await.unwrap().pop().unwrap(),
    };
    let now = store.get("").await.unwrap().now;
    let retry = |lease| ended(lease, End::retry(now + Duration::from_secs(2), now, failure()));
    let both = vec![retry(&lease_of_first.unwrap()), retry(&lease_of_second)];
    settle(&store, 1, 2, both, 0).await.unwrap();
    let mut holder = connect(&server).await;
    let of_first = format!("BEGIN; SELECT FROM jobs.delayed WHERE number = {} FOR UPDATE", first.number());
    execute(&mut holder, &of_first).await;
    store.cancel(first).await.unwrap();
    execute(&mut holder, "COMMIT").await;
    execute(&mut holder, &format!("BEGIN; SELECT FROM jobs.run WHERE id = {} FOR UPDATE", first.number()))
        .await;
    let due = store.shifted(4_000);
    let settling = tokio::spawn({
        let due = due.clone();
        async move { settle(&due, 1, 3, Vec::new(), 1).await.unwrap() }
    });
    somebody_waits(&server).await;
    store.cancel(second).await.unwrap();
    execute(&mut holder, "COMMIT").await;
    let leases = settling.await.unwrap();
    settle(&due, 1, 4, leases.iter().map(done).collect(), 0).await.unwrap();
    let mut clock = 4_000;
    for n in 5..40 {
        // It may end with whoever settles, leases or looks after cancels; but no row has to be lost for that.
        settle(&later(&store, clock).await, 1, n, Vec::new(), 0).await.unwrap();
        later(&store, clock).await.reap(SESSION).await.unwrap();
        clock += 20_000;
    }
    let store = later(&store, clock).await;
    store.completable(9).await.unwrap();
    for run in [first, second] {
        let report = store.run(run).await.unwrap().value.unwrap();
        assert_eq!((report.counts.ended(), report.errors.len()), (report.counts.total, 1), "{report:?}");
        assert_ne!(report.state, RunState::Filling);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_that_is_sent_twice_at_once_is_answered_twice() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let mut n = 0;
    for request in 1..=40 {
        filled(&store, 1, request, 1).await;
        n += 2;
        let lease = settle(&store, 1, n - 1, Vec::new(), 1).await.unwrap().pop().unwrap();
        settle(&store, 1, n, vec![ended(&lease, End::Dead(failure()))], 0).await.unwrap();
        let items = vec![store.dead(DeadFilter::new()).await.unwrap().value[0].id];
        let requeue = Requeue { request: 1_000 + request, job: JOB.into(), items, note: None };
        let (first, second) = tokio::join!(store.requeue(requeue.clone()), store.requeue(requeue));
        let (first, second) = (first.unwrap().value, second.unwrap().value);
        assert!(first.is_some() && first == second, "{first:?} and {second:?}");
        n += 2;
        let again = settle(&store, 1, n - 1, Vec::new(), 1).await.unwrap();
        settle(&store, 1, n, again.iter().map(done).collect(), 0).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_number_of_the_future_ends_when_its_items_are_gone() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    // Numbers only grow: from here on they are those of next year.
    let ahead = store.shifted(365 * 24 * 3_600 * 1_000);
    let cell = PutCell { value: Some(1.into()), ..PutCell::default() };
    ahead.put_if("ahead", 0, cell).await.unwrap().value.unwrap();
    let whole = filled(&store, 1, 1, 10).await;
    run(&server, "DELETE FROM jobs.ready").await;
    later(&store, 590_000).await;
    let store = later(&store, 1_170_000).await;
    assert_eq!(store.reap(SESSION).await.unwrap().value.ended, [whole]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reap_ends_while_a_hundred_thousand_cancelled_runs_are_held() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 1).await;
    settle(&store, 1, 1, Vec::new(), 1).await.unwrap();
    let many = "SET search_path TO jobs;
        INSERT INTO run (id, ns, job, total, fresh, filling, busy, begun, is_cancelled, sweep, record)
            SELECT r.id + i, r.ns, r.job, 1, 1, false, true, true, true, true, r.record
            FROM (SELECT * FROM run ORDER BY id LIMIT 1) AS r, generate_series(1, 100000) AS i;
        INSERT INTO lease (session, token, job, number, stage, tracked, suspect, start, count, body, at, header, granted_at, open)
            SELECT l.session, l.token + i, l.job, l.number + i, 1, false, false, 0, 1, l.body, 0, l.header, l.granted_at, 1
            FROM (SELECT * FROM lease ORDER BY token LIMIT 1) AS l, generate_series(1, 100000) AS i";
    run(&server, many).await;
    later(&store, 599_000).await;
    let store = later(&store, 1_198_000).await;
    assert!(!store.reap(SESSION).await.unwrap().value.more);
}

/// A cancel goes on while others hold what waits of it, whoever looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_what_is_held_elsewhere_is_not_forgotten() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let whole = filled(&store, 1, 1, 5).await;
    let mut holder = connect(&server).await;
    execute(&mut holder, "BEGIN; SELECT FROM jobs.ready FOR UPDATE").await;
    assert_eq!(store.cancel(whole).await.unwrap().value, Cancellation::Cancelled { more: true });
    execute(&mut holder, "COMMIT").await;
    later(&store, 599_000).await;
    let store = later(&store, 1_198_000).await;
    assert_eq!(store.reap(SESSION).await.unwrap().value.ended, [whole]);
    assert_eq!(state(&store, whole).await, RunState::Working, "it is over when somebody says so");
}
