//! Several stores on one file, each with connections and threads of its own, as several processes have them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{File, attach, done, filled, fire, numbers, settle};
use jobs_core::{End, Settlement, Store};

/// What one session does: leases, settles some, gives some back, until nothing is left.
async fn work(file: &File, session: u64) -> Vec<u64> {
    let store = file.open().await;
    attach(&store, session).await;
    let mut random = fastrand::Rng::with_seed(session);
    let (mut handled, mut settlements, mut n, mut idle) = (Vec::new(), Vec::new(), 0, 0);
    while idle < 20 {
        n += 1;
        let leases =
            settle(&store, session, n, std::mem::take(&mut settlements), random.u32(1..300)).await.unwrap();
        idle = if leases.is_empty() { idle + 1 } else { 0 };
        if leases.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for lease in &leases {
            let cut = random.u32(0..=lease.chunk.count());
            let found = numbers(std::slice::from_ref(lease));
            handled.extend(&found[..cut as usize]);
            settlements.push(Settlement { to: cut, ..done(lease) });
            let to = lease.chunk.count();
            settlements.push(Settlement { token: lease.token, from: cut, to, end: End::Back });
        }
    }
    handled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_share_a_file_handle_every_item_once() {
    const ITEMS: u64 = 20_000;
    let file = std::sync::Arc::new(File::new());
    let store = file.open().await;
    attach(&store, 99).await;
    let run = filled(&store, 99, 1, ITEMS).await;
    let working: Vec<_> = (1..=4)
        .map(|session| {
            let file = file.clone();
            tokio::spawn(async move { work(&file, session).await })
        })
        .collect();
    let mut handled = BTreeMap::<u64, u32>::new();
    for worker in working {
        for item in worker.await.unwrap() {
            *handled.entry(item).or_default() += 1;
        }
    }
    assert_eq!(handled.len() as u64, ITEMS, "none is lost");
    assert!(handled.values().all(|times| *times == 1), "none is handled twice");
    let counts = store.run(run).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.total, counts.ok), (ITEMS, ITEMS));
    drop(store);
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    for table in ["body", "chunk", "line", "lease", "failure"] {
        let left: i64 =
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "nothing is left in `{table}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_of_what_another_store_does() {
    let file = File::new();
    let (waits, writes) = (file.open().await, file.open().await);
    attach(&writes, 1).await;
    let wakeups = waits.wakeups();
    // What was written before may still be told.
    let mut seen = wakeups.marks().work;
    let waiting = tokio::spawn(async move {
        loop {
            seen = wakeups.changed(|marks| marks.work, seen).await;
            if !waits.runs(jobs_core::RunFilter::new()).await.unwrap().value.is_empty() {
                return;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    fire(&writes, 1, 1).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_done_all_the_same() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    drop(store.detach(jobs_core::SessionId(1)));
    drop(store);
    let store = file.open().await;
    let gone = async {
        while !store.sessions().await.unwrap().value.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn what_a_cancelled_run_left_is_deleted() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 100_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 10).await.unwrap();
    assert_eq!(store.cancel(run).await.unwrap().value, jobs_core::Cancellation::Cancelled { more: false });
    let counts = store.run(run).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.total, counts.cancelled), (100_000, 99_990));
    settle(&store, 1, 2, leases.iter().map(done).collect(), 10).await.unwrap();
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    let swept = async {
        loop {
            let left: i64 = conn.query_row("SELECT count(*) FROM body", [], |row| row.get(0)).unwrap();
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
}

#[tokio::test]
async fn who_finds_the_file_locked_waits_and_loses_nothing() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let other = rusqlite::Connection::open(file.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let call = store.detach(jobs_core::SessionId(1));
    let open = file.open();
    tokio::pin!(call, open);
    let wait = Duration::from_millis(200);
    assert!(tokio::time::timeout(wait, &mut call).await.is_err(), "it waits while another one writes");
    assert!(tokio::time::timeout(wait, &mut open).await.is_err(), "so does who opens the file");
    assert_eq!(store.sessions().await.unwrap().value.len(), 1, "who only reads does not wait");
    other.execute_batch("COMMIT").unwrap();
    call.await.unwrap();
    assert_eq!(open.await.sessions().await.unwrap().value, []);
}
