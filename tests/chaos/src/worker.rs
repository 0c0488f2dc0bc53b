//! A process under test: a runner whose handlers note what they do.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
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
    durations::{Durations, Timed},
    jobs::{Chaos, DECODES},
    record::Log,
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
    /// Which other jobs it works on, besides the load and the pages.
    pub also: Vec<String>,
    /// Whether it can decode the items of `chaos.fickle`.
    pub decodes: bool,
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
            also: Vec::new(),
            decodes: true,
            schedule: None,
            lease: LEASE,
            offset: 0,
            clock: None,
            program: None,
        }
    }
}

/// Opens the store of a URL, its clock so many milliseconds ahead, and notes how long its calls take.
///
/// # Errors
/// If it cannot be opened.
pub async fn open(url: &str, offset: i64, durations: Arc<Durations>) -> Result<Arc<dyn Store>> {
    let store = open_bare(url, offset).await?;
    Ok(Arc::new(Wrapper(Timed::new(store, durations))))
}

async fn open_bare(url: &str, offset: i64) -> Result<Arc<dyn Store>> {
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
async fn step_the_clock(orders: Orders, witness: Arc<Wrapper<Witness>>, durations: Arc<Durations>) {
    let Ok(mut signals) = signal(SignalKind::user_defined2()) else { return };
    while signals.recv().await.is_some() {
        let offset = std::fs::read_to_string(offset_file(&orders.logs)).unwrap_or_default();
        if let Ok(offset) = offset.parse()
            && let Ok(store) = open(&orders.store, offset, durations.clone()).await
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
    let durations = Arc::new(Durations::create(&orders.logs)?);
    let store = open(&orders.store, orders.offset, durations.clone()).await?;
    let witness = Arc::new(Wrapper(Witness::new(store, log.clone())));
    tokio::spawn(step_the_clock(orders.clone(), witness.clone(), durations));
    DECODES.store(orders.decodes, Ordering::Relaxed);
    let mut wanted = vec!["chaos.load", "chaos.pages"];
    if orders.ticks {
        wanted.push("chaos.tick");
    }
    wanted.extend(orders.also.iter().map(String::as_str));
    let mut builder = Runner::builder()
        .store(witness as Arc<dyn Store>)
        .provide(Chaos::new(log, orders.clone()))
        .only(wanted)
        .lease(orders.lease)
        .grace(Duration::from_secs(5))
        .configure("chaos.*", JobOptions::new().concurrency(orders.concurrency))
        // Whoever asked for a run looks for it in the end.
        .configure("chaos.load", JobOptions::new().concurrency(orders.concurrency).keep_runs(100_000));
    if let Some(schedule) = &orders.schedule {
        builder = builder.configure("chaos.tick", JobOptions::new().schedule(schedule));
    }
    Ok(builder.start().await?.wait().await?)
}
