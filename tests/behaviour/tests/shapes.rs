//! Every shape of query and handler that DESIGN §5 allows, through the real loops.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    collections::{BTreeSet, VecDeque},
    error::Error,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
};

use behaviour::{Log, at, stream};
use futures_core::Stream;
use jobs_runner::{FailureKind, RunState, Trigger, prelude::*, testing::Harness};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Order {
    id: u32,
}

fn orders(ids: std::ops::RangeInclusive<u32>) -> Vec<Order> {
    ids.map(|id| Order { id }).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("the shop is closed")]
struct Closed;

#[derive(Debug, thiserror::Error)]
#[error("no order was found")]
struct NotFound(#[source] Closed);

/// Every form of query; the handlers note what they get.
#[derive(Default)]
struct Queries {
    log: Log<u32>,
}

// One at a time, so that the order is the query's.
#[cron_group("queries", global_concurrency = 1)]
impl Queries {
    #[query("vec")]
    async fn q_vec(&self) -> Vec<Order> {
        orders(1..=3)
    }
    #[job("vec")]
    async fn vec(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("result-vec")]
    async fn q_result_vec(&self) -> Result<Vec<Order>, Closed> {
        Ok(orders(1..=3))
    }
    #[job("result-vec")]
    async fn result_vec(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("deque")]
    async fn q_deque(&self, cx: &JobContext) -> VecDeque<Order> {
        assert_eq!(cx.job(), "queries.deque");
        orders(1..=3).into()
    }
    #[job("deque")]
    async fn deque(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("set")]
    async fn q_set(&self) -> anyhow::Result<BTreeSet<Order>> {
        Ok(orders(1..=3).into_iter().rev().collect())
    }
    #[job("set")]
    async fn set(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("array")]
    async fn q_array(&self) -> [Order; 3] {
        [1, 2, 3].map(|id| Order { id })
    }
    #[job("array")]
    async fn array(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("iterator")]
    async fn q_iterator(&self) -> impl Iterator<Item = Order> {
        orders(1..=3).into_iter()
    }
    #[job("iterator")]
    async fn iterator(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("iterator-of-results")]
    async fn q_iterator_of_results(&self) -> Result<impl Iterator<Item = Result<Order, Closed>>, Closed> {
        Ok(orders(1..=3).into_iter().map(Ok))
    }
    #[job("iterator-of-results")]
    async fn iterator_of_results(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("boxed-iterator")]
    fn q_boxed_iterator(&self) -> Box<dyn Iterator<Item = Order> + Send + '_> {
        Box::new(orders(1..=3).into_iter())
    }
    #[job("boxed-iterator")]
    async fn boxed_iterator(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("stream")]
    fn q_stream(&self) -> impl Stream<Item = Order> {
        stream(orders(1..=3))
    }
    #[job("stream")]
    async fn stream(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("stream-of-results")]
    async fn q_stream_of_results(&self) -> Result<impl Stream<Item = Result<Order, Closed>> + use<>, Closed> {
        Ok(stream(orders(1..=3).into_iter().map(Ok)))
    }
    #[job("stream-of-results")]
    async fn stream_of_results(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("boxed-stream")]
    fn q_boxed_stream(&self) -> Pin<Box<dyn Stream<Item = Order> + Send + '_>> {
        Box::pin(stream(orders(1..=3)))
    }
    #[job("boxed-stream")]
    async fn boxed_stream(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("batches")]
    fn q_batches(&self) -> impl Stream<Item = Vec<Order>> {
        stream([orders(1..=2), vec![], orders(3..=3)])
    }
    #[job("batches")]
    async fn batches(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("batches-of-results")]
    fn q_batches_of_results(&self) -> impl Stream<Item = Result<Vec<Order>, Closed>> {
        stream([Ok(orders(1..=2)), Ok(orders(3..=3))])
    }
    #[job("batches-of-results")]
    async fn batches_of_results(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("blocking")]
    fn q_blocking(&self) -> Result<Vec<Order>, std::io::Error> {
        Ok(orders(1..=3))
    }
    #[job("blocking")]
    fn blocking(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("blocking-iterator")]
    fn q_blocking_iterator(&self, _cx: &JobContext) -> impl Iterator<Item = Order> {
        orders(1..=3).into_iter()
    }
    #[job("blocking-iterator")]
    fn blocking_iterator(&self, order: Order) {
        self.log.note(order.id);
    }

    // Two items, an empty page that is not the last, one item.
    #[query("page")]
    async fn q_page(&self, after: Option<u32>) -> Result<Page<Order, u32>> {
        Ok(match after {
            None => Page::new(orders(1..=2), Some(10)),
            Some(10) => Page::new(vec![], Some(20)),
            Some(_) => Page::last(orders(3..=3)),
        })
    }
    #[job("page")]
    async fn page(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("blocking-page")]
    fn q_blocking_page(&self, after: Option<(u32, String)>) -> Result<Page<Order, (u32, String)>, Closed> {
        Ok(match after {
            None => Page::new(orders(1..=2), Some((2, "two".into()))),
            Some((2, two)) if two == "two" => Page::last(orders(3..=3)),
            Some(_) => return Err(Closed),
        })
    }
    #[job("blocking-page")]
    async fn blocking_page(&self, order: Order) {
        self.log.note(order.id);
    }

    #[query("page-with-context")]
    async fn q_page_with_context(&self, cx: &JobContext, after: Option<u32>) -> Result<Page<Order, u32>> {
        assert_eq!(cx.attempt(), 1);
        Ok(if after.is_none() { Page::new(orders(1..=3), Some(3)) } else { Page::last(vec![]) })
    }
    #[job("page-with-context")]
    async fn page_with_context(&self, order: Order) {
        self.log.note(order.id);
    }
}

