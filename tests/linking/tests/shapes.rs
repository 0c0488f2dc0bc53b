//! Every shape of handler and query, called as the runner calls it.
// By value is how an item is taken, and `self: &Self` is one of the shapes.
#![allow(clippy::needless_arbitrary_self_type, clippy::needless_pass_by_value)]
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test may panic.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    error::Error,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_core::Stream;
use jobs_core::{
    Body, BoxError, BoxFuture, Delivery, Failure, FailureKind, ItemId, Trigger,
    descriptor::{AnyGroup, BlockingDrain, FoundPage, GroupBlock, Handler, JobDef, Query, Sink},
};
use jobs_runner::prelude::{
    JobContext, Outcome, Page, Result as AnyResult, Timestamp, cron_group, daily, fatal, job, query,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Order {
    id: u32,
}

fn orders() -> Vec<Order> {
    (1..=3).map(|id| Order { id }).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("the shop is closed")]
struct Closed;

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] Closed);

#[derive(Debug, Serialize)]
struct Receipt {
    paid: u32,
}

type Cx = JobContext;
type Nothing = Result<(), Closed>;

const THREE: u32 = 3;
const DAY: Duration = Duration::from_secs(86_400);

/// Holds what its jobs need, as any struct does: no `Default`.
struct Shop {
    orders: Vec<Order>,
    log: Mutex<Vec<u32>>,
    calls: AtomicUsize,
}

#[cron_group("queries")]
impl Shop {
    const RETRIES: u32 = 7;

    fn new() -> Self {
        Self { orders: orders(), log: Mutex::default(), calls: AtomicUsize::new(0) }
    }

    #[query("result-vec")]
    async fn q_result_vec(&self) -> Result<Vec<Order>, Closed> {
        Ok(self.orders.clone())
    }
    #[job("result-vec", "*/10 * * * *", retries = 3, timeout = "30s", max_compute_time = "2h")]
    async fn result_vec(&self, order: Order) -> Result<(), Closed> {
        if order.id == 2 {
            return Err(Closed);
        }
        self.log.lock().unwrap().push(order.id);
        Ok(())
    }

    #[query("vec")]
    async fn q_vec(&self) -> Vec<Order> {
        self.orders.clone()
    }
    #[job("vec", "* * * * *", retries = THREE, timeout = DAY)]
    async fn vec(&self, _order: Order, cx: &JobContext) {
        assert_eq!(cx.job(), "test.job");
    }

    #[query("context-first")]
    async fn q_context_first(&self, cx: &Cx) -> Vec<Order> {
        assert_eq!(cx.attempt(), 1);
        self.orders.clone()
    }
    #[job("context-first", "* * * * *", retries = Self::RETRIES)]
    async fn context_first(&self, _cx: &Cx, _order: Order) -> anyhow::Result<()> {
        anyhow::bail!("no")
    }

    // Borrows from `self` over the await: edition 2024 captures it.
    #[query("iter")]
    async fn q_iter(&self) -> impl Iterator<Item = Order> {
        self.orders.iter().cloned()
    }
    #[job("iter", "* * * * *")]
    async fn iter(&self, order: Order) -> Result<(), String> {
        Err(format!("order {}", order.id))
    }

    #[query("stream")]
    fn q_stream(&self) -> impl Stream<Item = Order> {
        tokio_stream::iter(self.orders.iter().cloned())
    }
    #[job("stream", "* * * * *")]
    async fn stream(&self, order: Order) -> Result<(), Box<dyn Error>> {
        if order.id == 1 { Err(Outer(Closed).into()) } else { Ok(()) }
    }

    #[query("batches")]
    fn q_batches(&self, _cx: &JobContext) -> impl Stream<Item = Result<Vec<Order>, Closed>> {
        async_stream::try_stream! {
            for batch in self.orders.chunks(2) {
                tokio::task::yield_now().await;
                yield batch.to_vec();
            }
        }
    }
    #[job("batches", "* * * * *")]
    async fn batches(&self, order: Order) -> AnyResult<Outcome> {
        Ok(if order.id == 1 { Outcome::Discard("first".into()) } else { Outcome::Done })
    }

