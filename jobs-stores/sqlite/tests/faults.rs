//! One record that is wrong is one record: it stops nobody else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{File, JOB, attach, done, filled, fire, settle};
use jobs_core::{
    Attach, Beat, Complete, Completion, DeadFilter, End, Failure, FailureKind, Link, Millis, Node, PutCell,
    RunFilter, SessionId, Settle, Settlement, Store, StoreError, Want,
};
use jobs_sqlite::SqliteStore;
use serde_json::json;

/// Changes the file beside the store.
fn plant(file: &File, sql: &str) {
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn put(value: serde_json::Value) -> PutCell {
    PutCell { value: Some(value), ..PutCell::default() }
}

/// A run of two chunks: the first item is leased, the last was dead.
async fn busy(store: &SqliteStore) -> jobs_core::RunId {
    attach(store, 1).await;
    let run = filled(store, 1, 7, 1_500).await;
    let leases = settle(store, 1, 1, Vec::new(), 2).await.unwrap();
    let failure = Failure::new(FailureKind::Error, "no", Millis(0).timestamp());
    let dead = Settlement { token: leases[0].token, from: 1, to: 2, end: End::Dead(Box::new(failure)) };
    settle(store, 1, 2, vec![dead], 0).await.unwrap();
    run
}

/// Works all off that is ready, and returns how many items that were.
async fn work_off(store: &SqliteStore, mut n: u64) -> u64 {
    let (mut items, mut settlements) = (0, Vec::new());
    loop {
        n += 1;
        let leases = settle(store, 1, n, settlements, 1_000).await.unwrap();
        settlements = leases.iter().map(done).collect();
        items += leases.iter().map(|lease| u64::from(lease.chunk.count())).sum::<u64>();
        if leases.is_empty() {
            return items;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_fails_takes_no_numbers_from_the_others() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    // Of every second operation a row is refused.
    plant(
        &file,
        "CREATE TRIGGER odd BEFORE INSERT ON cell WHEN new.name = 'bad' BEGIN SELECT RAISE(ABORT, 'odd'); END",
    );
    let (held, wait) = std::sync::mpsc::channel::<()>();
    store.in_next_commit(move || wait.recv().unwrap());
    let first = store.put_if("first", 0, put(json!(1)));
    // All these come while the first is in its commit, so they share the next one.
    let mut good = Vec::new();
    let mut bad = Vec::new();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for n in 0..100_u64 {
        let (one, other) = (store.clone(), store.clone());
        good.push(tokio::spawn(async move { fire(&one, 1, 100 + n).await.map(|(run, _)| run) }));
        bad.push(tokio::spawn(async move { other.put_if("bad", 0, put(json!(n))).await.map(drop) }));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    held.send(()).unwrap();
    first.await.unwrap().value.unwrap();
    let mut runs = Vec::new();
    for fired in good {
        runs.push(fired.await.unwrap().unwrap());
    }
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 100, "each run has a number of its own");
    for refused in bad {
        let error = refused.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_alone_and_stops_nobody() {
    let odd = r#"'{"odd":'"#;
    for sql in [
        format!("UPDATE chunk SET header = {odd} WHERE id = (SELECT max(id) FROM chunk)"),
        format!("UPDATE body SET header = {odd} WHERE id = (SELECT max(id) FROM body)"),
        format!("UPDATE lease SET header = {odd}"),
        format!("UPDATE job SET link = {odd}"),
        format!("UPDATE job SET schedule = {odd}"),
        format!("UPDATE session SET node = {odd}, past = {odd}"),
        format!("UPDATE lane SET answer = {odd}"),
        format!("UPDATE failure SET failure = {odd}"),
        format!("UPDATE dead SET header = {odd}"),
        format!("UPDATE dead SET attempts = {odd}"),
        format!("UPDATE cell SET value = {odd}"),
        format!("UPDATE line SET builds = {odd} WHERE kind = 3"),
        format!("INSERT INTO tick (job, n, info) SELECT id, 1, {odd} FROM job"),
        format!("UPDATE run SET record = {odd}"),
    ] {
        let file = File::new();
        let store = file.open().await;
        let run = busy(&store).await;
        store.put_if("some", 0, put(json!(1))).await.unwrap().value.unwrap();
        plant(&file, &sql);
        // Whoever reads it, is answered.
        store.jobs().await.unwrap();
        store.sessions().await.unwrap();
        store.run(run).await.unwrap();
        store.runs(RunFilter::new()).await.unwrap();
        store.items(run, 10_000).await.unwrap();
        store.ticks(JOB, 10).await.unwrap();
        store.dead(DeadFilter::new()).await.unwrap();
        store.list("").await.unwrap();
        let beat = Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected: false };
        assert!(store.beat(beat).await.unwrap().value.alive, "{sql}");
        store.prune(10).await.unwrap();
        // And all that can be read goes on.
        let other = filled(&store, 1, 9, 5).await;
        assert!(work_off(&store, 10).await >= 5, "{sql}");
        let complete = vec![Complete { run: other, finish: false }];
        let completed = store.complete(complete).await.unwrap().value.remove(0);
        assert!(matches!(completed, Completion::Completed(_)), "{sql}: {completed:?}");
        assert!(!store.detach(SessionId(1)).await.unwrap().value, "{sql}");
    }
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_left_to_it() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let newer = filled(&store, 1, 7, 5).await;
    let ours = filled(&store, 1, 8, 5).await;
    let change = |from: &str, to: &str| {
        let number = newer.number();
        plant(
            &file,
            &format!(
                "UPDATE body SET header = replace(header, '{from}', '{to}') WHERE header LIKE '%{number}%'"
            ),
        );
    };
    change("\"Manual\"", "\"Telepathic\"");
    let store = file.open().await;
    let leases = settle(&store, 1, 1, Vec::new(), 100).await.unwrap();
    let runs: Vec<_> = leases.iter().filter_map(|lease| lease.chunk.header.run()).collect();
    assert_eq!(runs, [ours], "it does not stand in the way of others");
    // A version that can read it leases it from where it stood.
    change("\"Telepathic\"", "\"Manual\"");
    let knows = file.open().await;
    let leases = settle(&knows, 1, 2, Vec::new(), 100).await.unwrap();
    let runs: Vec<_> = leases.iter().filter_map(|lease| lease.chunk.header.run()).collect();
    assert_eq!(runs, [newer]);
}

#[tokio::test]
async fn a_link_that_cannot_be_read_is_no_link() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 7, 5).await;
    plant(&file, "UPDATE link SET link = '{'");
    let want = Want { slots: 5, jobs: Vec::new() };
    let settle =
        Settle { session: SessionId(1), lane: 1, n: 1, settlements: Vec::new(), effects: Vec::new(), want };
    assert_eq!(store.settle(settle).await.unwrap().value.leases, []);
    // Another session links it as ever.
    attach(&store, 2).await;
    assert_eq!(common::settle(&store, 2, 1, Vec::new(), 5).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_newer_schema_is_noticed_while_the_file_is_open() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    plant(&file, "PRAGMA user_version = 99");
    for _ in 0..2 {
        let error = fire(&store, 1, 1).await.unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
        let error = store.jobs().await.unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
    }
    plant(&file, "PRAGMA user_version = 2");
    fire(&store, 1, 1).await.unwrap();
}

#[tokio::test]
async fn what_a_limit_refuses_fails_alone() {
    let file = File::new();
    let store = file.open().await;
    let (lease, node) = (Duration::from_secs(60), Node::default());
    plant(
        &file,
        "CREATE TRIGGER odd BEFORE INSERT ON link WHEN new.job = 'suite.odd' BEGIN SELECT RAISE(ABORT, 'odd'); END",
    );
    let links = vec![Link::new("suite.odd")];
    let refused = Attach { session: SessionId(2), lease, node, links, gone: Vec::new() };
    let error = store.attach(refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    attach(&store, 1).await;
    assert_eq!(store.sessions().await.unwrap().value.len(), 1, "nothing of it is there");
}
