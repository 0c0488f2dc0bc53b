//! A file of its own, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use jobs_core::{
    Append, Appended, Attach, BodyWriter, Cause, End, Fire, Firing, IfBusy, JobWant, Lease, Link, Node,
    RunId, SessionId, Settle, Settlement, Store, StoreError, Token, Want,
};
use jobs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

pub(crate) const JOB: &str = "suite.fan";

pub(crate) struct File {
    pub(crate) directory: TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("jobs.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).await.unwrap()
    }
}

pub(crate) async fn attach(store: &dyn Store, session: u64) {
    let link = Link { query: true, concurrency: 1_000, ..Link::new(JOB) };
    let (session, lease) = (SessionId(session), Duration::from_secs(600));
    let attach = Attach { session, lease, node: Node::default(), links: vec![link], gone: Vec::new() };
    store.attach(attach).await.unwrap();
}

/// Fires by hand and leases the fill item.
pub(crate) async fn fire(
    store: &dyn Store,
    session: u64,
    request: u64,
) -> Result<(RunId, Option<Lease>), StoreError> {
    let fire = Fire {
        job: JOB.into(),
        cause: Cause::Manual { request, note: None },
        if_busy: IfBusy::Fire,
        priority: 0,
        query: true,
        exclusive: false,
        item_type: "u64".into(),
    };
    let want = Want { slots: 1, jobs: Vec::new() };
    match store.fire(Some(SessionId(session)), vec![fire], want).await?.value.pop() {
        Some(Firing::Fired { run, lease }) => Ok((run, lease)),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn append(
    store: &dyn Store,
    token: Token,
    seq: u64,
    items: std::ops::Range<u64>,
    last: bool,
) -> Result<Appended, StoreError> {
    let mut writer = BodyWriter::default();
    let mut bodies: Vec<_> = items.filter_map(|item| writer.push(&item).unwrap()).collect();
    bodies.extend(writer.finish());
    let append = Append { token, seq, item_type: "u64".into(), bodies, page: None, last };
    Ok(store.append(append).await?.value)
}

/// A run of so many items, ready to be leased.
pub(crate) async fn filled(store: &dyn Store, session: u64, request: u64, items: u64) -> RunId {
    let (run, lease) = fire(store, session, request).await.unwrap();
    let appended = append(store, lease.unwrap().token, 0, 0..items, true).await.unwrap();
    assert!(matches!(appended, Appended::Stored { .. }), "{appended:?}");
    run
}

/// Settles, and leases up to `items` more.
pub(crate) async fn settle(
    store: &dyn Store,
    session: u64,
    n: u64,
    settlements: Vec<Settlement>,
    items: u32,
) -> Result<Vec<Lease>, StoreError> {
    let jobs = vec![JobWant { job: Arc::from(JOB), slots: 1, per_slot: items.max(1) }];
    let want = Want { slots: u32::from(items > 0), jobs };
    let settle = Settle { session: SessionId(session), lane: 0, n, settlements, effects: Vec::new(), want };
    Ok(store.settle(settle).await?.value.leases)
}

pub(crate) fn done(lease: &Lease) -> Settlement {
    Settlement { token: lease.token, from: 0, to: lease.chunk.count(), end: End::Done(None) }
}

/// The items' numbers.
pub(crate) fn numbers(leases: &[Lease]) -> Vec<u64> {
    let items = leases.iter().flat_map(|lease| lease.chunk.body.items());
    items.map(|item| serde_json::from_slice(item).unwrap()).collect()
}

/// Whether the file is whole.
pub(crate) fn is_whole(path: &std::path::Path) -> bool {
    let conn = rusqlite::Connection::open(path).unwrap();
    let says: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    says == "ok"
}
