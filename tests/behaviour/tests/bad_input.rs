//! Bad input: a clear error, nothing lost, no busy loop.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use behaviour::{DAY, Gate, HOUR, Log, MINUTE, SECOND, secs, stream};
use futures_core::Stream;
use jobs_runner::{Event, FailureKind, RunState, prelude::*, testing::Harness};
use serde::{Deserialize, Serialize};

/// Items that do not decode.
#[derive(Clone, Default)]
struct Measures {
    seen: Log<f64>,
}

#[cron_group("measures")]
impl Measures {
    // JSON has no NaN: it is written as `null`, which is no `f64`.
    #[query("read")]
    async fn find(&self) -> Vec<f64> {
        vec![1.0, f64::NAN, 3.0]
    }
    #[job("read", retries = 5)]
    async fn read(&self, value: f64) {
        self.seen.note(value);
    }

    #[job("other")]
    async fn other(&self) {}
}

fn started(t: &jobs_runner::testing::Running) -> usize {
    t.events().iter().filter(|event| matches!(event, Event::AttemptStarted { .. })).count()
}

#[tokio::test]
async fn an_item_that_does_not_decode_is_dead_after_a_quarter_of_an_hour_with_its_payload() -> Result<()> {
    let measures = Measures::default();
    // The lease of a node that has company: upkeep looks often.
    let t = Harness::new().provide(measures.clone()).with(|b| b.lease(secs(15))).start().await?;
    let run = t.client().run(Measures::READ).await?;
    t.advance(MINUTE * 14).await;
    assert_eq!(measures.seen.all(), [1.0, 3.0]);
    assert_eq!(t.client().report(run.id()).await?.state, RunState::Working, "it waits for a build that can");
    assert_eq!(t.dead(Measures::READ).await.len(), 0);
    let attempts = started(&t);
    t.advance(MINUTE * 2).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.dead), (RunState::Partial, 2, 1));
    let dead = t.dead(Measures::READ).await;
    assert_eq!(dead[0].payload, serde_json::Value::Null);
    let failure = dead[0].attempts.last().unwrap();
    assert_eq!(failure.kind, FailureKind::Undecodable);
    assert!(failure.message.contains("f64"), "{failure:?}");
    assert_eq!(report.counts.retries, 0, "no attempt was made of it");
    assert_eq!(started(&t), attempts, "it is not offered to this build again and again");
    Ok(())
}

#[tokio::test]
async fn an_item_that_does_not_decode_survives_restarts_of_the_build_that_cannot() -> Result<()> {
    let measures = Measures::default();
    let t = Harness::new().provide(measures.clone()).with(|b| b.lease(secs(15))).start().await?;
    let run = t.client().run(Measures::READ).await?;
    t.advance(MINUTE).await;
    t.restart("a").await;
    t.advance(MINUTE).await;
    t.restart("a").await;
    t.advance(HOUR).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.counts.ok, report.counts.dead, measures.seen.len()), (2, 1, 2));
    Ok(())
}

/// A type that a later build decodes otherwise.
static TOLERANT: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Letter {
    to: String,
}

impl<'de> Deserialize<'de> for Letter {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Any {
            to: String,
        }
        let Any { to } = Any::deserialize(from)?;
        if to.contains('@') || TOLERANT.load(Ordering::Relaxed) {
            Ok(Self { to })
        } else {
            Err(serde::de::Error::custom(format!("`{to}` is no address")))
        }
    }
}

#[derive(Clone, Default)]
struct Letters {
    sent: Log<String>,
}

#[cron_group("letters")]
impl Letters {
    #[query("send")]
    async fn find(&self) -> Vec<Letter> {
        ["ann@x", "bob", "cid@x"].map(|to| Letter { to: to.into() }).into()
    }
    #[job("send")]
    async fn send(&self, letter: Letter) {
        self.sent.note(letter.to);
    }
    // What another build links besides.
    #[job("new")]
    async fn new_job(&self) {}
}

#[tokio::test]
async fn an_item_waits_for_the_build_that_can_decode_it() -> Result<()> {
    let letters = Letters::default();
    let newer = Arc::new(AtomicBool::new(false));
    let build = newer.clone();
    let t = Harness::new()
        .provide(letters.clone())
        .with(move |b| {
            let b = b.lease(secs(15));
            if build.load(Ordering::Relaxed) { b } else { b.only(["letters.send"]) }
        })
        .start()
        .await?;
    let run = t.client().run(Letters::SEND).await?;
    t.advance(MINUTE * 5).await;
    assert_eq!(letters.sent.take(), ["ann@x", "cid@x"]);
    TOLERANT.store(true, Ordering::Relaxed);
    newer.store(true, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(letters.sent.take(), ["bob"]);
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries), (3, 0));
    Ok(())
}

