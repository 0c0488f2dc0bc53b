//! A server that all tests of a process share.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[allow(unused_imports, reason = "each test takes what it needs")]
pub(crate) use jobs_conformance::by_hand::{JOB, LEASE, append, attach, done, filled, fire, numbers, settle};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::postgres::{Options, Server};
use sqlx::{Connection, PgConnection};

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

/// Waits until a transaction waits for another.
pub(crate) async fn somebody_waits(server: &Server) {
    let mut conn = connect(server).await;
    let waits = "SELECT FROM pg_locks WHERE NOT granted";
    while sqlx::raw_sql(waits).fetch_optional(&mut conn).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