    // Fails half way, opened by an `async fn` that may fail too.
    #[query("half")]
    async fn q_half(&self) -> Result<impl Stream<Item = Result<Order, Closed>> + use<>, anyhow::Error> {
        Ok(tokio_stream::iter((0..1_500).map(|id| if id < 1_400 { Ok(Order { id }) } else { Err(Closed) })))
    }
    #[job("half", "* * * * *")]
    async fn half(&self, _order: Order) {}

    // The job takes a `Vec`: a stream of `Vec<Order>` is then a stream of items.
    #[query("vectors")]
    fn q_vectors(&self) -> impl Stream<Item = Vec<Order>> {
        tokio_stream::iter([orders(), orders()])
    }
    #[job("vectors", "* * * * *")]
    async fn vectors(&self, orders: Vec<Order>) {
        assert_eq!(orders.len(), 3);
    }

    #[query("blocking")]
    fn q_blocking(&self) -> Result<Vec<Order>, std::io::Error> {
        Ok(self.orders.clone())
    }
    #[job("blocking", "* * * * *")]
    fn blocking(&self, order: Order, _cx: &JobContext) -> Result<(), String> {
        if order.id == 3 { Err("three".into()) } else { Ok(()) }
    }

    #[query("boxed")]
    fn q_boxed(&self) -> Pin<Box<dyn Stream<Item = (u32, String)> + Send + '_>> {
        Box::pin(tokio_stream::iter([(1, "a".to_owned())]))
    }
    #[job("boxed", "* * * * *")]
    async fn boxed(&self, (number, text): (u32, String)) {
        assert_eq!((number, &*text), (1, "a"));
    }

    #[query("boxed-iter")]
    fn q_boxed_iter(&self) -> Box<dyn Iterator<Item = String> + Send + '_> {
        Box::new(self.orders.iter().map(|order| order.id.to_string()))
    }
    #[job("boxed-iter")]
    async fn boxed_iter(&self, text: String) {
        assert_eq!(text.len(), 1);
    }

    #[query("blocking-iter")]
    fn q_blocking_iter(&self) -> impl Iterator<Item = anyhow::Result<Order>> {
        self.orders.iter().cloned().map(Ok)
    }
    #[job("blocking-iter", "* * * * *")]
    async fn blocking_iter(&self, Order { id }: Order) {
        assert_ne!(id, 0);
    }

    #[query("deque")]
    async fn q_deque(&self) -> VecDeque<Order> {
        orders().into()
    }
    #[job("deque")]
    async fn deque(&self, _order: Order) {}

    #[query("array")]
    fn q_array(&self) -> Result<[Order; 1], Box<dyn Error>> {
        Ok([Order { id: 9 }])
    }
    #[job("array")]
    async fn array(&self, _order: Order) {}

    #[query("sets")]
    async fn q_sets(&self) -> Result<BTreeSet<Order>, String> {
        Ok(orders().into_iter().collect())
    }
    #[job("sets")]
    async fn sets(&self, _order: Order) {}

    #[query("hash-set")]
    async fn q_hash_set(&self) -> HashSet<Order> {
        HashSet::from([Order { id: 1 }])
    }
    #[job("hash-set")]
    async fn hash_set(&self, _order: Order) {}

    #[query("dyn-error")]
    async fn q_dyn_error(&self) -> Result<Vec<Order>, Box<dyn Error>> {
        Err(Outer(Closed).into())
    }
    #[job("dyn-error")]
    async fn dyn_error(&self, _order: Order) {}

    #[query("unspeakable")]
    async fn q_unspeakable(&self) -> Vec<std::collections::HashMap<(u8, u8), u8>> {
        vec![[((1, 2), 3)].into()]
    }
    #[job("unspeakable")]
    async fn unspeakable(&self, _map: std::collections::HashMap<(u8, u8), u8>) {}

    #[query("many")]
    fn q_many(&self) -> impl Iterator<Item = Vec<u32>> {
        [(0..2_500).collect(), Vec::new(), vec![7]].into_iter()
    }
    #[job("many")]
    async fn many(&self, _number: u32) {}

    #[query("none")]
    async fn q_none(&self) -> Vec<Order> {
        Vec::new()
    }
    #[job("none")]
    async fn none(&self, _order: Order) {}

    #[query("pages")]
    async fn q_pages(&self, after: Option<usize>) -> AnyResult<Page<Order, usize>> {
        let from = after.unwrap_or(0);
        let items: Vec<_> = self.orders.iter().skip(from).take(2).cloned().collect();
        Ok(if items.len() < 2 { Page::last(items) } else { Page::new(items, Some(from + 2)) })
    }
    #[job("pages", "* * * * *")]
    async fn pages(&self, _order: Order) {}

    #[query("blocking-pages")]
    fn q_blocking_pages(&self, cx: &JobContext, after: Option<(u32, String)>) -> Page<Order, (u32, String)> {
        assert_eq!(cx.attempt(), 1);
        match after {
            None => Page::new(orders(), Some((3, "x".into()))),
            Some((3, _)) => Page::new(Vec::new(), Some((4, "y".into()))),
            Some(_) => Page::last(Vec::new()),
        }
    }
    #[job("blocking-pages", "* * * * *")]
    async fn blocking_pages(&self, _order: Order) {}

    #[query("page-error")]
    async fn q_page_error(&self, _after: Option<u8>) -> Result<Page<Order, u8>, Box<dyn Error>> {
        Err(Outer(Closed).into())
    }
    #[job("page-error")]
    async fn page_error(&self, _order: Order) {}

    // No attribute, no job.
    fn count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Handlers;