/// Large and many.
#[derive(Clone, Default)]
struct Bulk {
    bytes: Arc<AtomicU64>,
    items: Arc<AtomicU64>,
    sum: Arc<AtomicU64>,
}

#[cron_group("bulk")]
impl Bulk {
    #[query("large")]
    async fn q_large(&self) -> Vec<String> {
        (0..8).map(|n| "x".repeat(1 << (15 + n))).collect()
    }
    #[job("large")]
    async fn large(&self, text: String) {
        assert!(text.bytes().all(|b| b == b'x'));
        self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
    }

    #[query("large-fail")]
    async fn q_large_fail(&self) -> Vec<String> {
        vec!["y".repeat(3 << 20)]
    }
    #[job("large-fail")]
    async fn large_fail(&self, text: String) -> Result<()> {
        Err(format!("too long: {text}").into())
    }

    #[query("million")]
    async fn q_million(&self) -> impl Iterator<Item = u64> {
        0..1_000_000
    }
    #[job("million")]
    async fn million(&self, n: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(n, Ordering::Relaxed);
    }

    #[query("pages")]
    async fn q_pages(&self, after: Option<u64>) -> Result<Page<u64, u64>> {
        let from = after.unwrap_or(0);
        let to = from + 1_000;
        Ok(Page::new((from..to).collect(), (to < 200_000).then_some(to)))
    }
    #[job("pages")]
    async fn pages(&self, n: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(n, Ordering::Relaxed);
    }

