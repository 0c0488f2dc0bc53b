//! One server for all tests of a process, a database for each, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_redis::RedisOptions;
use servers::redis::{Options, Server};

/// So many places a process may have.
const PLACES: u64 = 4_096;

static SHARED: LazyLock<Server> = LazyLock::new(|| server(Options::new().setting("databases", PLACES)));

/// A server of the test's own.
pub(crate) fn server(options: Options) -> Server {
    Server::start(options).unwrap_or_else(|error| panic!("{error}"))
}

/// A database of its own on the server that all tests share: the suite looks into other namespaces too.
pub(crate) fn place() -> RedisOptions {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let database = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(database < PLACES, "there are no more databases");
    // The machine may have more to do than these tests.
    RedisOptions::new(format!("{}/{database}", SHARED.url())).deadline(Duration::from_secs(30))
}
