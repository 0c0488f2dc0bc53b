//! The jobs of a world. What each item does is a hash of the seed and its id, so it does the same on every node; and
//! each attempt is written down outside of the store.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use jobs_core::{ItemId, Stage, Token};
use jobs_runner::prelude::{JobContext, Outcome, Page, cron_group, fatal, job, query};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Sleep, sleep},
};

use crate::{
    log::{Attempt, Log, Phase, What, lock},
    node::Command,
};

/// What handlers of one start of one node see of the world.
pub(crate) struct Ear {
    pub(crate) log: Arc<Log>,
    pub(crate) seed: u64,
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) commands: UnboundedSender<Command>,
    pub(crate) outside: Arc<Outside>,
}

/// What the handlers of all nodes remember between attempts, as a mail server would.
#[derive(Default)]
pub(crate) struct Outside {
    snoozed: Mutex<BTreeSet<ItemId>>,
    /// No run with this number or a later one has an item that kills its node; 0: all may.
    pub(crate) harmless_from: AtomicU64,
}

/// An item: which run's query found it, and as which.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    run: u64,
    n: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pad: String,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Place {
    page: u64,
    from: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Oops {
    #[error("it fails for now")]
    Fails,
    #[error(transparent)]
    Fatal(#[from] jobs_runner::Fatal),
}

type Found<T> = Result<Vec<T>, Oops>;
type Ended = Result<Outcome, Oops>;

/// The group that all nodes link.
pub(crate) struct Sim(pub(crate) Arc<Ear>);

/// The ids of the jobs that a world chooses from, besides those of the codec.
pub(crate) const JOBS: [&str; 13] = [
    "sim.fan",
    "sim.big",
    "sim.pages",
    "sim.few",
    "sim.alone",
    "sim.queue",
    "sim.allow",
    "sim.all",
    "sim.never",
    "sim.once",
    "sim.flip",
    "sim.poison",
    "codec.swap",
];

/// The schedules that `sim.flip` has in one build or another.
pub(crate) const SCHEDULES: [&str; 3] = ["4s", "6s", "*/5 * * * * *"];

/// Items that are found one after the other: some are stored while others are still looked for.
struct Slowly {
    items: std::vec::IntoIter<Item>,
    rest: Pin<Box<Sleep>>,
}

impl Slowly {
    const PAUSE: Duration = Duration::from_millis(20);

    fn new(items: Vec<Item>) -> Self {
        Self { items: items.into_iter(), rest: Box::pin(sleep(Self::PAUSE)) }
    }
}

impl Stream for Slowly {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Item>> {
        ready!(self.rest.as_mut().poll(task));
        self.rest = Box::pin(sleep(Self::PAUSE));
        Poll::Ready(self.items.next())
    }
}

#[cron_group("sim")]
impl Sim {
    #[query("fan")]
    async fn find_fan(&self, cx: &JobContext) -> Found<Item> {
        self.0.find(cx, 0..25, 0).await
    }

    #[job("fan", "5s", retries = 3, retry_delay = "300ms", max_retry_delay = "3s", concurrency = 3)]
    async fn fan(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..400).await
    }

    #[query("big")]
    async fn find_big(&self, cx: &JobContext) -> Result<Slowly, Oops> {
        Ok(Slowly::new(self.0.find(cx, 3..9, 30_000).await?))
    }

    #[job("big", "20s", retries = 2, retry_delay = "500ms")]
    async fn big(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..100).await
    }

    #[query("pages")]
    async fn find_pages(&self, cursor: Option<Place>, cx: &JobContext) -> Result<Page<Item, Place>, Oops> {
        self.0.page(cx, cursor.unwrap_or_default()).await
    }

    #[job("pages", "7s", retries = 2, retry_delay = "500ms")]
    async fn pages(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..600).await
    }

    #[query("few")]
    async fn find_few(&self, cx: &JobContext) -> Found<Item> {
        self.0.find(cx, 0..12, 0).await
    }

    #[job("few", "6s", global_concurrency = 2, retries = 1, retry_delay = "1s")]
    async fn few(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..900).await
    }

    #[job("alone", "3s", retries = 1, retry_delay = "1s")]
    async fn alone(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..4_000).await
    }

    #[job("queue", "2s", overlap = "queue")]
    async fn queue(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 500..5_000).await
    }

    #[job("allow", "4s", overlap = "allow", retries = 1, retry_delay = "1s", jitter = "2s")]
    async fn allow(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..8_000).await
    }

    #[job("all", "5s", catch_up = "all")]
    async fn all(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..300).await
    }

    #[job("never", "5s", catch_up = "skip")]
    async fn never(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..300).await
    }

    #[job("once", "5s", catch_up = "once", retries = 2, retry_delay = "200ms", timeout = "1s")]
    async fn once(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..1_100).await
    }

    #[job("flip", "4s")]
    async fn flip(&self, cx: &JobContext) -> Ended {
        self.0.work(cx, None, 0..1_000).await
    }

    #[query("poison")]
    async fn find_poison(&self, cx: &JobContext) -> Found<Item> {
        self.0.find(cx, 1..6, 0).await
    }

    #[job("poison", "15s", concurrency = 4)]
    async fn poison(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..300).await
    }
}

