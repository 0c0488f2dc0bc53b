//! Private servers for tests: started by the test itself on a free port, in a temporary folder, with durable settings.
//!
//! A server ends with its value, and also with the test's process, however that ends: so a server that all tests of a
//! process share may stand in a `static`.

mod conversation;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;

/// Whether tests are to be run on this store. All are, unless `JOBS_TEST_STORES=memory,sqlite` asks for some, on purpose.
#[must_use]
pub fn is_wanted(store: &str) -> bool {
    let wanted = std::env::var("JOBS_TEST_STORES").unwrap_or_default();
    wanted.is_empty() || wanted.split(',').any(|wanted| wanted.trim() == store)
}