#[cron_group("handlers")]
impl Handlers {
    #[daily("unit", retries = 1)]
    async fn unit(&self) {}
    #[job("outcome")]
    async fn outcome(&self) -> Outcome {
        Outcome::Snooze(Duration::from_secs(1))
    }
    #[job("alias")]
    async fn alias(&self) -> Nothing {
        Err(Closed)
    }
    #[job("retry-in")]
    fn retry_in(&self) -> Result<Outcome, String> {
        Ok(Outcome::RetryIn(Duration::from_secs(2)))
    }
    #[job("value")]
    async fn value(&self, paid: u32) -> Result<Receipt, Closed> {
        Ok(Receipt { paid })
    }
    #[job("impl-value")]
    async fn impl_value(&self) -> Result<impl Serialize + use<>, String> {
        Ok([1, 2])
    }
    #[job("unspeakable")]
    async fn unspeakable(&self) -> Result<std::collections::HashMap<(u8, u8), u8>, Closed> {
        Ok([((1, 2), 3)].into())
    }
    #[job("dyn")]
    async fn dynamic(&self) -> Result<u32, Box<dyn Error>> {
        Err(Box::new(Outer(Closed)))
    }
    #[job("dyn-blocking")]
    fn dynamic_blocking(&self, _cx: &JobContext) -> Result<(), Box<dyn Error>> {
        Err("dirty".into())
    }
    #[job("dyn-fatal")]
    async fn dynamic_fatal(&self) -> Result<(), Box<dyn Error>> {
        Err(fatal(Outer(Closed)).into())
    }
    #[job("anyhow-fatal")]
    async fn anyhow_fatal(&self) -> anyhow::Result<()> {
        Err(anyhow::Error::from(fatal("no such user")).context("sending"))
    }
    #[job("lifetimes")]
    async fn lifetimes<'a>(self: &'a Self, cx: &'a JobContext, text: String) -> Result<(), String> {
        Err(format!("{text} {}", cx.attempt()))
    }
    #[job("me")]
    async fn of_self(&self, _me: Vec<<Self as Speaks>::Word>) {}
    #[job("gone")]
    #[cfg(any())]
    async fn gone(&self, _item: NotEvenAType) {}
    #[job("raw")]
    async fn r#type(&self) {}
}

trait Speaks {
    type Word;
}

impl Speaks for Handlers {
    type Word = String;
}

/// A store in memory.
#[derive(Default)]
struct Collected(Vec<Body>);

impl Sink for Collected {
    fn push(&mut self, body: Body) -> BoxFuture<'_, Result<(), BoxError>> {
        self.0.push(body);
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(())
        })
    }

    fn push_blocking(&mut self, drain: BlockingDrain) -> BoxFuture<'_, Result<(), BoxError>> {
        let drained = drain(&mut |body| {
            self.0.push(body);
            Ok(())
        });
        Box::pin(async { drained })
    }
}

