//! The SQLite store of `jobs-runner`: everything in one file, for any number of processes of one machine.
//!
//! | URL | file |
//! |---|---|
//! | `sqlite://jobs.db` | in the working directory |
//! | `sqlite:///var/lib/jobs.db` | anywhere |
//!
//! Parameters: `durability=normal` (the default) or `full`, and `namespace=` (`jobs`).
//!
//! A killed process loses nothing that was acknowledged. When the machine loses power, `normal` may lose the last
//! commits (a tick may fire again, an enqueue be lost) and `full` nothing; the file stays whole in both.
//!
//! The file grows with what is stored, and shrinks little by little as it is pruned. Beside it are `-wal` and `-shm`:
//! they belong to it, so copy a store with SQLite's own `.backup` or `VACUUM INTO`, or all three files while nothing is
//! open. It has to be on a local disk.

mod access;
mod appending;
mod attaching;
mod bodies;
mod cache;
mod cells;
mod chunks;
mod completing;
mod connection;
mod dead;
mod dropped;
mod fault;
mod firing;
mod flush;
mod granting;
mod hook;
mod items;
mod jobs;
mod lanes;
mod leases;
mod listing;
mod namespaces;
mod operation;
mod options;
mod pieces;
mod place;
mod pruning;
mod queues;
mod reader;
mod reading;
mod rename;
mod returning;
mod rows;
mod runs;
mod schema;
mod sessions;
mod settling;
mod step;
mod store;
mod transaction;
mod upkeep;
mod waiting;
mod waits;
mod writer;

pub use options::{Durability, SqliteOptions};
pub use store::SqliteStore;
