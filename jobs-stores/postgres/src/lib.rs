//! The Postgres store of `jobs-runner`: everything in one schema, for any number of processes on any number of machines.
//!
//! | URL | database |
//! |---|---|
//! | `postgres://user:password@host/database` | on that server, in the schema `jobs` |
//! | `postgres://user:password@pooler:6432/database?pooler=transaction` | behind a pooler that gives a connection for a transaction |
//!
//! Parameters: `namespace=` (`jobs`), `schema=` (`jobs`), `pooler=session` (the default) or `transaction`, `deadline=`
//! (`5s`, the bound of a call), `connections=` (8), and those of libpq that `sqlx` knows, `sslmode=` among them.
//! [`PostgresStore::from_pool`] takes a pool of the program's own. The server is Postgres 13 or newer.
//!
//! The schema makes and migrates itself, under a lock; one of a newer version, or with tables of another program, is
//! refused. A role that may not make it needs `USAGE` on it, `SELECT, INSERT, UPDATE, DELETE` on its tables and `USAGE,
//! UPDATE` on its sequences: what is missing is named.
//!
//! Nothing that was acknowledged is lost, when the server loses power neither, as long as its `fsync` and
//! `synchronous_commit` are on, as they are by themselves. One thing is not acknowledged before its end: what a query
//! stages. If the server dies meanwhile, the query begins anew, uncharged.
//!
//! A connection listens for what other processes store, unless `pooler=transaction`; then they notice it when they look
//! (`RunnerBuilder::poll_interval`).
//!
//! # An effect that happens exactly once
//!
//! Where a handler writes into the same database, it can commit that together with the fact that its item is done:
//! [`OnceIn::once_in`].
//!
//! # How it is kept
//!
//! `ready` holds what may be leased, `lease` what is in flight, `body` the payloads, up to a thousand items in each.
//! What is ready is inserted and deleted and never updated, what settling counts is inserted and added up later, and jobs
//! without a limit over the cluster share no row that all write.
//!
//! Every operation is one transaction of at most five round trips, whatever it carries: one that begins it, one or two that
//! load all that it needs to know, one that writes all that the ledger of `jobs-core` has decided, and the commit. Loading,
//! writing and leasing are functions of the schema, whose names end with the schema in which they came: a newer version adds
//! others and leaves these to the programs that call them. Locks are taken in one order by all, and an operation that met
//! another one all the same is tried again. What cannot be read is left alone and reported.

mod attaching;
mod calling;
mod cells;
mod connection;
mod dead;
mod effects;
mod ending;
mod facts;
mod fault;
mod filling;
mod firing;
mod items;
mod jobs;
mod leases;
mod listing;
mod living;
mod notifying;
mod options;
mod pieces;
mod pruning;
mod reading;
mod records;
mod runs;
mod schema;
mod sessions;
mod settling;
mod space;
mod step;
mod store;
mod writes;

pub use effects::{Once, OnceIn};
pub use options::{Pooler, PostgresOptions};
pub use store::PostgresStore;