    // Yields for ever: its bound ends it.
    #[query("endless")]
    fn q_endless(&self) -> impl Stream<Item = u64> {
        Ticking { n: 0, sleep: Box::pin(tokio::time::sleep(SECOND)) }
    }
    #[job("endless", max_compute_time = "10m")]
    async fn endless(&self, _n: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    // Always another page, and never an item on it.
    #[query("empty-pages")]
    async fn q_empty_pages(&self, after: Option<u64>) -> Result<Page<u64, u64>> {
        let n = after.unwrap_or(0);
        Ok(Page::new(vec![], (n < 500).then_some(n + 1)))
    }
    #[job("empty-pages")]
    async fn empty_pages(&self, _n: u64) {}
}

/// One number a second, without end.
struct Ticking {
    n: u64,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Stream for Ticking {
    type Item = u64;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<u64>> {
        std::task::ready!(self.sleep.as_mut().poll(cx));
        let next = self.sleep.deadline() + SECOND;
        self.sleep.as_mut().reset(next);
        self.n += 1;
        std::task::Poll::Ready(Some(self.n))
    }
}

#[tokio::test]
async fn items_of_megabytes_arrive_whole() -> Result<()> {
    let bulk = Bulk::default();
    let t = Harness::new().provide(bulk.clone()).start().await?;
    let report = t.run(Bulk::LARGE).await?.ok()?;
    assert_eq!(report.counts.ok, 8);
    assert_eq!(bulk.bytes.load(Ordering::Relaxed), (1 << 23) - (1 << 15), "up to four megabytes");
    Ok(())
}

#[tokio::test]
async fn a_huge_error_text_does_not_hurt_and_the_payload_is_kept() -> Result<()> {
    let t = Harness::new().group::<Bulk>().start().await?;
    let report = t.run(Bulk::LARGE_FAIL).await?;
    assert_eq!((report.state, report.counts.dead), (RunState::Failed, 1));
    let dead = t.dead(Bulk::LARGE_FAIL).await;
    assert_eq!(dead[0].payload.as_str().map(str::len), Some(3 << 20));
    assert!(dead[0].attempts[0].message.starts_with("too long: yyy"));
    println!("the message kept has {} bytes", dead[0].attempts[0].message.len());
    Ok(())
}

#[tokio::test]
async fn a_query_may_yield_a_million_items_and_none_is_lost_or_doubled() -> Result<()> {
    let bulk = Bulk::default();
    let t = Harness::new().provide(bulk.clone()).start().await?;
    // Nobody listens to a million events.
    let began = std::time::Instant::now();
    let report = t.run(Bulk::MILLION).await?.ok()?;
    println!("a million items in {:?}", began.elapsed());
    assert_eq!((report.counts.total, report.counts.ok), (1_000_000, 1_000_000));
    assert_eq!(bulk.items.load(Ordering::Relaxed), 1_000_000);
    assert_eq!(bulk.sum.load(Ordering::Relaxed), 999_999 * 1_000_000 / 2);
    assert!(began.elapsed() < secs(60), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn many_pages_wait_while_too_much_is_ready_and_all_are_worked() -> Result<()> {
    let bulk = Bulk::default();
    let t = Harness::new().provide(bulk.clone()).start().await?;
    let report = t.run(Bulk::PAGES).await?.ok()?;
    assert_eq!((report.counts.total, report.counts.ok), (200_000, 200_000));
    assert_eq!(bulk.sum.load(Ordering::Relaxed), 199_999 * 200_000 / 2);
    Ok(())
}

#[tokio::test]
async fn a_query_that_never_ends_is_ended_by_its_bound_and_nothing_of_it_is_worked() -> Result<()> {
    let bulk = Bulk::default();
    let t = Harness::new().provide(bulk.clone()).start().await?;
    let report = t.run(Bulk::ENDLESS).await?;
    assert_eq!((report.state, report.errors[0].kind), (RunState::Failed, FailureKind::MaxComputeTime));
    assert_eq!(bulk.items.load(Ordering::Relaxed), 0);
    Ok(())
}

#[tokio::test]
async fn empty_pages_are_no_busy_loop_without_end() -> Result<()> {
    let t = Harness::new().group::<Bulk>().start().await?;
    let report = t.run(Bulk::EMPTY_PAGES).await?.ok()?;
    assert_eq!(report.counts.total, 0);
    Ok(())
}

/// Pages without end to come, and nobody to work them.
#[derive(Clone, Default)]
struct Flood {
    pages: Arc<AtomicU64>,
    gate: Gate,
}

#[cron_group("flood")]
impl Flood {
    #[query("work")]
    async fn find(&self, after: Option<u64>) -> Result<Page<u64, u64>> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let page = after.unwrap_or(0);
        Ok(Page::new((0..1_000).collect(), (page < 149).then_some(page + 1)))
    }
    // Waiting for the store does not count against the bound of a page.
    #[job("work", max_compute_time = "1m")]
    async fn work(&self, _n: u64) {
        self.gate.pass().await;
    }
}

#[tokio::test]
async fn a_page_query_waits_while_more_than_a_hundred_thousand_items_are_ready() -> Result<()> {
    let flood = Flood::default();
    let t = Harness::new().provide(flood.clone()).with(|b| b.poll_interval(SECOND)).start().await?;
    let run = t.client().run(Flood::WORK).await?;
    t.advance(HOUR).await;
    let pages = flood.pages.load(Ordering::Relaxed);
    assert!((100..=103).contains(&pages), "{pages}");
    flood.gate.open();
    t.advance(HOUR).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, flood.pages.load(Ordering::Relaxed)), (150_000, 150));
    Ok(())
}

/// A handler that never ends, in a job whose items nothing bounds.
#[derive(Clone, Default)]
struct Stuck {
    log: Log<u32>,
}

#[cron_group("stuck")]
impl Stuck {
    #[query("work")]
    async fn find(&self) -> Vec<u32> {
        (0..30).collect()
    }
    #[job("work", "0 0 * * *")]
    async fn work(&self, n: u32) {
        if n == 3 {
            std::future::pending::<()>().await;
        }
        self.log.note(n);
    }
    #[job("other", "0 * * * *")]
    async fn other(&self) {}
}

#[tokio::test]
async fn a_handler_that_never_ends_holds_up_its_own_runs_alone() -> Result<()> {
    let stuck = Stuck::default();
    let t = Harness::new().provide(stuck.clone()).start().await?;
    t.advance(DAY * 3).await;
    assert_eq!(stuck.log.len(), 29);
    assert_eq!(t.fired(Stuck::WORK).len(), 1, "the next ticks are skipped: its run is busy");
    assert_eq!(t.fired(Stuck::OTHER).len(), 72);
    let run = t.client().ticks(Stuck::WORK, 10).await?.last().unwrap().run.unwrap();
    t.client().cancel(run).await?;
    t.advance(DAY).await;
    assert_eq!(t.fired(Stuck::WORK).len(), 2, "a cancel frees it");
    Ok(())
}

/// Names at their limits: 100 of what is allowed.
#[derive(Default)]
struct Names(Log<String>);

#[cron_group(
    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiii_-_-_-0123"
)]
impl Names {
    #[job("0123456789_-_-_-_-_-ccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiiJJJJJJJJJJ", handle = LONG)]
    async fn long(&self, cx: &JobContext) {
        self.0.note(cx.job().to_owned());
    }
    #[job("x")]
    async fn x(&self, cx: &JobContext) {
        self.0.note(format!("{} {}", cx.group().len(), cx.job().len()));
    }
    #[job("X", handle = UPPER)]
    async fn upper(&self, cx: &JobContext) {
        self.0.note(format!("{} {}", cx.group().len(), cx.job().len()));
    }
}

