//! A process under test: a runner whose handlers note what they do.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jobs_conformance::Wrapper;
use jobs_core::Store;
use jobs_runner::{
    PostgresOptions, PostgresStore, RedisOptions, RedisStore, SqliteOptions, SqliteStore, prelude::*,
};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    record::{Kind, Log},
    witness::Witness,
};

/// How long a session of a process under test lives without a beat.
pub const LEASE: Duration = Duration::from_secs(1);

/// What a process under test is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Another schedule of the ticks than that in the code.
    pub schedule: Option<String>,
    /// How long its session lives without a beat.
    pub lease: Duration,
    /// How many milliseconds the store's clock is ahead of what it is.
    pub offset: i64,
    /// What the process takes for the time of day, as libfaketime reads it: `+600s`.
    pub clock: Option<String>,
    /// The program of an earlier version that plays the process.
    #[serde(skip)]
    pub program: Option<PathBuf>,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            store: String::new(),
            logs: PathBuf::new(),
            items: 0,
            work: 0,
            concurrency: 1,
            ticks: false,
            schedule: None,
            lease: LEASE,
            offset: 0,
            clock: None,
            program: None,
        }
    }
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
        self.log.note_with(Kind::Begin, job, (id.number(), id.n()), value, cx.token());
        if self.orders.work > 0 {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..=self.orders.work))).await;
        }
        self.log.note(Kind::End, job, id.number(), id.n(), value);
    }
}

/// Opens the store of a URL, its clock so many milliseconds ahead.
async fn open(url: &str, offset: i64) -> Result<Arc<dyn Store>> {
    Ok(match url.split(':').next() {
        Some("sqlite") => {
            let store = SqliteStore::open(SqliteOptions::from_url(url)?.clock_offset(offset)).await?;
            tokio::spawn(stop_in_a_commit(store.clone()));
            Arc::new(store)
        }
        Some("redis") => Arc::new(RedisStore::open(RedisOptions::from_url(url)?.clock_offset(offset)).await?),
        Some("postgres") => {
            Arc::new(PostgresStore::open(PostgresOptions::from_url(url)?.clock_offset(offset)).await?)
        }
        _ => return Err(format!("no process under test knows the store {url}").into()),
    })
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

/// Where the offset of the store's clock is written before processes are told to take it.
#[must_use]
pub fn offset_file(logs: &Path) -> PathBuf {
    logs.join("offset")
}

/// Takes another offset of the store's clock whenever the process is sent SIGUSR2: the clock has stepped.
async fn step_the_clock(orders: Orders, witness: Arc<Wrapper<Witness>>) {
    let Ok(mut signals) = signal(SignalKind::user_defined2()) else { return };
    while signals.recv().await.is_some() {
        let offset = std::fs::read_to_string(offset_file(&orders.logs)).unwrap_or_default();
        if let Ok(offset) = offset.parse()
            && let Ok(store) = open(&orders.store, offset).await
        {
            witness.0.turn_to(store);
        }
    }
}

/// Runs until it is told to end, or is killed.
///
/// # Errors
/// If the store cannot be opened, or the runner does not start.
pub async fn run(orders: Orders) -> Result<()> {
    let log = Arc::new(Log::create(&orders.logs)?);
    let store = open(&orders.store, orders.offset).await?;
    let witness = Arc::new(Wrapper(Witness::new(store, log.clone())));
    tokio::spawn(step_the_clock(orders.clone(), witness.clone()));
    let wanted = ["chaos.load", "chaos.pages", "chaos.tick"];
    let wanted = wanted.into_iter().filter(|job| orders.ticks || *job != "chaos.tick");
    let mut builder = Runner::builder()
        .store(witness as Arc<dyn Store>)
        .provide(Chaos { log, orders: orders.clone() })
        .only(wanted)
        .lease(orders.lease)
        .grace(Duration::from_secs(5))
        .configure("chaos.*", JobOptions::new().concurrency(orders.concurrency));
    if let Some(schedule) = &orders.schedule {
        builder = builder.configure("chaos.tick", JobOptions::new().schedule(schedule));
    }
    Ok(builder.start().await?.wait().await?)
}