fn find(group: &str, job: &str) -> &'static JobDef {
    let mut jobs =
        GroupBlock::linked().into_iter().filter(|block| block.name == group).flat_map(|block| block.jobs);
    jobs.find(|def| def.name == job).unwrap_or_else(|| panic!("{group}.{job} is not linked"))
}

fn shop() -> AnyGroup {
    Arc::new(Shop::new())
}

/// What the query of a job finds, body by body; an error keeps what came before it.
async fn query_of(job: &str) -> (Vec<Body>, Result<(), BoxError>) {
    let mut found = Collected::default();
    let ended = match find("queries", job).query.unwrap() {
        Query::Items(query) => query(&shop(), &JobContext::test(), &mut found).await,
        Query::Page(_) | Query::BlockingPage(_) => panic!("`{job}` is paged"),
    };
    (found.0, ended)
}

async fn items_of(job: &str) -> Vec<serde_json::Value> {
    let (bodies, ended) = query_of(job).await;
    ended.unwrap();
    bodies.iter().flat_map(Body::items).map(|item| serde_json::from_slice(item).unwrap()).collect()
}

async fn page_of(job: &str, cursor: Option<&str>) -> Result<FoundPage, BoxError> {
    let cursor = cursor.map(|cursor| cursor.as_bytes().to_vec());
    match find("queries", job).query.unwrap() {
        Query::Page(query) => query(shop(), JobContext::test(), cursor).await,
        Query::BlockingPage(query) => query(shop(), JobContext::test(), cursor),
        Query::Items(_) => panic!("`{job}` is not paged"),
    }
}

/// How an attempt ends, in short.
async fn attempt(instance: &AnyGroup, def: &JobDef, item: &[u8], cx: JobContext) -> String {
    let finished = match def.handler {
        Handler::Async(call) => match call(instance, &cx, item) {
            Ok(future) => future.await,
            Err(error) => return error.to_string(),
        },
        Handler::Blocking(call) => match call(instance, cx, item) {
            Ok(call) => call(),
            Err(error) => return error.to_string(),
        },
    };
    match finished {
        Ok(finish) => match finish.value {
            Some(value) => format!("{:?} {value}", finish.outcome),
            None => format!("{:?}", finish.outcome),
        },
        Err(error) => {
            let Failure { kind, message, chain, .. } = Failure::from_error(&*error, Timestamp::UNIX_EPOCH);
            let fatal = if kind == FailureKind::Fatal { "fatal " } else { "" };
            [format!("{fatal}{message}")].into_iter().chain(chain).collect::<Vec<_>>().join(": ")
        }
    }
}

/// Runs the job's query, and its handler with each item.
async fn run(job: &str) -> Vec<String> {
    let (instance, def) = (shop(), find("queries", job));
    let mut ends = Vec::new();
    for item in items_of(job).await {
        let item = serde_json::to_vec(&item).unwrap();
        ends.push(attempt(&instance, def, &item, JobContext::test()).await);
    }
    ends
}

/// The context of an item that was enqueued by itself.
fn tracked() -> JobContext {
    let delivery = Delivery {
        job: "test.job".into(),
        run: None,
        trigger: Trigger::Enqueued,
        tick: None,
        attempt: 1,
        max_attempts: 1,
        redelivered: 0,
        enqueued_at: Timestamp::UNIX_EPOCH,
        token: 1,
        node: "test".into(),
        shutting_down: Arc::default(),
    };
    JobContext::new(Arc::new(delivery), ItemId::new(1, 0), Timestamp::UNIX_EPOCH, None)
}

async fn call(job: &str, item: &str, cx: JobContext) -> String {
    let instance: AnyGroup = Arc::new(Handlers);
    attempt(&instance, find("handlers", job), item.as_bytes(), cx).await
}

#[tokio::test]
async fn methods_are_plain_methods() {
    let shop = Shop::new();
    for order in shop.q_result_vec().await.unwrap() {
        let _ = shop.result_vec(order).await;
    }
    assert_eq!(*shop.log.lock().unwrap(), [1, 3]);
    assert_eq!(shop.count(), 0);
    shop.vec(Order { id: 1 }, &JobContext::test()).await;
}