/// The codec's group in the old build.
pub(crate) struct Numbers(pub(crate) Arc<Ear>);

#[cron_group("codec")]
impl Numbers {
    #[query("swap")]
    async fn find(&self, cx: &JobContext) -> Found<(u64, u64)> {
        Ok(self.0.find(cx, 2..12, 0).await?.into_iter().map(|item| (item.run, item.n)).collect())
    }

    #[job("swap", "10s", concurrency = 1)]
    async fn swap(&self, item: (u64, u64), cx: &JobContext) -> Ended {
        let item = Item { run: item.0, n: item.1, pad: String::new() };
        self.0.work(cx, Some(&item), 0..2_500).await
    }
}

/// The codec's group in the new build, whose items the old one cannot read, nor it the old one's.
pub(crate) struct Texts(pub(crate) Arc<Ear>);

#[cron_group("codec")]
impl Texts {
    #[query("swap")]
    async fn find(&self, cx: &JobContext) -> Found<Item> {
        self.0.find(cx, 2..12, 0).await
    }

    #[job("swap", "10s", concurrency = 1)]
    async fn swap(&self, item: Item, cx: &JobContext) -> Ended {
        self.0.work(cx, Some(&item), 0..2_500).await
    }
}

impl Ear {
    /// Randomness that belongs to an item and not to whoever works on it.
    fn random(&self, cx: &JobContext, about: u64) -> fastrand::Rng {
        let item = cx.item_id();
        fastrand::Rng::with_seed(mix(&[self.seed, item.number(), item.n(), about]))
    }

    /// How many items the run's query finds.
    fn total(&self, cx: &JobContext, range: std::ops::Range<u64>) -> u64 {
        let number = cx.run_id().map_or(0, jobs_core::RunId::number);
        fastrand::Rng::with_seed(mix(&[self.seed, number, 1])).u64(range)
    }

    async fn find(&self, cx: &JobContext, range: std::ops::Range<u64>, pad: usize) -> Found<Item> {
        let writing = self.begin(cx, Stage::Fill, None);
        let mut random = self.random(cx, 2 + 10 * u64::from(cx.attempt()));
        sleep(Duration::from_millis(random.u64(..600))).await;
        if random.u32(..6) == 0 {
            return writing.fail();
        }
        let total = self.total(cx, range);
        let run = cx.item_id().number();
        writing.ends(Phase::Found(total));
        Ok((0..total).map(|n| Item { run, n, pad: "x".repeat(pad) }).collect())
    }

