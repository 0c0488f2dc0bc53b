//! Empty stores, each with a private server where it needs one.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use jobs_core::Store;
use jobs_postgres::{PostgresOptions, PostgresStore};
use jobs_redis::{RedisOptions, RedisStore};
use jobs_runner::{MemoryStore, prelude::*};
use jobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use servers::{postgres, proxy::Proxy, redis};

static OPENED: AtomicU64 = AtomicU64::new(0);

/// A store, and what has to live as long as it does.
pub struct Opened {
    pub store: Arc<dyn Store>,
    _server: Option<redis::Server>,
    /// The way to its server, if it leads through a proxy.
    pub way: Option<Proxy>,
}

/// A new store of this name; see the usage.
pub async fn open(kind: &str) -> Result<Opened> {
    let store: Arc<dyn Store> = match kind {
        "memory" => Arc::new(MemoryStore::new()),
        "sqlite" => sqlite(Durability::Normal).await?,
        "sqlite-full" => sqlite(Durability::Full).await?,
        "redis" => return redis("everysec", false).await,
        "redis-always" => return redis("always", false).await,
        "postgres" => return postgres(false).await,
        _ => {
            let known = "memory, sqlite, sqlite-full, redis, redis-always or postgres";
            return Err(format!("there is no store `{kind}`; write {known}").into());
        }
    };
    Ok(Opened { store, _server: None, way: None })
}

/// The same by way of a proxy: Redis or Postgres.
pub async fn open_far(kind: &str) -> Result<Opened> {
    match kind {
        "redis" => redis("everysec", true).await,
        "postgres" => postgres(true).await,
        _ => Err(format!("the store `{kind}` has no server").into()),
    }
}

/// Each file of SQLite has a directory of its own: the one before may still be closing.
async fn sqlite(durability: Durability) -> Result<Arc<dyn Store>> {
    let name = format!("jobs-driver-{}-{}", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory)?;
    let options = SqliteOptions::new(directory.join("jobs.db")).durability(durability);
    Ok(Arc::new(SqliteStore::open(options).await?))
}

async fn redis(appendfsync: &str, far: bool) -> Result<Opened> {
    let server = redis::Server::start(redis::Options::new().appendfsync(appendfsync))?;
    let way = far.then(|| Proxy::start(server.port())).transpose()?;
    let port = way.as_ref().map_or(server.port(), Proxy::port);
    let store = RedisStore::open(RedisOptions::from_url(&server.url_through(port))?).await?;
    Ok(Opened { store: Arc::new(store), _server: Some(server), way })
}

/// A schema of its own, in a server that all share.
async fn postgres(far: bool) -> Result<Opened> {
    static SERVER: OnceLock<postgres::Server> = OnceLock::new();
    let server = match SERVER.get() {
        Some(server) => server,
        None => {
            let started = postgres::Server::start(postgres::Options::new())?;
            SERVER.get_or_init(|| started)
        }
    };
    let way = far.then(|| Proxy::to_postgres(server.port())).transpose()?;
    let port = way.as_ref().map_or(server.port(), Proxy::port);
    let schema = format!("round_{}", OPENED.fetch_add(1, Ordering::Relaxed));
    let options = PostgresOptions::from_url(&server.url_through(port))?.schema(schema);
    Ok(Opened { store: Arc::new(PostgresStore::open(options).await?), _server: None, way })
}
