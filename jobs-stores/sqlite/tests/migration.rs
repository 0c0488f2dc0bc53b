//! A file of schema 1 is migrated when it is opened, and a process of schema 1 that has it open goes on beside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{File, append, done, numbers, settle};
use jobs_core::{Appended, DeadFilter, ItemState, RunId, RunState, Store, Token, pause_cell};
use rusqlite::Connection;

/// The session of the older process, and its row.
const OLD: u64 = 11;
const ROW: i64 = 1_792_155_648_000_001;
const JOB: i64 = 1_792_155_648_000_002;
const RUN: u64 = 1_792_155_648_000_003;
const LEASE: Token = Token(1_792_155_648_000_013);
const FILL: Token = Token(1_792_155_648_000_021);

fn connect(file: &File) -> Connection {
    let conn = Connection::open(file.path()).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    conn
}

/// A file as a version of schema 1 has left it.
fn kept() -> File {
    let file = File::new();
    let conn = connect(&file);
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").unwrap();
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    conn.execute_batch(include_str!("../src/schema/1.sql")).unwrap();
    conn.execute_batch("PRAGMA application_id = 1785684595; PRAGMA user_version = 1").unwrap();
    conn.execute_batch(include_str!("fixtures/schema-1.sql")).unwrap();
    file
}

fn schema(conn: &Connection) -> i64 {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Every line that is the first of its kind has a head, and nothing else has.
fn heads_are_right(conn: &Connection) {
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let first = "SELECT job, kind, builds, ns, id, rank, number, turn FROM line
                 WHERE rank IS NOT NULL AND kind < 4 AND id = (SELECT f.id FROM line AS f
                     WHERE f.job = line.job AND f.kind = line.kind AND f.builds = line.builds AND f.rank IS NOT NULL
                     ORDER BY f.rank, f.number, f.id LIMIT 1)";
    let heads = "SELECT job, kind, builds, ns, line, rank, number, turn FROM head";
    assert_eq!(count(&format!("SELECT count(*) FROM ({first} EXCEPT {heads})")), 0, "a head is missing");
    assert_eq!(count(&format!("SELECT count(*) FROM ({heads} EXCEPT {first})")), 0, "a head is too many");
}

#[tokio::test]
async fn a_file_of_schema_1_is_migrated_and_worked_off() {
    let file = kept();
    let store = file.open().await;
    let conn = connect(&file);
    assert_eq!(schema(&conn), 2);
    heads_are_right(&conn);

    let job = store.job("suite.fan").await.unwrap().value.unwrap();
    assert_eq!([job.ready, job.delayed, job.in_flight, job.dead], [5, 1, 4, 1]);
    let cursor = job.schedule.unwrap();
    assert_eq!((cursor.cursor.0, &*cursor.fingerprint), (1_750_000_000_000, "one"));
    let run = store.run(RunId::new(RUN)).await.unwrap().value.unwrap();
    assert_eq!((run.state, run.counts.dead, run.errors[0].count), (RunState::Working, 1, 2));
    let items = store.items(RunId::new(RUN), 100).await.unwrap().value;
    let in_flight = items.iter().filter(|item| matches!(item.state, ItemState::InFlight { .. })).count();
    assert_eq!((items.len(), in_flight), (9, 3));
    let ticks = store.ticks("suite.fan", 9).await.unwrap().value;
    assert_eq!(ticks[0].run, Some(RunId::new(RUN)));
    assert_eq!(store.get("some").await.unwrap().value.unwrap().value["a"], 1);

    // The older session's lane is remembered: a repeat of its last call is answered as the first was.
    let again = settle(&store, OLD, 4, Vec::new(), 0).await.unwrap();
    assert_eq!(numbers(&again), [2, 3, 4]);
    // What it had begun goes on: its query, and what it holds.
    let appended = append(&store, FILL, 1, 102..105, true).await.unwrap();
    assert!(matches!(appended, Appended::Stored { total: 5, .. }), "{appended:?}");
    let settlement = done(&again[0]);
    assert_eq!(settlement.token, LEASE);
    let leases = settle(&store, OLD, 5, vec![settlement], 100).await.unwrap();
    let mut worked = numbers(&leases);
    worked.sort_unstable();
    assert_eq!(worked, [1, 5, 6, 7, 8, 9, 100, 101, 102, 103, 104]);
    settle(&store, OLD, 6, leases.iter().map(done).collect(), 0).await.unwrap();
    assert_eq!(store.completable(9).await.unwrap().value.len(), 2);
    assert_eq!(store.dead(DeadFilter::new()).await.unwrap().value[0].attempts[0].message, "no");
    heads_are_right(&conn);
}

/// The statements with which a version of schema 1 makes a run of one item ready.
fn older_run(conn: &Connection, id: i64) {
    let header = format!(
        r#"{{"format":1,"job":"suite.fan","number":{id},"tracked":false,"trigger":"Manual","tick":null,"stage":"Work","priority":0,"due":1740000000000,"attempt":0,"fresh":true,"item_type":"u64","key":null,"suspect":false,"crashes":0,"redelivered":0,"start":0,"enqueued_at":1740000000000,"options":{{"retries":null,"timeout":null,"expires_at":null}},"undecodable":null}}"#
    );
    let record = r#"{"trigger":"Manual","tick":null,"started_at":1740000000000,"note":null,"errors":[],"first":null,"fill":null,"last_append":0,"begun":false,"query_failed":false,"cancelled":false,"over":null}"#;
    let line = id + 1;
    let transaction = conn.unchecked_transaction().unwrap();
    conn.execute(
        "INSERT INTO run (id, ns, job, request, total, ok, retries, dead, discarded, expired, cancelled, fresh,
                                       busy, ended, record)
                      VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0, 0, ?6, ?7, 0, ?8)",
        (id, 1, JOB, None::<i64>, 1, 1, 1, record),
    )
    .unwrap();
    conn.execute(
        "INSERT INTO line VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL, 0, 0)",
        (line, 1, JOB, 1, id, ""),
    )
    .unwrap();
    let joined: (Option<i64>, Option<i64>) = conn
        .query_row(
            "UPDATE line SET items = items + ?2 WHERE id = ?1 RETURNING rank, number",
            (line, 1),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(joined, (None, None));
    conn.execute(
        "UPDATE line SET rank = ?2, number = ?3, turn = ?4 WHERE id = ?1",
        (line, 1_740_000_000_000_i64, id, id + 2),
    )
    .unwrap();
    conn.execute("INSERT INTO body VALUES (?1, ?2, ?3)", (id + 3, &header, b"777\n".to_vec())).unwrap();
    conn.execute(
        "INSERT INTO chunk VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12)",
        rusqlite::params![
            id + 3,
            line,
            JOB,
            id,
            1_740_000_000_000_i64,
            1_740_000_000_000_i64,
            0,
            1,
            id + 3,
            0,
            None::<String>,
            1
        ],
    )
    .unwrap();
    transaction.commit().unwrap();
}

