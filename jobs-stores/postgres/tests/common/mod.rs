//! A server that all tests of a process share, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_core::{
    Append, Appended, Attach, BodyWriter, Cause, End, Fire, Firing, IfBusy, JobWant, Lease, Link, Node,
    RunId, SessionId, Settle, Settlement, Store, StoreError, Token, Want,
};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::postgres::{Options, Server};
use sqlx::{Connection, PgConnection};

pub(crate) const JOB: &str = "suite.fan";
/// How long sessions live.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

/// The server of this process. Nothing is analysed in it.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A server of a test's own.
pub(crate) fn start() -> Server {
    let options = Options::new().setting("max_connections", 300).setting("autovacuum", "off");
    match Server::start(options.setting("deadlock_timeout", "100ms")) {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}

/// A name that no other test of this process has.
pub(crate) fn unique(prefix: &str) -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}_{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// The shared server, in a schema of its own.
pub(crate) fn options() -> PostgresOptions {
    PostgresOptions::from_url(&server().url()).unwrap().schema(unique("test"))
}

pub(crate) async fn open() -> PostgresStore {
    PostgresStore::open(options()).await.unwrap()
}

/// A connection past the store.
pub(crate) async fn connect(server: &Server) -> PgConnection {
    PgConnection::connect(&server.url()).await.unwrap()
}

/// Does something past the store.
pub(crate) async fn run(server: &Server, sql: &str) {
    let mut conn = connect(server).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
}

pub(crate) async fn attach(store: &dyn Store, session: u64) {
    let link = Link { query: true, concurrency: 10_000, ..Link::new(JOB) };
    let node = Node { name: format!("node-{session}"), ..Node::default() };
    let attach =
        Attach { session: SessionId(session), lease: LEASE, node, links: vec![link], gone: Vec::new() };
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
