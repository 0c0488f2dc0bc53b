//! Empty places of each store, with a clock that is set for each operation.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use jobs_conformance::{
    Handle, Wrapper,
    call::{Call, Outcome, perform},
};
use jobs_core::{BoxError, BoxFuture, Millis, Store, Wakeups};
use jobs_runner::MemoryStore;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The memory of this process.
    Memory,
    /// Some maps, which are looked through for everything.
    Toy,
    /// Memory that forgets priorities: it differs.
    Forgetful,
    /// A file.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// A server of Redis.
    #[cfg(feature = "redis")]
    Redis,
    /// A server of Postgres.
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Kind {
    /// All that are alike.
    pub const ALL: &[Self] = &[
        Self::Memory,
        Self::Toy,
        #[cfg(feature = "sqlite")]
        Self::Sqlite,
        #[cfg(feature = "redis")]
        Self::Redis,
        #[cfg(feature = "postgres")]
        Self::Postgres,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Toy => "toy",
            Self::Forgetful => "forgetful",
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "sqlite",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        })
    }
}

/// A store in a place of its own.
pub trait Place {
    /// The store, whose clock shows this time now.
    fn at(&self, now: Millis) -> Arc<dyn Store>;

    /// Loses the connections and opens them anew.
    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>>;
}

/// Where places are: the servers are started when the first place on them is asked for.
#[derive(Default)]
pub struct Places {
    #[cfg(feature = "redis")]
    redis: redis::Lazy,
    #[cfg(feature = "postgres")]
    postgres: postgres::Lazy,
}

impl Places {
    /// An empty place.
    ///
    /// # Errors
    /// What the store says, or whoever starts its server.
    pub async fn open(&self, kind: Kind) -> Result<Box<dyn Place>, BoxError> {
        Ok(match kind {
            Kind::Memory => Box::new(Memory::new()),
            Kind::Toy => Box::new(Small(toy::Toy::default())),
            Kind::Forgetful => Box::new(Forgetful(Memory::new())),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => Box::new(sqlite::OnSqlite::new().await?),
            #[cfg(feature = "redis")]
            Kind::Redis => Box::new(self.redis.open(&unique()).await?),
            #[cfg(feature = "postgres")]
            Kind::Postgres => Box::new(self.postgres.open(&unique()).await?),
        })
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

/// A name that no other place of this process has.
#[cfg(any(feature = "redis", feature = "postgres"))]
fn unique() -> String {
    static NAMES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("place{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// By how much a clock is to be shifted that it shows this time now.
fn offset(now: Millis) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.0 - i64::try_from(since.as_millis()).unwrap_or(0)
}

struct Memory {
    clock: Arc<AtomicI64>,
    store: MemoryStore,
}

impl Memory {
    fn new() -> Self {
        let clock = Arc::<AtomicI64>::default();
        let read = clock.clone();
        Self { clock, store: MemoryStore::with_clock(move || Millis(read.load(Ordering::Relaxed))) }
    }
}

impl Place for Memory {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        self.clock.store(now.0, Ordering::Relaxed);
        Arc::new(self.store.clone())
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }
}

struct Small(toy::Toy);

impl Place for Small {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        Arc::new(self.0.shifted(offset(now)))
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }
}

struct Forgetful(Memory);

impl Place for Forgetful {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        Arc::new(Wrapper(Forgets(self.0.at(now))))
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.0.reconnect()
    }
}

struct Forgets(Arc<dyn Store>);

impl Handle for Forgets {
    fn handle(&self, mut call: Call) -> BoxFuture<'_, Outcome> {
        if let Call::Fire(_, fires, _) = &mut call {
            fires.iter_mut().for_each(|fire| fire.priority = 0);
        }
        Box::pin(perform(&*self.0, call))
    }

    fn wakeups(&self) -> Wakeups {
        self.0.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.0.namespace(name)
    }
}