#[tokio::test]
async fn every_form_of_query_hands_its_items_over_in_order() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Queries { log: log.clone() }).start().await?;
    let jobs = t.client().jobs().await?;
    assert_eq!(jobs.len(), 18, "{jobs:#?}");
    for job in jobs {
        let report = t.run(&job.id).await?;
        assert_eq!(log.take(), [1, 2, 3], "{}", job.id);
        assert_eq!((report.counts.total, report.counts.ok), (3, 3), "{}", job.id);
        assert_eq!(report.ok()?.trigger, Trigger::Manual, "{}", job.id);
    }
    Ok(())
}

/// Items of every kind, and the context in every position.
#[derive(Default)]
struct Items {
    log: Log<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Letter {
    Post { to: String },
    Mail(Address),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Address {
    user: String,
    host: Option<String>,
}

#[cron_group("items", global_concurrency = 1)]
impl Items {
    #[query("tuple")]
    async fn q_tuple(&self) -> Vec<(u32, String)> {
        vec![(1, "a".into()), (2, "ü \"quoted\" \u{1F600}\n".into())]
    }
    #[job("tuple")]
    async fn tuple(&self, (number, text): (u32, String)) {
        self.log.note(format!("{number} {text}"));
    }

    #[query("vec")]
    async fn q_vec(&self) -> Vec<Vec<u8>> {
        vec![vec![], vec![1, 2]]
    }
    #[job("vec")]
    async fn vec(&self, bytes: Vec<u8>, cx: &JobContext) {
        self.log.note(format!("{bytes:?} {}", cx.job()));
    }

    // Where the job takes a `Vec`, a stream of `Vec` is a stream of items.
    #[query("stream-of-vec")]
    fn q_stream_of_vec(&self) -> impl Stream<Item = Vec<u8>> {
        stream([vec![1], vec![2, 3]])
    }
    #[job("stream-of-vec")]
    async fn stream_of_vec(&self, cx: &JobContext, bytes: Vec<u8>) {
        self.log.note(format!("{bytes:?} {}", cx.item_id().n()));
    }

    #[query("option")]
    async fn q_option(&self) -> Vec<Option<u32>> {
        vec![Some(1), None, Some(3)]
    }
    #[job("option")]
    async fn option(&self, item: Option<u32>) {
        self.log.note(format!("{item:?}"));
    }

    #[query("unit")]
    async fn q_unit(&self) -> Vec<()> {
        vec![(); 2]
    }
    #[job("unit")]
    async fn unit(&self, item: ()) {
        self.log.note(format!("{item:?}"));
    }

    #[query("enum")]
    async fn q_enum(&self) -> Vec<Letter> {
        vec![Letter::Post { to: "Rome".into() }, Letter::Mail(Address { user: "ann".into(), host: None })]
    }
    #[job("enum")]
    async fn letter(&self, letter: Letter) {
        self.log.note(format!("{letter:?}"));
    }

    #[query("pattern")]
    async fn q_pattern(&self) -> Vec<Address> {
        vec![Address { user: "ann".into(), host: Some("example.com".into()) }]
    }
    #[job("pattern")]
    async fn pattern(&self, Address { user, host }: Address) {
        self.log.note(format!("{user} {host:?}"));
    }

    #[query("limits")]
    async fn q_limits(&self) -> Vec<(i64, u64, f64)> {
        vec![(i64::MIN, u64::MAX, 0.1 + 0.2)]
    }
    #[job("limits")]
    async fn limits(&self, item: (i64, u64, f64)) {
        self.log.note(format!("{item:?}"));
    }

    #[job("none")]
    async fn none(&self) {
        self.log.note("none".into());
    }

    #[job("none-with-context")]
    fn none_with_context(&self, cx: &JobContext) {
        self.log.note(format!("{} {} {:?}", cx.group(), cx.node(), cx.tick()));
    }
}

#[tokio::test]
async fn items_of_every_kind_arrive_as_they_were_found() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Items { log: log.clone() }).start().await?;
    let expected: [(&str, &[&str]); 10] = [
        ("items.tuple", &["1 a", "2 ü \"quoted\" \u{1F600}\n"]),
        ("items.vec", &["[] items.vec", "[1, 2] items.vec"]),
        ("items.stream-of-vec", &["[1] 0", "[2, 3] 1"]),
        ("items.option", &["Some(1)", "None", "Some(3)"]),
        ("items.unit", &["()", "()"]),
        ("items.enum", &["Post { to: \"Rome\" }", "Mail(Address { user: \"ann\", host: None })"]),
        ("items.pattern", &["ann Some(\"example.com\")"]),
        ("items.limits", &["(-9223372036854775808, 18446744073709551615, 0.30000000000000004)"]),
        ("items.none", &["none"]),
        ("items.none-with-context", &["items a None"]),
    ];
    for (job, lines) in expected {
        t.run(job).await?.ok()?;
        assert_eq!(log.take(), lines, "{job}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_without_item_and_query_is_a_run_of_one_item() -> Result<()> {
    let t = Harness::new().group::<Items>().start().await?;
    let report = t.run(Items::NONE).await?;
    assert_eq!((report.state, report.counts.total, report.counts.ok), (RunState::Succeeded, 1, 1));
    Ok(())
}

/// Everything that a handler may return.
#[derive(Default)]
struct Returns;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Transparent(#[from] NotFound);

#[cron_group("returns")]
impl Returns {
    #[job("nothing")]
    async fn nothing(&self) {}
    #[job("outcome")]
    async fn outcome(&self) -> Outcome {
        Outcome::Done
    }
    #[job("result")]
    async fn result(&self) -> Result<(), Closed> {
        Ok(())
    }
    #[job("result-outcome")]
    async fn result_outcome(&self) -> Result<Outcome> {
        Ok(Outcome::Done)
    }
    #[job("value")]
    async fn value(&self) -> Result<Order, Closed> {
        Ok(Order { id: 1 })
    }
    #[job("blocking-nothing")]
    fn blocking_nothing(&self) {}
    #[job("blocking-value")]
    fn blocking_value(&self) -> Result<Vec<Order>, String> {
        Ok(orders(1..=2))
    }

    #[job("discard")]
    async fn discard(&self) -> Outcome {
        Outcome::Discard("not today".into())
    }
    #[job("result-discard")]
    async fn result_discard(&self) -> Result<Outcome, Closed> {
        Ok(Outcome::Discard("not today".into()))
    }
    #[job("blocking-discard")]
    fn blocking_discard(&self) -> Outcome {
        Outcome::Discard("not today".into())
    }

    #[job("thiserror")]
    async fn thiserror(&self) -> Result<(), NotFound> {
        Err(NotFound(Closed))
    }
    #[job("transparent")]
    async fn transparent(&self) -> Result<(), Transparent> {
        Err(NotFound(Closed).into())
    }
    #[job("box-error")]
    async fn box_error(&self) -> Result<()> {
        Err(NotFound(Closed).into())
    }
    #[job("box-dyn-error")]
    async fn box_dyn_error(&self) -> Result<(), Box<dyn Error>> {
        Err(NotFound(Closed).into())
    }
    #[job("anyhow")]
    async fn anyhow(&self) -> anyhow::Result<()> {
        Err(anyhow::Error::from(Closed).context("no order was found"))
    }
    #[job("string")]
    async fn string(&self) -> Result<(), String> {
        Err("no order was found".into())
    }
    #[job("value-error")]
    async fn value_error(&self) -> Result<Order, Box<dyn Error>> {
        Err(NotFound(Closed).into())
    }
    #[job("blocking-string")]
    fn blocking_string(&self) -> Result<Outcome, String> {
        Err("no order was found".into())
    }
}

#[tokio::test]
async fn every_return_type_says_done() -> Result<()> {
    let t = Harness::new().group::<Returns>().start().await?;
    for name in
        ["nothing", "outcome", "result", "result-outcome", "value", "blocking-nothing", "blocking-value"]
    {
        let report = t.run(format!("returns.{name}")).await?;
        assert_eq!((report.state, report.counts.ok), (RunState::Succeeded, 1), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn every_return_type_says_discard() -> Result<()> {
    let t = Harness::new().group::<Returns>().start().await?;
    for name in ["discard", "result-discard", "blocking-discard"] {
        let report = t.run(format!("returns.{name}")).await?;
        assert_eq!((report.state, report.counts.discarded), (RunState::Succeeded, 1), "{name}");
        assert_eq!((report.counts.ok, report.counts.dead), (0, 0), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn every_error_type_says_what_went_wrong_and_why() -> Result<()> {
    let t = Harness::new().group::<Returns>().start().await?;
    let with_cause = ["thiserror", "transparent", "box-error", "box-dyn-error", "anyhow", "value-error"]
        .map(|n| (n, true));
    for (name, cause) in with_cause.into_iter().chain([("string", false), ("blocking-string", false)]) {
        let job = format!("returns.{name}");
        let report = t.run(&job).await?;
        assert_eq!((report.state, report.counts.dead), (RunState::Failed, 1), "{name}");
        let dead = t.dead(&job).await;
        let [failure] = &dead[0].attempts[..] else { panic!("{name}: {dead:#?}") };
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Error, "no order was found"), "{name}");
        let chain: &[&str] = if cause { &["the shop is closed"] } else { &[] };
        assert_eq!(failure.chain, chain, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn handlers_stay_plain_methods() {
    let log = Log::default();
    let items = Items { log: log.clone() };
    items.tuple((7, "seven".into())).await;
    items.none_with_context(&JobContext::test().with_tick(at("2026-01-01T00:00:00Z")));
    assert_eq!(log.all(), ["7 seven", "test test Some(2026-01-01T00:00:00Z)"]);
    assert!(Returns.box_error().await.is_err());
    assert_eq!(Queries::default().q_vec().await, orders(1..=3));
}

/// What the context says in a run on schedule.
#[derive(Default)]
struct Contexts {
    log: Log<String>,
}

#[cron_group("contexts")]
impl Contexts {
    #[query("look")]
    async fn find(&self, cx: &JobContext) -> Vec<u32> {
        self.log.note(format!("query {:?} {:?} attempt {}", cx.trigger(), cx.tick(), cx.attempt()));
        vec![5]
    }
    #[job("look", "0 * * * *", retries = 2, timeout = "30s")]
    async fn look(&self, cx: &JobContext, _item: u32) {
        let bound = cx.deadline().unwrap().duration_since(cx.started_at());
        self.log.note(format!(
            "{} of {} in {} {:?} {:?} attempt {} of {} redelivered {} on {} within {}s cancelled {} ending {}",
            cx.job(),
            cx.group(),
            u8::from(cx.run_id().is_some()),
            cx.trigger(),
            cx.tick(),
            cx.attempt(),
            cx.max_attempts(),
            cx.redelivered(),
            cx.node(),
            bound.as_secs(),
            cx.is_cancelled(),
            cx.is_shutting_down(),
        ));
        assert!(cx.enqueued_at() <= cx.started_at() && cx.token() > 0);
    }
}

#[tokio::test]
async fn the_context_knows_the_run() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Contexts { log: log.clone() }).start().await?;
    t.advance_to_next(Contexts::LOOK).await;
    assert_eq!(
        log.all(),
        [
            "query Schedule Some(2026-01-01T01:00:00Z) attempt 1",
            "contexts.look of contexts in 1 Schedule Some(2026-01-01T01:00:00Z) attempt 1 of 3 redelivered 0 \
             on a within 30s cancelled false ending false",
        ]
    );
    Ok(())
}

/// Several blocks of one group, with concrete parameters.
struct Mailer<T>(Log<String>, T);

#[cron_group("mailer")]
impl Mailer<u8> {
    #[job("one")]
    async fn one(&self) {
        self.0.note(format!("one {}", self.1));
    }
}

#[cron_group("mailer")]
impl Mailer<u8> {
    #[job("two", handle = SECOND_JOB)]
    async fn two(&self) {
        self.0.note(format!("two {}", self.1));
    }
}

#[tokio::test]
async fn several_blocks_of_one_type_share_the_instance() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(std::sync::Arc::new(Mailer(log.clone(), 7_u8))).start().await?;
    t.run(Mailer::<u8>::ONE).await?.ok()?;
    t.run(Mailer::<u8>::SECOND_JOB).await?.ok()?;
    t.run("mailer.two").await?.ok()?;
    assert_eq!(log.all(), ["one 7", "two 7", "two 7"]);
    Ok(())
}

/// Made by its `Default`, and declared in two blocks.
#[derive(Default)]
struct Tally(AtomicU32);

#[cron_group("tally")]
impl Tally {
    #[job("add")]
    async fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cron_group("tally")]
impl Tally {
    #[job("check")]
    async fn check(&self) -> Result<(), String> {
        let n = self.0.load(Ordering::Relaxed);
        if n == 1 { Ok(()) } else { Err(format!("{n}")) }
    }
}

#[tokio::test]
async fn several_blocks_of_one_type_share_the_instance_that_default_makes() -> Result<()> {
    let t = Harness::new().group::<Tally>().start().await?;
    t.run(Tally::ADD).await?.ok()?;
    t.run(Tally::CHECK).await?.ok()?;
    Ok(())
}