    async fn page(&self, cx: &JobContext, place: Place) -> Result<Page<Item, Place>, Oops> {
        let Place { page, from } = place;
        let writing = self.begin(cx, Stage::Fill, None);
        let mut random = self.random(cx, 3 + 10 * page + 1_000 * u64::from(cx.attempt()));
        sleep(Duration::from_millis(random.u64(..800))).await;
        if random.u32(..6) == 0 {
            return writing.fail();
        }
        let total = self.total(cx, 0..25);
        let to = (from + random.u64(..6)).min(total);
        writing.ends(Phase::Found(to - from));
        let run = cx.item_id().number();
        let items = (from..to).map(|n| Item { run, n, pad: String::new() }).collect();
        Ok(if to == total {
            Page::last(items)
        } else {
            Page::new(items, Some(Place { page: page + 1, from: to }))
        })
    }

    async fn work(&self, cx: &JobContext, item: Option<&Item>, time: std::ops::Range<u64>) -> Ended {
        let writing = self.begin(cx, Stage::Work, item.map(|item| (item.run, item.n)));
        if cx.job() == "sim.poison" {
            self.may_kill(cx, &writing).await;
        }
        let mut random = self.random(cx, 4 + 10 * u64::from(cx.attempt()));
        sleep(Duration::from_millis(random.u64(time))).await;
        let mut of_item = self.random(cx, 5);
        if cx.attempt() <= [0, 0, 0, 0, 0, 1, 2, 9][of_item.usize(..8)] {
            return writing.fail();
        }
        match of_item.u32(..40) {
            0 => {
                writing.ends(Phase::Failed);
                Err(fatal("it can never be done").into())
            }
            1 => {
                writing.ends(Phase::Discarded);
                Ok(Outcome::Discard("nobody wants it".into()))
            }
            2 if lock(&self.outside.snoozed).insert(cx.item_id()) => {
                writing.ends(Phase::Snoozed);
                Ok(Outcome::Snooze(Duration::from_millis(random.u64(..3_000))))
            }
            _ => {
                writing.ends(Phase::Done);
                Ok(Outcome::Done)
            }
        }
    }

    /// Dies, if this is an item that kills.
    async fn may_kill(&self, cx: &JobContext, writing: &Writing) {
        let harmless = self.outside.harmless_from.load(Ordering::Relaxed);
        let kills = cx.item_id().n() == 0 && self.random(cx, 6).bool();
        if !kills || (harmless > 0 && cx.item_id().number() >= harmless) {
            return;
        }
        writing.note(Phase::Kills);
        let down = Duration::from_millis(self.random(cx, 7).u64(200..4_000));
        let gone = self.random(cx, 8 + self.life).bool();
        let _ = self.commands.send(Command::Crash { life: Some(self.life), gone, down });
        std::future::pending::<()>().await;
    }

    fn begin(&self, cx: &JobContext, stage: Stage, item: Option<(u64, u64)>) -> Writing {
        let about = Attempt {
            node: self.node,
            job: cx.job().to_owned(),
            stage,
            item: cx.item_id(),
            token: Token(cx.token()),
            attempt: cx.attempt(),
            phase: Phase::Dropped,
        };
        let writing = Writing { log: self.log.clone(), about, ended: false };
        writing.note(Phase::Begin(item));
        writing
    }
}

/// What is written down of one attempt. Dropped before its end, it says so.
struct Writing {
    log: Arc<Log>,
    about: Attempt,
    ended: bool,
}

impl Writing {
    fn note(&self, phase: Phase) {
        self.log.add(What::Attempt(Attempt { phase, ..self.about.clone() }));
    }

    fn ends(mut self, phase: Phase) {
        self.ended = true;
        self.note(phase);
    }

    fn fail<T>(self) -> Result<T, Oops> {
        self.ends(Phase::Failed);
        Err(Oops::Fails)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.ended {
            self.note(Phase::Dropped);
        }
    }
}

/// One number out of several.
pub(crate) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, part| {
        let hash = (hash ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (hash ^ (hash >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
    })
}
