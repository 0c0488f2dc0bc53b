//! One server for all tests of a process, a database for each, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_core::{
    Append, Appended, Attach, Beat, BodyWriter, BoxError, BoxFuture, Cause, Chunk, End, Failure, FailureKind,
    Fire, Firing, IfBusy, JobWant, Lease, Link, Millis, Node, RunId, SessionId, Settle, Settlement, Store,
    StoreError, Token, Want,
};
use jobs_redis::{RedisOptions, RedisStore};
use servers::redis::{Options, Server};

/// So many places a process may have.
const PLACES: u64 = 4_096;

static SHARED: LazyLock<Server> = LazyLock::new(|| server(Options::new().setting("databases", PLACES)));

/// A server of the test's own.
pub(crate) fn server(options: Options) -> Server {
    Server::start(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Databases that were used and are empty again.
static FREE: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// A database of its own on the server that all tests share: the suite looks into other namespaces too. It is emptied
/// when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    database: u64,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let database = FREE.lock().unwrap().pop().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        assert!(database < PLACES, "there are no more databases");
        Self { database }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", SHARED.url(), self.database)
    }

    pub(crate) fn options(&self) -> RedisOptions {
        // The machine may have more to do than these tests.
        RedisOptions::new(self.url()).deadline(Duration::from_secs(30))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _: () = ask(&self.url(), &["FLUSHDB"]);
        FREE.lock().unwrap().push(self.database);
    }
}

impl jobs_conformance::Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = self.options().clock_offset(offset);
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(RedisStore::open(options).await?);
            Ok(store)
        })
    }

    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        Some(Box::pin(async move {
            RedisStore::open(self.options()).await?.plant(&chunk).await?;
            Ok(())
        }))
    }
}

pub(crate) const JOB: &str = "suite.fan";

/// A store on the shared server, in a place of its own.
pub(crate) async fn open() -> (Place, RedisStore) {
    let place = Place::new();
    let store = RedisStore::open(place.options()).await.unwrap();
    (place, store)
}

/// Why a store is not opened.
pub(crate) async fn refused(options: RedisOptions) -> StoreError {
    match RedisStore::open(options).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// Sends a command to a server past the store.
pub(crate) fn ask<T: redis::FromRedisValue>(url: &str, command: &[&str]) -> T {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let (name, arguments) = command.split_first().unwrap();
    redis::cmd(name).arg(arguments).query(&mut connection).unwrap()
}

pub(crate) async fn attach(store: &dyn Store, session: u64) {
    let link = Link { query: true, concurrency: 1_000, ..Link::new(JOB) };
    let (session, lease) = (SessionId(session), Duration::from_secs(600));
    let attach = Attach { session, lease, node: Node::default(), links: vec![link], gone: Vec::new() };
    store.attach(attach).await.unwrap();
}

/// A run by hand.
pub(crate) fn by_hand(request: u64) -> Fire {
    Fire {
        job: JOB.into(),
        cause: Cause::Manual { request, note: None },
        if_busy: IfBusy::Fire,
        priority: 0,
        query: true,
        exclusive: false,
        item_type: "u64".into(),
    }
}

/// Fires by hand and leases the fill item.
pub(crate) async fn fire(
    store: &dyn Store,
    session: u64,
    request: u64,
) -> Result<(RunId, Option<Lease>), StoreError> {
    let want = Want { slots: 1, jobs: Vec::new() };
    match store.fire(Some(SessionId(session)), vec![by_hand(request)], want).await?.value.pop() {
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

pub(crate) async fn beat(store: &dyn Store, session: u64) {
    let beat = Beat { session: SessionId(session), held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
}

pub(crate) fn failed(now: Millis, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, message, now.timestamp()))
}

pub(crate) fn all(lease: &Lease, end: End) -> Settlement {
    Settlement { token: lease.token, from: 0, to: lease.chunk.count(), end }
}

pub(crate) fn done(lease: &Lease) -> Settlement {
    all(lease, End::Done(None))
}

/// The items' numbers.
pub(crate) fn numbers(leases: &[Lease]) -> Vec<u64> {
    let items = leases.iter().flat_map(|lease| lease.chunk.body.items());
    items.map(|item| serde_json::from_slice(item).unwrap()).collect()
}