#[tokio::test]
async fn every_shape_of_a_query_feeds_its_handler() {
    let done = || "Done".to_owned();
    assert_eq!(run("result-vec").await, [&done(), "the shop is closed", &done()]);
    assert_eq!(run("vec").await, vec![done(); 3]);
    assert_eq!(run("context-first").await, vec!["no"; 3]);
    assert_eq!(run("iter").await, ["order 1", "order 2", "order 3"]);
    assert_eq!(run("stream").await, ["outer: the shop is closed", &done(), &done()]);
    assert_eq!(run("batches").await, ["Discard(\"first\")", &done(), &done()]);
    assert_eq!(run("vectors").await, vec![done(); 2]);
    assert_eq!(run("blocking").await, [&done(), &done(), "three"]);
    assert_eq!(run("boxed").await, [done()]);
    assert_eq!(run("boxed-iter").await, vec![done(); 3]);
    assert_eq!(run("blocking-iter").await, vec![done(); 3]);
    assert_eq!(run("deque").await, vec![done(); 3]);
    assert_eq!(run("array").await, [done()]);
    assert_eq!(run("sets").await, vec![done(); 3]);
    assert_eq!(run("hash-set").await, [done()]);
    assert_eq!(run("none").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_found_is_cut_into_bodies_and_keeps_its_order() {
    let (bodies, ended) = query_of("many").await;
    ended.unwrap();
    assert_eq!(bodies.iter().map(Body::count).collect::<Vec<_>>(), [1_000, 1_000, 501]);
    let numbers = items_of("many").await;
    assert!((0..2_500).chain([7]).eq(numbers.iter().map(|number| number.as_u64().unwrap())));
}

#[tokio::test]
async fn a_query_that_fails_half_way_says_so_after_what_it_found() {
    let (bodies, ended) = query_of("half").await;
    assert_eq!(bodies.iter().map(Body::count).collect::<Vec<_>>(), [1_000]);
    assert_eq!(ended.unwrap_err().to_string(), "the shop is closed");
}

#[tokio::test]
async fn an_error_that_is_not_send_keeps_its_text_and_its_sources() {
    let error = query_of("dyn-error").await.1.unwrap_err();
    assert_eq!(
        (error.to_string(), error.source().unwrap().to_string()),
        ("outer".into(), Closed.to_string())
    );
    let error = page_of("page-error", None).await.unwrap_err();
    assert_eq!(
        (error.to_string(), error.source().unwrap().to_string()),
        ("outer".into(), Closed.to_string())
    );
}

#[tokio::test]
async fn an_item_that_json_cannot_express_fails_the_query() {
    let error = query_of("unspeakable").await.1.unwrap_err().to_string();
    assert!(error.starts_with("an item that the query found cannot be written as JSON: "), "{error}");
}

#[tokio::test]
async fn a_page_comes_with_the_cursor_to_the_next() {
    let found = page_of("pages", None).await.unwrap();
    assert_eq!((found.bodies[0].count(), found.next.as_deref()), (2, Some(&b"2"[..])));
    let found = page_of("pages", Some("2")).await.unwrap();
    assert_eq!((found.bodies[0].count(), found.next), (1, None));

    let found = page_of("blocking-pages", None).await.unwrap();
    assert_eq!((found.bodies[0].count(), found.next.as_deref()), (3, Some(&br#"[3,"x"]"#[..])));
    let found = page_of("blocking-pages", Some(r#"[3,"x"]"#)).await.unwrap();
    assert_eq!((found.bodies.len(), found.next.as_deref()), (0, Some(&br#"[4,"y"]"#[..])));
    let found = page_of("blocking-pages", Some(r#"[4,"y"]"#)).await.unwrap();
    assert_eq!((found.bodies.len(), found.next), (0, None));
}

#[tokio::test]
async fn a_cursor_of_another_type_is_an_error_that_names_the_type() {
    let error = page_of("pages", Some("\"b\"")).await.unwrap_err().to_string();
    assert!(error.starts_with("the stored cursor of the query is not a `usize`: "), "{error}");
}

#[tokio::test]
async fn an_item_of_another_type_is_not_given_to_the_handler() {
    let (instance, def) = (shop(), find("queries", "vec"));
    let error = attempt(&instance, def, b"7", JobContext::test()).await;
    assert!(error.starts_with("the stored item is not a `shapes::Order`: "), "{error}");
}

#[tokio::test]
async fn every_shape_of_a_handler_says_how_it_ended() {
    let of = async |job: &str| call(job, "null", JobContext::test()).await;
    assert_eq!(of("unit").await, "Done");
    assert_eq!(of("outcome").await, "Snooze(1s)");
    assert_eq!(of("alias").await, "the shop is closed");
    assert_eq!(of("retry-in").await, "RetryIn(2s)");
    assert_eq!(of("dyn").await, "outer: the shop is closed");
    assert_eq!(of("dyn-blocking").await, "dirty");
    assert_eq!(of("dyn-fatal").await, "fatal outer: the shop is closed");
    assert_eq!(of("anyhow-fatal").await, "fatal sending: no such user");
    assert_eq!(of("raw").await, "Done");
    assert_eq!(call("lifetimes", "\"attempt\"", JobContext::test()).await, "attempt 1");
    assert_eq!(call("me", "[\"a\"]", JobContext::test()).await, "Done");
}

#[tokio::test]
async fn a_value_is_kept_for_a_tracked_item_alone() {
    assert_eq!(call("value", "5", JobContext::test()).await, "Done");
    assert_eq!(call("value", "5", tracked()).await, "Done {\"paid\":5}");
    assert_eq!(call("impl-value", "null", tracked()).await, "Done [1,2]");
    assert_eq!(call("unit", "null", tracked()).await, "Done");
    assert_eq!(call("lifetimes", "\"attempt\"", tracked()).await, "attempt 1");
    let error = call("unspeakable", "null", tracked()).await;
    assert!(error.starts_with("fatal the handler's result cannot be kept: "), "{error}");
}

#[test]
fn options_are_what_was_written() {
    let of = |job| find("queries", job).options;
    let options = of("result-vec");
    assert_eq!((options.schedule, options.retries), (Some("*/10 * * * *"), Some(3)));
    assert_eq!(options.timeout, Some(Duration::from_secs(30)));
    assert_eq!(options.max_compute_time, Some(Duration::from_secs(7_200)));
    assert_eq!((of("vec").retries, of("vec").timeout), (Some(THREE), Some(DAY)));
    assert_eq!((of("context-first").retries, of("deque").schedule), (Some(7), None));
    assert_eq!(find("handlers", "unit").options.schedule, Some("0 0 * * *"));
}

#[test]
fn a_constant_names_its_job_and_its_item() {
    fn item<T>(_: jobs_runner::Job<T>) -> &'static str {
        std::any::type_name::<T>()
    }
    assert_eq!((Shop::RESULT_VEC.id(), item(Shop::RESULT_VEC)), ("queries.result-vec", "shapes::Order"));
    assert_eq!((Handlers::TYPE.id(), item(Handlers::TYPE)), ("handlers.raw", "()"));
    assert_eq!(find("queries", "boxed").item.unwrap()(), item(Shop::BOXED));
    assert!(find("handlers", "unit").item.is_none());
}

#[test]
fn an_instance_is_made_where_the_type_has_a_default() {
    let default =
        |group: &str| GroupBlock::linked().into_iter().find(|block| block.name == group).unwrap().default;
    assert!(default("handlers").unwrap()().is::<Handlers>());
    assert!(default("queries").is_none());
}

#[test]
fn a_place_is_that_of_the_name() {
    let blocks = GroupBlock::linked();
    let block = blocks.iter().find(|block| block.name == "handlers").unwrap();
    let source = include_str!("shapes.rs");
    let line = |place: u32| source.lines().nth(place as usize - 1).unwrap();
    assert!(block.location.file.ends_with("tests/shapes.rs"), "{}", block.location);
    let text = &line(block.location.line)[block.location.column as usize - 1..];
    assert!(text.starts_with("\"handlers\""), "{text}");
    let place = find("handlers", "outcome").location;
    assert!(line(place.line)[place.column as usize - 1..].starts_with("\"outcome\""), "{place}");
}