#[tokio::test]
async fn a_process_of_schema_1_goes_on_beside() {
    let file = kept();
    // It has the file open, and its statements prepared, when the newer one comes.
    let old = connect(&file);
    let mut first = old
        .prepare(
            "SELECT id, job, kind, builds, rank, number, turn FROM line
                     WHERE ns = ?1 AND rank IS NOT NULL ORDER BY rank, turn, job, number, id LIMIT 1",
        )
        .unwrap();
    let store = file.open().await;
    let id = 1_792_155_648_000_100;
    older_run(&old, id);
    heads_are_right(&old);
    assert_eq!(first.query_row([1], |row| row.get::<_, i64>(0)).unwrap(), id + 1);
    let leases = settle(&store, OLD, 5, Vec::new(), 1).await.unwrap();
    assert_eq!(numbers(&leases), [777], "what the older one stored is leased");
    settle(&store, OLD, 6, leases.iter().map(done).collect(), 0).await.unwrap();

    // It leases the rest of a run: its line ends.
    older_run(&old, id + 10);
    old.execute("UPDATE chunk SET line = 0, count = 0 WHERE id = ?1", [id + 13]).unwrap();
    old.execute("UPDATE line SET items = items - ?2 WHERE id = ?1", (id + 11, 1)).unwrap();
    old.execute("DELETE FROM line WHERE id = ?1", [id + 11]).unwrap();
    old.execute(
        "INSERT INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?10, NULL)",
        rusqlite::params![ROW, id + 14, JOB, id + 10, 1, 0, 0, 0, 0, 1, id + 13, 0, None::<String>, 1],
    )
    .unwrap();
    heads_are_right(&old);
    let leases = settle(&store, OLD, 7, Vec::new(), 100).await.unwrap();
    assert_eq!(numbers(&leases), [5, 6, 7, 8, 9, 1], "not what the older one holds");

    // It writes all else, by position.
    for sql in [
        "INSERT INTO session VALUES (7, 1, 12, 60000, 99999999999999, 0, '{}', '[]')
         ON CONFLICT (id) DO UPDATE SET lease = 5, until = 5, connected_at = 5, node = '', past = ''",
        "INSERT OR REPLACE INTO link VALUES (7, 'suite.fan', 'one', (SELECT link FROM job))",
        "INSERT INTO lane VALUES (7, 0, 1, '{}') ON CONFLICT (session, lane) DO UPDATE SET n = 1, answer = ''",
        "INSERT INTO tick VALUES (1792155648000002, 1792155648000900, '{}')",
        "INSERT INTO failure VALUES (1, 2, 3, '{}')",
        "INSERT INTO dead VALUES (1, 1, 2, 3, 4, 5, '{}', x'', '[]')",
        "INSERT INTO renamed VALUES (1, 'a.b', 'a.c') ON CONFLICT (ns, was) DO UPDATE SET name = 'a.c'",
        "INSERT INTO namespace (name) VALUES ('other')",
        "UPDATE source SET last = 1792155648001000",
    ] {
        old.execute(sql, []).unwrap();
    }

    // A pause that it sets holds here, and ends here when it lifts it.
    let older_pause = "INSERT INTO cell VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (ns, name) DO UPDATE SET version = ?3, value = ?4, expires_at = ?5, owner = ?6";
    older_run(&old, id + 20);
    let none = None::<i64>;
    old.execute(older_pause, (1, pause_cell("suite.fan"), id + 30, r#"{"note":"moving"}"#, none, none))
        .unwrap();
    assert_eq!(settle(&store, OLD, 8, Vec::new(), 9).await.unwrap(), []);
    assert_eq!(settle(&store, OLD, 9, Vec::new(), 9).await.unwrap(), []);
    old.execute("DELETE FROM cell WHERE ns = ?1 AND name = ?2", (1, pause_cell("suite.fan"))).unwrap();
    assert_eq!(numbers(&settle(&store, OLD, 10, Vec::new(), 9).await.unwrap()), [777]);
    heads_are_right(&old);
}
