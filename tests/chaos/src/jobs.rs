//! The jobs of a process under test. Their handlers note what they do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_runner::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    record::{Kind, Log},
    worker::Orders,
};

/// A query whose items are there all at once.
pub const LOAD: u8 = 1;
/// A query that is called page by page.
pub const PAGES: u8 = 2;
/// A job without items, every second.
pub const TICK: u8 = 3;
/// Work of which there is always more than anybody gets done.
pub const BULK: u8 = 4;
/// Items that are all due at one instant.
pub const LATER: u8 = 5;
/// Items that were dead, and are requeued.
pub const REVIVED: u8 = 6;
/// Items that not every process can decode.
pub const FICKLE: u8 = 7;
/// Items that fail for good.
pub const FAIL: u8 = 8;
/// Items that a store may not take.
pub const ODD: u8 = 9;
const UNKNOWN: u8 = 0;

/// The number of a job in the log.
#[must_use]
pub fn number_of(job: &str) -> u8 {
    match job {
        "chaos.load" => LOAD,
        "chaos.pages" => PAGES,
        "chaos.tick" => TICK,
        "chaos.bulk" => BULK,
        "chaos.later" => LATER,
        "chaos.revived" => REVIVED,
        "chaos.fickle" => FICKLE,
        "chaos.fail" => FAIL,
        "chaos.odd" => ODD,
        _ => UNKNOWN,
    }
}

/// So many items to a page.
const PAGE: u64 = 5_000;

/// Longer than any store under test takes; each is set up so.
pub const TOO_LONG: usize = 2 * 1024 * 1024;

/// Whether this process can decode items of `chaos.fickle`.
pub static DECODES: AtomicBool = AtomicBool::new(true);

/// An item that not every process can decode.
#[derive(Serialize)]
pub struct Fickle(u64);

impl<'de> Deserialize<'de> for Fickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let n = u64::deserialize(deserializer)?;
        if DECODES.load(Ordering::Relaxed) { Ok(Self(n)) } else { Err(D::Error::custom("another version")) }
    }
}

/// An item that a store may not take.
#[derive(Serialize, Deserialize)]
struct Odd {
    n: u64,
    text: String,
}

/// The group of all jobs.
pub struct Chaos {
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

/// Jobs of single scenarios; a process works on those that it is told of.
#[cron_group("chaos")]
impl Chaos {
    #[query("bulk")]
    async fn bulk_items(&self) -> Vec<u64> {
        Vec::new()
    }

    #[job("bulk", priority = -1)]
    async fn bulk(&self, cx: &JobContext, n: u64) {
        self.work(BULK, cx, n).await;
    }

    #[query("later")]
    async fn later_items(&self) -> Vec<u64> {
        Vec::new()
    }

    #[job("later")]
    async fn later(&self, cx: &JobContext, n: u64) {
        self.work(LATER, cx, n).await;
    }

    #[query("revived")]
    async fn revived_items(&self) -> Vec<u64> {
        Vec::new()
    }

    #[job("revived")]
    async fn revived(&self, cx: &JobContext, n: u64) {
        self.work(REVIVED, cx, n).await;
    }

    #[query("fickle")]
    async fn fickle_items(&self) -> Vec<Fickle> {
        Vec::new()
    }

    #[job("fickle", keep_dead = "1s")]
    async fn fickle(&self, cx: &JobContext, item: Fickle) {
        self.work(FICKLE, cx, item.0).await;
    }

    #[query("fail")]
    async fn fail_items(&self) -> Vec<u64> {
        (0..self.orders.items).collect()
    }

    #[job("fail", overlap = "allow")]
    async fn fail(&self, cx: &JobContext, n: u64) -> Result<()> {
        self.note(FAIL, cx, n);
        Err("no item of this job succeeds".into())
    }

    #[query("odd")]
    async fn odd_items(&self) -> Vec<Odd> {
        vec![Odd { n: 0, text: "a zero byte \0 within".to_owned() }, Odd { n: 1, text: "x".repeat(TOO_LONG) }]
    }

    #[job("odd", overlap = "allow")]
    async fn odd(&self, cx: &JobContext, item: Odd) -> Result<()> {
        self.note(ODD, cx, item.n);
        Err(format!("an error with the text of its item: {}", item.text).into())
    }
}

impl Chaos {
    /// Notes what it does here, and does it as the orders say.
    #[must_use]
    pub fn new(log: Arc<Log>, orders: Orders) -> Self {
        Self { log, orders }
    }

    fn query(&self, job: u8, cx: &JobContext, from: u64) {
        self.log.note(Kind::Query, job, cx.item_id().number(), from, 0);
    }

    fn note(&self, job: u8, cx: &JobContext, value: u64) {
        let id = cx.item_id();
        self.log.note_with(Kind::Begin, job, (id.number(), id.n()), value, cx.token());
        self.log.note(Kind::End, job, id.number(), id.n(), value);
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
