//! One server for all tests of a process, and a database for each, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[allow(unused_imports, reason = "each test takes what it needs")]
pub(crate) use jobs_conformance::by_hand::{
    JOB, all, append, attach, by_hand, done, filled, fire, numbers, settle,
};
use jobs_core::{
    Beat, BoxError, BoxFuture, Chunk, Failure, FailureKind, Millis, SessionId, Store, StoreError,
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

pub(crate) async fn beat(store: &dyn Store, session: u64) {
    let beat = Beat { session: SessionId(session), held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
}

pub(crate) fn failed(now: Millis, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, message, now.timestamp()))
}
