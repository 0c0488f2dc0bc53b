//! A server that all tests of a process share, and the few calls that most tests make.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use jobs_postgres::PostgresOptions;
use servers::postgres::{Options, Server};

/// The server of this process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match Server::start(Options::new().setting("max_connections", 300)) {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    })
}

/// A name that no other test of this process has.
pub(crate) fn unique(prefix: &str) -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}_{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// The shared server, in a namespace of its own.
pub(crate) fn options() -> PostgresOptions {
    PostgresOptions::from_url(&server().url()).unwrap().namespace(unique("test"))
}
