//! Measures the runner against the store it runs on, in one process and one run: `driver [ITEMS] [ROUNDS] [STORE]`,
//! where STORE is `memory`, `sqlite`, `sqlite-full` (each commit waits for the disk), `redis` (its append-only file is
//! synced every second), `redis-always` (each operation waits for the disk) or `postgres` (each commit waits for the
//! disk). A private server is started for those that need one.
//!
//! A query finds ITEMS small items, and a handler that does nothing is called for each, end to end: fill, run,
//! settle. Beside it, the same items go through the same store without a runner: encoded, appended, leased, decoded,
//! settled. The ratio of the two is what the runner costs.

mod bare;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use jobs_core::Store;
use jobs_postgres::{PostgresOptions, PostgresStore};
use jobs_redis::{RedisOptions, RedisStore};
use jobs_runner::{MemoryStore, prelude::*};
use jobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use serde::{Deserialize, Serialize};
use servers::redis::{Options, Server};

#[derive(Serialize, Deserialize)]
pub struct User {
    id: u64,
    email: String,
}

impl User {
    fn new(id: u64) -> Self {
        Self { id, email: format!("user{id}@example.com") }
    }
}

struct FanOut {
    items: u64,
    handled: AtomicU64,
}

#[cron_group("fan-out")]
impl FanOut {
    #[query("handle")]
    async fn users(&self) -> impl Iterator<Item = User> {
        (0..self.items).map(User::new)
    }

    #[job("handle", concurrency = 64)]
    async fn handle(&self, user: User) {
        self.handled.fetch_add(user.id & 1, Ordering::Relaxed);
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let items = arguments.next().map(|n| n.parse()).transpose()?.unwrap_or(1_000_000);
    let rounds = arguments.next().map(|n| n.parse()).transpose()?.unwrap_or(3);
    let kind = arguments.next().unwrap_or_else(|| "memory".to_owned());
    println!("{:>12} {:>12} {:>6}", "runner/s", "bare/s", "ratio");
    for _ in 0..rounds {
        let opened = open(&kind).await?;
        let through = through_runner(opened.store, items).await?;
        drop(opened.server);
        let opened = open(&kind).await?;
        let bare = bare::drive(opened.store, items).await?;
        println!("{through:>12.0} {bare:>12.0} {:>6.2}", through / bare);
    }
    Ok(())
}

static OPENED: AtomicU64 = AtomicU64::new(0);

/// A new store, empty, and the server that it is on if it has one of its own.
struct Opened {
    store: Arc<dyn Store>,
    server: Option<Server>,
}

async fn open(kind: &str) -> Result<Opened> {
    let store: Arc<dyn Store> = match kind {
        "memory" => Arc::new(MemoryStore::new()),
        "sqlite" => sqlite(Durability::Normal).await?,
        "sqlite-full" => sqlite(Durability::Full).await?,
        "redis" => return redis("everysec").await,
        "redis-always" => return redis("always").await,
        "postgres" => postgres().await?,
        _ => {
            let known = "memory, sqlite, sqlite-full, redis, redis-always or postgres";
            return Err(format!("there is no store `{kind}`; write {known}").into());
        }
    };
    Ok(Opened { store, server: None })
}

/// A file of SQLite has a directory of its own each time: the one before may still be closing.
async fn sqlite(durability: Durability) -> Result<Arc<dyn Store>> {
    let name = format!("jobs-driver-{}-{}", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory)?;
    let options = SqliteOptions::new(directory.join("jobs.db")).durability(durability);
    Ok(Arc::new(SqliteStore::open(options).await?))
}

async fn redis(appendfsync: &str) -> Result<Opened> {
    let server = Server::start(Options::new().appendfsync(appendfsync))?;
    let store = Arc::new(RedisStore::open(RedisOptions::from_url(&server.url())?).await?);
    Ok(Opened { store, server: Some(server) })
}

/// A schema of its own, in a server that all rounds share.
async fn postgres() -> Result<Arc<dyn Store>> {
    static SERVER: OnceLock<servers::postgres::Server> = OnceLock::new();
    let server = match SERVER.get() {
        Some(server) => server,
        None => {
            let started = servers::postgres::Server::start(servers::postgres::Options::new())?;
            SERVER.get_or_init(|| started)
        }
    };
    let schema = format!("round_{}", OPENED.fetch_add(1, Ordering::Relaxed));
    let options = PostgresOptions::from_url(&server.url())?.schema(schema);
    Ok(Arc::new(PostgresStore::open(options).await?))
}

async fn through_runner(store: Arc<dyn Store>, items: u64) -> Result<f64> {
    let group = Arc::new(FanOut { items, handled: AtomicU64::new(0) });
    let runner = Runner::builder().store(store).provide(group.clone()).start().await?;
    let began = Instant::now();
    let report = runner.run(FanOut::HANDLE).await?.wait().await?.ok()?;
    let rate = items as f64 / began.elapsed().as_secs_f64();
    assert_eq!((report.counts.ok, group.handled.load(Ordering::Relaxed)), (items, items / 2));
    runner.shutdown(std::time::Duration::from_secs(1)).await?;
    Ok(rate)
}