#[tokio::test]
async fn names_at_their_limits_work_and_case_tells_them_apart() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Names(log.clone())).start().await?;
    assert_eq!(Names::LONG.id().len(), 201);
    t.run(Names::LONG).await?.ok()?;
    t.run(Names::X).await?.ok()?;
    t.run(Names::UPPER).await?.ok()?;
    assert_eq!(log.all(), [Names::LONG.id(), "100 102", "100 102"]);
    t.client().pause(Names::LONG.id(), &"note ".repeat(10_000)).await?;
    assert!(t.client().run(Names::LONG).await.is_err());
    assert_eq!(t.client().jobs().await?.len(), 3);
    Ok(())
}

/// Items whose JSON cannot be written.
#[derive(Clone, Default)]
struct Unwritable;

#[cron_group("unwritable")]
impl Unwritable {
    // A map whose keys are no strings is no JSON.
    #[query("map")]
    async fn find(&self) -> Vec<BTreeMap<(u32, u32), u32>> {
        vec![BTreeMap::from([((1, 2), 3)])]
    }
    #[job("map", retries = 1, retry_delay = "1s")]
    async fn map(&self, _map: BTreeMap<(u32, u32), u32>) {}
}

#[tokio::test]
async fn an_item_that_cannot_be_written_fails_the_query_and_says_so() -> Result<()> {
    let t = Harness::new().group::<Unwritable>().start().await?;
    let report = t.run(Unwritable::MAP).await?;
    assert_eq!((report.state, report.counts.total), (RunState::Failed, 0));
    assert!(report.errors[0].message.contains("key must be a string"), "{report:?}");
    Ok(())
}

/// Panics and errors whose texts are strange.
#[derive(Clone, Default)]
struct Strange;

#[cron_group("strange")]
impl Strange {
    #[job("empty")]
    async fn empty(&self) -> Result<(), String> {
        Err(String::new())
    }
    #[job("lines")]
    async fn lines(&self) -> Result<(), String> {
        Err("one\ntwo\u{0}\u{1b}[31mthree".into())
    }
    #[query("many-errors")]
    async fn q_many_errors(&self) -> Vec<u32> {
        (0..500).collect()
    }
    #[job("many-errors")]
    async fn many_errors(&self, n: u32) -> Result<(), String> {
        Err(format!("error {n}"))
    }
    #[query("stream")]
    fn q_stream(&self) -> impl Stream<Item = Result<u32, String>> {
        stream([Err("at once".to_owned())])
    }
    #[job("stream")]
    async fn stream(&self, _n: u32) {}
    #[job("deep")]
    async fn deep(&self) -> anyhow::Result<()> {
        Err((0..1_000).fold(anyhow::anyhow!("root"), anyhow::Error::context))
    }
}

#[tokio::test]
async fn error_texts_of_every_kind_are_kept_and_their_groups_bounded() -> Result<()> {
    let t = Harness::new().group::<Strange>().start().await?;
    for (job, message) in
        [("strange.empty", ""), ("strange.lines", "one\ntwo\u{0}\u{1b}[31mthree"), ("strange.deep", "999")]
    {
        t.run(job).await?;
        assert_eq!(t.dead(job).await[0].attempts[0].message, message, "{job}");
    }
    let report = t.run(Strange::MANY_ERRORS).await?;
    assert_eq!(report.errors.len(), 33, "the messages that are told apart, and the others");
    assert!(report.errors[..32].iter().all(|group| group.count == 1), "{:?}", report.errors);
    assert_eq!(report.errors.iter().map(|group| group.count).sum::<u64>(), 500);
    assert_eq!(t.dead(Strange::MANY_ERRORS).await.len(), 500);
    assert_eq!(t.run(Strange::STREAM).await?.errors[0].message, "at once");
    Ok(())
}
