//! A process under test: a runner whose handlers note what they do.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jobs_conformance::Wrapper;
use jobs_core::Store;
use jobs_runner::{SqliteOptions, SqliteStore, prelude::*};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    record::{Kind, Log},
    witness::Witness,
};

/// How long a session of a process under test lives without a beat.
pub const LEASE: Duration = Duration::from_secs(1);

/// What a process under test is told.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The store.
    pub store: String,
    /// The directory of the logs.
    pub logs: PathBuf,
    /// How many items a query finds.
    pub items: u64,
    /// How long the handler of an item takes at most, in microseconds.
    pub work: u64,
    /// How many items of a job run at once.
    pub concurrency: u32,
    /// Whether it fires ticks, one a second.
    pub ticks: bool,
}

/// The number of a job in the log.
#[must_use]
pub fn number_of(job: &str) -> u8 {
    match job {
        "chaos.load" => LOAD,
        "chaos.pages" => PAGES,
        _ => TICK,
    }
}

/// A query whose items are there all at once.
pub const LOAD: u8 = 1;
/// A query that is called page by page.
pub const PAGES: u8 = 2;
/// A job without items, every second.
pub const TICK: u8 = 3;

/// So many items to a page.
const PAGE: u64 = 5_000;

struct Chaos {
    log: Arc<Log>,
    orders: Orders,
}

#[cron_group("chaos")]
impl Chaos {
    #[query("load")]
    async fn load_items(&self, cx: &JobContext) -> Vec<u64> {
        self.query(LOAD, cx, 0);
        (0..self.orders.items).collect()
    }

    #[job("load")]
    async fn load(&self, cx: &JobContext, n: u64) {
        self.work(LOAD, cx, n).await;
    }

    #[query("pages")]
    async fn page(&self, cx: &JobContext, from: Option<u64>) -> Result<Page<u64, u64>> {
        let from = from.unwrap_or(0);
        self.query(PAGES, cx, from);
        let to = (from + PAGE).min(self.orders.items);
        Ok(Page::new((from..to).collect(), (to < self.orders.items).then_some(to)))
    }

    #[job("pages")]
    async fn pages(&self, cx: &JobContext, n: u64) {
        self.work(PAGES, cx, n).await;
    }

    #[job("tick", "* * * * * *", catch_up = "all", overlap = "allow")]
    async fn tick(&self, cx: &JobContext) {
        let tick = cx.tick().map_or(0, |tick| u64::try_from(tick.as_millisecond()).unwrap_or(0));
        self.work(TICK, cx, tick).await;
    }
}

impl Chaos {
    fn query(&self, job: u8, cx: &JobContext, from: u64) {
        self.log.note(Kind::Query, job, cx.item_id().number(), from, 0);
    }

    async fn work(&self, job: u8, cx: &JobContext, value: u64) {
        let id = cx.item_id();
        self.log.note(Kind::Begin, job, id.number(), id.n(), value);
        if self.orders.work > 0 {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..=self.orders.work))).await;
        }
        self.log.note(Kind::End, job, id.number(), id.n(), value);
    }
}

/// Stops this process inside its next commit whenever it is sent SIGUSR1, as SIGSTOP may at any moment.
async fn stop_in_a_commit(store: SqliteStore) {
    let Ok(mut signals) = signal(SignalKind::user_defined1()) else { return };
    while signals.recv().await.is_some() {
        store.in_next_commit(|| {
            let _stopped = kill_process(getpid(), Signal::STOP);
            // Another thread may take the signal, and this one run on until it has.
            std::thread::sleep(Duration::from_millis(100));
        });
    }
}

/// The store of a URL; one of SQLite may be stopped in a commit.
async fn open(url: &str) -> Result<Arc<dyn Store>> {
    #[cfg(feature = "redis")]
    if url.starts_with("redis") {
        return Ok(Arc::new(jobs_runner::RedisStore::connect(url).await?));
    }
    let store = SqliteStore::open(SqliteOptions::from_url(url)?).await?;
    tokio::spawn(stop_in_a_commit(store.clone()));
    Ok(Arc::new(store))
}

/// Runs until it is told to end, or is killed.
///
/// # Errors
/// If the store cannot be opened, or the runner does not start.
pub async fn run(orders: Orders) -> Result<()> {
    let log = Arc::new(Log::create(&orders.logs)?);
    let witness = Wrapper(Witness::new(open(&orders.store).await?, log.clone()));
    let wanted = ["chaos.load", "chaos.pages", "chaos.tick"];
    let wanted = wanted.into_iter().filter(|job| orders.ticks || *job != "chaos.tick");
    let runner = Runner::builder()
        .store(witness)
        .provide(Chaos { log, orders: orders.clone() })
        .only(wanted)
        .lease(LEASE)
        .grace(Duration::from_secs(5))
        .configure("chaos.*", JobOptions::new().concurrency(orders.concurrency))
        .start()
        .await?;
    Ok(runner.wait().await?)
}
