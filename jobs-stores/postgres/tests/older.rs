//! A schema that an older version made is migrated, and programs of that version go on beside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::{JOB, attach, connect, done, filled, numbers, run, settle, somebody_waits, start};
use jobs_core::Store;
use jobs_postgres::PostgresStore;
use sqlx::Row;

const SCHEMA_1: &str = concat!(
    "CREATE SCHEMA jobs; SET search_path TO jobs; CREATE TABLE jobs_store (schema integer NOT NULL);
     INSERT INTO jobs_store VALUES (1);",
    include_str!("../src/sql/schema_1.sql"),
    include_str!("../src/sql/functions_1.sql"),
);

/// What a program of schema 1 stores: a run of three items, with the statements of that version.
fn stored(run: u64, due: u64) -> String {
    let header = format!(
        r#"{{"format":1,"job":"{JOB}","number":{run},"tracked":false,"trigger":"Manual","tick":null,"stage":"Work",
            "priority":0,"due":{due},"attempt":0,"fresh":true,"item_type":"u64","key":null,"suspect":false,"crashes":0,
            "redelivered":0,"start":0,"enqueued_at":5,"options":{{"retries":null,"timeout":null,"expires_at":null}},
            "undecodable":null}}"#
    );
    let record = r#"{"trigger":"Manual","tick":null,"started_at":5,"note":null,"errors":[],"first":null,"fill":null,
                     "last_append":0,"query_failed":false,"over":null}"#;
    format!(
        "SET search_path TO jobs;
         INSERT INTO namespace (name) VALUES ('jobs') ON CONFLICT DO NOTHING;
         INSERT INTO job (ns, name, link, keep_runs, keep_ticks) VALUES (1, '{JOB}', '{{}}', 100, 1000)
             ON CONFLICT (ns, name) DO NOTHING;
         INSERT INTO run (id, ns, job, request, total, fresh, filling, busy, record)
             VALUES ({run}, 1, (SELECT id FROM job WHERE name = '{JOB}'), {run}, 3, 3, false, true, '{record}');
         WITH stored AS (
             INSERT INTO body (start, count, header, items) VALUES (0, 3, '{header}', '\\x') RETURNING id, start, count)
         INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at)
         SELECT line_1(1, (SELECT id FROM job WHERE name = '{JOB}'), 1::smallint, {run}, '', {due}, {run}), {due}, {run},
                start, count, 1, 1, false, false, id, 0 FROM stored;"
    )
}

/// The server ends one of two transactions that wait for each other. The migration waits first, so it is that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_beside_a_program_that_works_is_tried_again() {
    let server = start();
    run(&server, SCHEMA_1).await;
    let mut old = connect(&server).await;
    let begin = "BEGIN; SET LOCAL search_path TO jobs; LOCK TABLE link IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(begin).execute(&mut old).await.unwrap();
    let url = server.url();
    let opening = tokio::spawn(async move { PostgresStore::connect(&url).await });
    somebody_waits(&server).await;
    sqlx::raw_sql("SELECT FROM delayed; COMMIT").execute(&mut old).await.unwrap();
    opening.await.unwrap().unwrap();
}

/// What is counted of a run stays, until a version reads it that knows its record.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_of_a_run_of_a_newer_version_is_kept() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let whole = filled(&store, 1, 9, 4).await;
    let leases = settle(&store, 1, 1, Vec::new(), 9).await.unwrap();
    let newer = "UPDATE jobs.run SET record = '{\"of\": \"tomorrow\"}' || record";
    run(&server, newer).await;
    settle(&store, 1, 2, leases.iter().map(done).collect(), 0).await.unwrap();
    store.completable(9).await.unwrap();
    store.cancel(whole).await.unwrap();
    store.reap(jobs_core::SessionId(1)).await.unwrap();
    run(&server, "UPDATE jobs.run SET record = substr(record, length('{\"of\": \"tomorrow\"}') + 1)").await;
    assert_eq!(store.completable(9).await.unwrap().value, [whole]);
    assert_eq!(store.run(whole).await.unwrap().value.unwrap().counts.ok, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_stored_is_worked_off_and_it_goes_on_beside() {
    let server = start();
    run(&server, SCHEMA_1).await;
    run(&server, &stored(7, 5)).await;
    // It has a body of three items, as this version writes them.
    let mut writer = jobs_core::BodyWriter::default();
    (0..3_u64).for_each(|item| drop(writer.push(&item).unwrap()));
    let body = writer.finish().unwrap();
    let items = "UPDATE jobs.body SET items = $1";
    sqlx::query(items).bind(body.as_bytes()).execute(&mut connect(&server).await).await.unwrap();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    let version: i32 = sqlx::query_scalar("SELECT schema FROM jobs.jobs_store")
        .fetch_one(&mut connect(&server).await)
        .await
        .unwrap();
    assert_eq!(version, 2);
    attach(&store, 1).await;
    let leases = settle(&store, 1, 1, Vec::new(), 9).await.unwrap();
    assert_eq!(numbers(&leases), [0, 1, 2]);
    settle(&store, 1, 2, leases.iter().map(done).collect(), 0).await.unwrap();
    let ended = store.completable(9).await.unwrap().value;
    assert_eq!(ended, [jobs_core::RunId::new(7)]);
    // The older one is still connected: it stores, and it leases what this one stored.
    run(&server, &stored(8, 6)).await;
    sqlx::query("UPDATE jobs.body SET items = $1 WHERE items = ''")
        .bind(body.as_bytes())
        .execute(&mut connect(&server).await)
        .await
        .unwrap();
    let leases = settle(&store, 1, 3, Vec::new(), 9).await.unwrap();
    assert_eq!(numbers(&leases), [0, 1, 2]);
    let whole = filled(&store, 1, 9, 4).await;
    let mut old = connect(&server).await;
    sqlx::raw_sql("SET search_path TO jobs").execute(&mut old).await.unwrap();
    let taken = sqlx::raw_sql(
        "SELECT t.* FROM line AS l, take_1(l.id, 1, 4, false, 1::smallint, false, false, 1::smallint, NULL, 5) AS t
         WHERE l.kind = 1",
    );
    let taken = taken.fetch_all(&mut old).await.unwrap();
    let items: i32 = taken.iter().map(|row| row.get::<i32, _>("count")).sum();
    assert_eq!(items, 4);
    assert_eq!(taken[0].get::<i64, _>("number").cast_unsigned(), whole.number());
    let over = "WITH gone AS (DELETE FROM lease WHERE session = 1 AND number = $1 RETURNING *)
                SELECT end_items_1(array_agg(body), array_agg(count)) FROM gone";
    sqlx::query(over).bind(whole.number().cast_signed()).execute(&mut old).await.unwrap();
    let tally = "INSERT INTO tally (ns, run, ok, retries, dead, discarded, expired, cancelled, fresh, errors)
                 VALUES (1, $1, 4, 0, 0, 0, 0, 0, 4, NULL)";
    sqlx::query(tally).bind(whole.number().cast_signed()).execute(&mut old).await.unwrap();
    assert!(store.completable(9).await.unwrap().value.contains(&whole));
}
