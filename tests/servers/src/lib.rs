//! Private servers for tests: started by the test itself on a free port, in a temporary folder, with durable settings.
//!
//! A server ends with its value, and also with the test's process, however that ends: so a server that all tests of a
//! process share may stand in a `static`.

pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
