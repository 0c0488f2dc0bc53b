//! The Postgres store of `jobs-runner`: everything in one schema, for any number of processes on any number of machines.

mod calling;
mod cells;
mod chunks;
mod completing;
mod connection;
mod dead;
mod declaring;
mod dropped;
mod effects;
mod fault;
mod filling;
mod firing;
mod granting;
mod items;
mod jobs;
mod lanes;
mod leases;
mod lines;
mod listing;
mod notifying;
mod options;
mod pruning;
mod reading;
mod rename;
mod runs;
mod schema;
mod sessions;
mod space;
mod step;
mod store;
mod upkeep;

pub use effects::{Once, OnceIn};
pub use options::{Pooler, PostgresOptions};
pub use store::PostgresStore;
