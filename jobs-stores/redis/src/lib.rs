//! The Redis store of `jobs-runner`: for any number of processes on any number of machines.
//!
//! | URL | server |
//! |---|---|
//! | `redis://localhost` | port 6379, database 0 |
//! | `redis://user:password@host:6380/2` | a user of its access lists, another port and database |
//! | `rediss://host` | by TLS |
//!
//! Parameters: `namespace=` (`jobs`), `deadline=` (`5s`) and `ca=` (a file with the certificate of the server's
//! authority; when nobody says, the system's authorities are trusted).
//!
//! It takes Redis 7 or newer, or Valkey. What the server keeps when it loses power is the server's to say: with
//! `appendonly yes` and `appendfsync always` everything that was acknowledged, with `everysec` all but the last two
//! seconds, without `appendonly` whatever its last snapshot has. A server that removes keys when its memory is full
//! loses runs and items. Of both a warning is given at start.
//!
//! Every operation is one script, and so one atomic step. All keys of a namespace begin with its name in braces,
//! `{jobs}:`, and are in one slot. A user of the access lists needs `~{jobs}:*`, `&{jobs}:*`, and the commands that the
//! scripts call.

mod answers;
mod bodies;
mod checks;
mod declaring;
mod fault;
mod firing;
mod headers;
mod listening;
mod options;
mod paging;
mod reply;
mod reports;
mod request;
mod script;
mod server;
mod space;
mod store;
mod waiting;
mod wire;

pub use options::RedisOptions;
pub use redis::aio::ConnectionManager;
pub use store::RedisStore;
