//! What becomes of an attempt: retries, waits, bounds, panics, dead items, reports (DESIGN §6, "Attempts and crashes").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use behaviour::{DAY, Gate, HOUR, Inside, Log, MILLI, MINUTE, SECOND, secs, stream};
use futures_core::Stream;
use jobs_runner::{DeadFilter, Event, FailureKind, MemoryStore, RunState, prelude::*, testing::Harness};

fn since(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap()
}

/// Fails always, and notes when.
#[derive(Default)]
struct Waits {
    starts: Log<(u32, Timestamp)>,
}

#[cron_group("waits", retries = 5, retry_delay = "10s")]
impl Waits {
    #[job("exponential")]
    async fn exponential(&self, cx: &JobContext) -> Result<(), String> {
        self.fail(cx)
    }
    #[job("linear", backoff = "linear")]
    async fn linear(&self, cx: &JobContext) -> Result<(), String> {
        self.fail(cx)
    }
    #[job("fixed", backoff = "fixed")]
    async fn fixed(&self, cx: &JobContext) -> Result<(), String> {
        self.fail(cx)
    }
    #[job("capped", max_retry_delay = "25s")]
    async fn capped(&self, cx: &JobContext) -> Result<(), String> {
        self.fail(cx)
    }

    #[query("many")]
    async fn q_many(&self) -> Vec<u32> {
        (0..40).collect()
    }
    #[job("many", backoff = "fixed", retries = 1)]
    async fn many(&self, _n: u32, cx: &JobContext) -> Result<(), String> {
        self.fail(cx)
    }
}

impl Waits {
    fn fail(&self, cx: &JobContext) -> Result<(), String> {
        self.starts.note((cx.attempt(), cx.started_at()));
        Err(format!("attempt {}", cx.attempt()))
    }
}

/// The waits before each retry of a job that always fails.
async fn waits(job: &str) -> Vec<Duration> {
    let starts = Log::default();
    let t = Harness::new().provide(Waits { starts: starts.clone() }).start().await.unwrap();
    let report = t.run(job).await.unwrap();
    assert_eq!((report.state, report.counts.retries, report.counts.dead), (RunState::Failed, 5, 1), "{job}");
    let starts = starts.all();
    assert_eq!(starts.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6], "{job}");
    starts.windows(2).map(|pair| since(pair[0].1, pair[1].1)).collect()
}

#[tokio::test]
async fn the_wait_before_a_retry_grows_as_backoff_says_and_jitter_adds_less_than_a_quarter() {
    for (job, seconds) in [
        ("waits.exponential", [10, 20, 40, 80, 160]),
        ("waits.linear", [10, 20, 30, 40, 50]),
        ("waits.fixed", [10, 10, 10, 10, 10]),
    ] {
        let waits = waits(job).await;
        for (wait, base) in waits.iter().zip(seconds.map(secs)) {
            let most = base.mul_f64(1.25) + MILLI;
            assert!((base..most).contains(wait), "{job}: {waits:?}");
        }
        assert_ne!(waits, seconds.map(secs), "{job}: there is jitter");
    }
}

#[tokio::test]
async fn the_wait_is_cut_at_max_retry_delay() {
    let waits = waits("waits.capped").await;
    assert_eq!(waits[2..], [secs(25); 3], "{waits:?}");
}

#[tokio::test]
async fn items_that_fail_together_are_not_tried_again_together() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Waits { starts: starts.clone() }).start().await?;
    t.run(Waits::MANY).await?;
    let again = starts.all().into_iter().filter(|(attempt, _)| *attempt == 2).map(|(_, at)| at);
    let distinct: std::collections::BTreeSet<_> = again.collect();
    assert!(distinct.len() > 20, "{} of 40", distinct.len());
    Ok(())
}

/// Fails always, without a word about retries.
#[derive(Default)]
struct Once(Log<u32>);

#[cron_group("once")]
impl Once {
    #[job("work")]
    async fn work(&self, cx: &JobContext) -> Result<()> {
        self.0.note(cx.attempt());
        Err("no".into())
    }
    #[job("three", retries = 3, retry_delay = "1s")]
    async fn three(&self, cx: &JobContext) -> Result<()> {
        self.0.note(cx.attempt());
        Err("no".into())
    }
}

#[tokio::test]
async fn retries_are_attempts_after_the_first_and_none_by_default() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Once(log.clone())).start().await?;
    for (job, attempts) in [("once.work", vec![1]), ("once.three", vec![1, 2, 3, 4])] {
        let report = t.run(job).await?;
        t.advance(DAY).await;
        assert_eq!((report.state, log.take()), (RunState::Failed, attempts), "{job}");
    }
    Ok(())
}

/// Fails until attempt 3.
#[derive(Default)]
struct Stubborn {
    starts: Log<(u32, Timestamp)>,
}

#[cron_group("stubborn")]
impl Stubborn {
    #[job("work", retries = 3, retry_delay = "10m", backoff = "fixed")]
    async fn work(&self, cx: &JobContext) -> Result<()> {
        self.starts.note((cx.attempt(), cx.started_at()));
        if cx.attempt() < 3 { Err("not yet".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_retry_keeps_its_attempt_and_its_time_over_a_crash() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Stubborn { starts: starts.clone() }).start().await?;
    let run = t.client().run(Stubborn::WORK).await?;
    t.advance(MINUTE).await;
    t.crash("a").await;
    t.advance(MINUTE).await;
    t.restart("a").await;
    t.advance(HOUR).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.retries), (RunState::Succeeded, 1, 2));
    let starts = starts.all();
    assert_eq!(starts.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let due: Vec<_> = t
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::AttemptFailed { failure, .. } => failure.retry_at,
            _ => None,
        })
        .collect();
    assert_eq!(starts[1..].iter().map(|(_, at)| *at).collect::<Vec<_>>(), due);
    Ok(())
}

#[tokio::test]
async fn a_retry_that_came_due_while_all_were_down_runs_at_start() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Stubborn { starts: starts.clone() }).start().await?;
    let _ = t.client().run(Stubborn::WORK).await?;
    t.advance(MINUTE).await;
    t.crash("a").await;
    t.advance(HOUR).await;
    let before = t.now();
    t.restart("a").await;
    t.advance(MILLI * 100).await;
    let starts = starts.all();
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[1].0, 2);
    assert!(since(before, starts[1].1) < secs(1));
    Ok(())
}

/// What a handler may ask for.
#[derive(Default)]
struct Asks {
    starts: Log<(u32, Timestamp)>,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Gone(#[from] jobs_runner::Fatal),
    #[error("while sending")]
    Sending(#[source] BoxError),
}

#[cron_group("asks", retries = 3, retry_delay = "10s")]
impl Asks {
    #[job("retry-in")]
    async fn retry_in(&self, cx: &JobContext) -> Outcome {
        self.starts.note((cx.attempt(), cx.started_at()));
        if cx.attempt() < 3 { Outcome::RetryIn(MINUTE * 7) } else { Outcome::Done }
    }
    #[job("retry-for-ever")]
    async fn retry_for_ever(&self, cx: &JobContext) -> Outcome {
        self.starts.note((cx.attempt(), cx.started_at()));
        Outcome::RetryIn(MINUTE)
    }
    #[job("snooze", retries = 0)]
    async fn snooze(&self, cx: &JobContext) -> Outcome {
        self.starts.note((cx.attempt(), cx.started_at()));
        if self.starts.len() < 4 { Outcome::Snooze(HOUR) } else { Outcome::Done }
    }
    #[job("discard")]
    async fn discard(&self, cx: &JobContext) -> Outcome {
        self.starts.note((cx.attempt(), cx.started_at()));
        Outcome::Discard("not wanted".into())
    }
    #[job("fatal")]
    async fn fatal(&self, cx: &JobContext) -> Result<()> {
        self.starts.note((cx.attempt(), cx.started_at()));
        Err(fatal("no such user").into())
    }
    #[job("fatal-anyhow")]
    async fn fatal_anyhow(&self, cx: &JobContext) -> anyhow::Result<()> {
        self.starts.note((cx.attempt(), cx.started_at()));
        Err(anyhow::Error::from(fatal("no such user")).context("sending").context("the digest"))
    }
    #[job("fatal-transparent")]
    async fn fatal_transparent(&self, cx: &JobContext) -> Result<(), Problem> {
        self.starts.note((cx.attempt(), cx.started_at()));
        Err(fatal("no such user").into())
    }
    #[job("fatal-source")]
    fn fatal_source(&self, cx: &JobContext) -> Result<(), Problem> {
        self.starts.note((cx.attempt(), cx.started_at()));
        Err(Problem::Sending(Problem::from(fatal("no such user")).into()))
    }
}

#[tokio::test]
async fn retry_in_is_a_failed_attempt_with_its_own_wait() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Asks { starts: starts.clone() }).start().await?;
    let report = t.run(Asks::RETRY_IN).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.retries), (RunState::Succeeded, 1, 2));
    let starts: Vec<_> = starts.take();
    assert_eq!(starts.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(since(starts[0].1, starts[1].1), MINUTE * 7);
    Ok(())
}

#[tokio::test]
async fn retry_in_counts_against_retries() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Asks { starts: starts.clone() }).start().await?;
    let report = t.run(Asks::RETRY_FOR_EVER).await?;
    assert_eq!((report.state, report.counts.dead, starts.len()), (RunState::Failed, 1, 4));
    assert_eq!(t.dead(Asks::RETRY_FOR_EVER).await[0].attempts.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_snooze_costs_no_attempt() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Asks { starts: starts.clone() }).start().await?;
    let report = t.run(Asks::SNOOZE).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.retries), (RunState::Succeeded, 1, 0));
    let starts = starts.all();
    assert_eq!(starts.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1; 4]);
    for pair in starts.windows(2) {
        assert_eq!(since(pair[0].1, pair[1].1), HOUR);
    }
    Ok(())
}

#[tokio::test]
async fn a_discarded_item_is_neither_tried_again_nor_dead() -> Result<()> {
    let starts = Log::default();
    let t = Harness::new().provide(Asks { starts: starts.clone() }).start().await?;
    let report = t.run(Asks::DISCARD).await?;
    assert_eq!((report.state, report.counts.discarded, report.counts.dead), (RunState::Succeeded, 1, 0));
    t.advance(DAY).await;
    assert_eq!((starts.len(), t.dead(Asks::DISCARD).await.len()), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_fatal_error_is_not_retried_wherever_it_stands_in_the_chain() -> Result<()> {
    for (job, message, chain) in [
        ("asks.fatal", "no such user", &[][..]),
        ("asks.fatal-anyhow", "the digest", &["sending", "no such user"]),
        ("asks.fatal-transparent", "no such user", &[]),
        ("asks.fatal-source", "while sending", &["no such user"]),
    ] {
        let starts = Log::default();
        let t = Harness::new().provide(Asks { starts: starts.clone() }).start().await?;
        let report = t.run(job).await?;
        t.advance(DAY).await;
        assert_eq!((report.state, report.counts.retries, starts.len()), (RunState::Failed, 0, 1), "{job}");
        let dead = t.dead(job).await;
        let failure = &dead[0].attempts[0];
        assert_eq!((failure.kind, &*failure.message, failure.retry_at), (FailureKind::Fatal, message, None));
        assert_eq!(failure.chain, chain, "{job}");
    }
    Ok(())
}

/// Panics wherever one can.
#[derive(Default)]
struct Panics {
    log: Log<u32>,
}

#[cron_group("panics", retry_delay = "10s")]
impl Panics {
    #[job("first-poll", retries = 1)]
    async fn first_poll(&self, cx: &JobContext) {
        assert_ne!(cx.attempt(), 1, "at once");
        self.log.note(cx.attempt());
    }
    #[job("after-await", retries = 1)]
    async fn after_await(&self, cx: &JobContext) {
        tokio::time::sleep(SECOND).await;
        if cx.attempt() == 1 {
            panic!("after {}", "an await");
        }
        self.log.note(cx.attempt());
    }
    #[job("blocking", retries = 1)]
    fn blocking(&self, cx: &JobContext) {
        if cx.attempt() == 1 {
            panic!("blocking");
        }
        self.log.note(cx.attempt());
    }
    #[job("any", retries = 0)]
    async fn any(&self) {
        std::panic::panic_any(7_u32);
    }

    #[query("query")]
    async fn q_query(&self, cx: &JobContext) -> Vec<u32> {
        assert_ne!(cx.attempt(), 1, "in the query");
        vec![1]
    }
    #[job("query", retries = 1)]
    async fn query(&self, n: u32) {
        self.log.note(n);
    }
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_node_lives_on() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Panics { log: log.clone() }).start().await?;
    for (job, message) in [
        ("panics.first-poll", "at once"),
        ("panics.after-await", "after an await"),
        ("panics.blocking", "blocking"),
    ] {
        let report = t.run(job).await?;
        assert_eq!((report.state, report.counts.retries), (RunState::Succeeded, 1), "{job}");
        assert_eq!(log.take(), [2], "{job}");
        assert_eq!(report.errors[0].kind, FailureKind::Panic, "{job}");
        assert!(report.errors[0].message.contains(message), "{job}: {report:?}");
    }
    let report = t.run(Panics::ANY).await?;
    assert_eq!((report.state, report.errors[0].kind), (RunState::Failed, FailureKind::Panic));
    assert!(!report.errors[0].message.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_panic_in_a_query_is_retried_like_an_error() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(Panics { log: log.clone() }).start().await?;
    let report = t.run(Panics::QUERY).await?;
    assert_eq!((report.state, log.all()), (RunState::Succeeded, vec![1]));
    Ok(())
}

/// Never ends by itself.
#[derive(Default)]
struct Endless {
    dropped: Log<&'static str>,
}

#[cron_group("endless")]
impl Endless {
    #[job("timeout", timeout = "30s")]
    async fn timeout(&self) {
        self.hang("timeout").await;
    }
    #[job("max-compute-time", max_compute_time = "5m")]
    async fn max_compute_time(&self) {
        self.hang("max_compute_time").await;
    }
    #[job("both", timeout = "30s", max_compute_time = "5m")]
    async fn both(&self) {
        self.hang("both").await;
    }
    #[job("neither")]
    async fn neither(&self) {
        self.hang("neither").await;
    }
    #[job("long", timeout = "2h")]
    async fn long(&self) {
        self.hang("long").await;
    }
    #[job("retried", timeout = "30s", retries = 2, retry_delay = "10s")]
    async fn retried(&self, cx: &JobContext) {
        if cx.attempt() < 3 {
            self.hang("retried").await;
        }
    }

    #[query("items")]
    async fn q_items(&self) -> Vec<u32> {
        vec![1, 2, 3]
    }
    #[job("items", timeout = "3h", max_compute_time = "1m")]
    async fn items(&self, n: u32) {
        if n == 2 {
            self.hang("item").await;
        }
    }

    #[query("unbounded-items")]
    async fn q_unbounded_items(&self) -> Vec<u32> {
        vec![1]
    }
    #[job("unbounded-items", max_compute_time = "1m")]
    async fn unbounded_items(&self, _n: u32) {
        tokio::time::sleep(DAY).await;
    }

    #[query("query")]
    async fn q_query(&self) -> Vec<u32> {
        self.hang("query").await;
        vec![]
    }
    #[job("query", timeout = "1s", max_compute_time = "5m")]
    async fn query(&self, _n: u32) {}

    // What is set leaves what is not at its default.
    #[query("partial")]
    async fn q_partial(&self) -> Vec<u32> {
        self.hang("partial").await;
        vec![]
    }
    #[job("partial", timeout = "5s")]
    async fn partial(&self, _n: u32) {}

    #[query("stream")]
    async fn q_stream(&self) -> impl Stream<Item = u32> {
        self.hang("stream").await;
        stream([])
    }
    #[job("stream")]
    async fn stream(&self, _n: u32) {}

    // Each page within the bound, all together beyond it.
    #[query("pages")]
    async fn q_pages(&self, after: Option<u32>) -> Result<Page<u32, u32>> {
        tokio::time::sleep(MINUTE * 4).await;
        let n = after.unwrap_or(0);
        Ok(Page::new(vec![n], (n < 4).then_some(n + 1)))
    }
    #[job("pages", max_compute_time = "5m")]
    async fn pages(&self, _n: u32) {}
}

impl Endless {
    async fn hang(&self, what: &'static str) {
        let _gone = self.dropped.on_drop(what);
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_bound_drops_the_future_at_its_time_and_fails_the_attempt() -> Result<()> {
    for (job, what, bound, kind) in [
        ("endless.timeout", "timeout", secs(30), FailureKind::Timeout),
        ("endless.max-compute-time", "max_compute_time", MINUTE * 5, FailureKind::MaxComputeTime),
        ("endless.both", "both", secs(30), FailureKind::Timeout),
        ("endless.neither", "neither", HOUR, FailureKind::MaxComputeTime),
        ("endless.long", "long", HOUR * 2, FailureKind::Timeout),
    ] {
        let dropped = Log::default();
        let t = Harness::new().provide(Endless { dropped: dropped.clone() }).start().await?;
        let began = t.now();
        let _run = t.client().run(job).await?;
        t.advance(bound - MILLI).await;
        assert_eq!(dropped.len(), 0, "{job}");
        t.advance(MILLI * 2).await;
        assert_eq!(dropped.all(), [what], "{job}");
        t.advance(SECOND).await;
        let dead = t.dead(job).await;
        assert_eq!(dead[0].attempts[0].kind, kind, "{job}");
        assert_eq!(since(began, dead[0].attempts[0].at), bound, "{job}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timeout_is_retried_and_the_attempts_do_not_overlap() -> Result<()> {
    let dropped = Log::default();
    let t = Harness::new().provide(Endless { dropped: dropped.clone() }).start().await?;
    let report = t.run(Endless::RETRIED).await?;
    assert_eq!((report.state, report.counts.retries), (RunState::Succeeded, 2));
    assert_eq!(dropped.all(), ["retried", "retried"]);
    Ok(())
}

#[tokio::test]
async fn timeout_bounds_an_item_and_max_compute_time_never_does() -> Result<()> {
    let dropped = Log::default();
    let t = Harness::new().provide(Endless { dropped: dropped.clone() }).start().await?;
    let began = t.now();
    let report = t.run(Endless::ITEMS).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.dead), (RunState::Partial, 2, 1));
    let dead = t.dead(Endless::ITEMS).await;
    assert_eq!(dead[0].attempts[0].kind, FailureKind::Timeout);
    assert!(since(began, dead[0].attempts[0].at) >= HOUR * 3);
    assert_eq!(t.run(Endless::UNBOUNDED_ITEMS).await?.state, RunState::Succeeded);
    Ok(())
}

#[tokio::test]
async fn max_compute_time_bounds_a_query_and_timeout_does_not() -> Result<()> {
    for (job, what, bound) in [("endless.query", "query", MINUTE * 5), ("endless.stream", "stream", HOUR)] {
        let dropped = Log::default();
        let t = Harness::new().provide(Endless { dropped: dropped.clone() }).start().await?;
        let run = t.client().run(job).await?;
        t.advance(bound - MILLI).await;
        assert_eq!(dropped.len(), 0, "{job}");
        t.advance(SECOND).await;
        assert_eq!(dropped.all(), [what], "{job}");
        let report = t.client().report(run.id()).await?;
        assert_eq!((report.state, report.counts.total), (RunState::Failed, 0), "{job}");
        assert_eq!(report.errors[0].kind, FailureKind::MaxComputeTime, "{job}");
    }
    Ok(())
}

#[tokio::test]
async fn max_compute_time_bounds_each_page_alone() -> Result<()> {
    let t = Harness::new().group::<Endless>().start().await?;
    let report = t.run(Endless::PAGES).await?;
    assert_eq!((report.state, report.counts.ok), (RunState::Succeeded, 5));
    Ok(())
}

/// Blocks a thread until it is cancelled, on the real clock: virtual time stands still while a handler blocks.
struct Blocking {
    inside: Inside,
    seen: Mutex<mpsc::Sender<u32>>,
}

#[cron_group("blocking")]
impl Blocking {
    #[job("overrun", timeout = "50ms", retries = 1, retry_delay = "1ms")]
    fn overrun(&self, cx: &JobContext) -> Result<(), String> {
        let _inside = self.inside.enter();
        self.seen.lock().unwrap().send(cx.attempt()).unwrap();
        let began = std::time::Instant::now();
        while !cx.is_cancelled() && began.elapsed() < secs(10) {
            std::thread::yield_now();
        }
        // It was told, and does not care for a while: its retry has to wait for it.
        std::thread::sleep(MILLI * 100);
        Ok(())
    }
}

#[tokio::test]
async fn a_blocking_handler_that_overruns_is_told_and_recorded_as_timed_out_when_it_ends() -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    let inside = Inside::default();
    let group = Blocking { inside: inside.clone(), seen: Mutex::new(sender) };
    let runner =
        Runner::builder().store(MemoryStore::new()).only(["blocking.*"]).provide(group).start().await?;
    let report = runner.run(Blocking::OVERRUN).await?.wait().await?;
    assert_eq!((report.state, report.counts.retries, report.counts.dead), (RunState::Failed, 1, 1));
    assert_eq!((report.errors[0].kind, report.errors[0].count), (FailureKind::Timeout, 2));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(inside.most(), 1, "the retry waits for the thread");
    runner.shutdown(SECOND).await?;
    Ok(())
}

/// Queries that fail.
#[derive(Default)]
struct Queries {
    queries: Log<(u32, Timestamp)>,
    items: Log<u32>,
}

#[cron_group("queries")]
impl Queries {
    #[query("twice")]
    async fn q_twice(&self, cx: &JobContext) -> Result<Vec<u32>> {
        self.queries.note((cx.attempt(), cx.started_at()));
        if cx.attempt() < 3 { Err("the database is away".into()) } else { Ok(vec![1, 2]) }
    }
    #[job("twice", retries = 2, retry_delay = "1m", backoff = "linear")]
    async fn twice(&self, n: u32) {
        self.items.note(n);
    }

    #[query("always")]
    async fn q_always(&self, cx: &JobContext) -> Result<Vec<u32>> {
        self.queries.note((cx.attempt(), cx.started_at()));
        Err("the database is away".into())
    }
    #[job("always", retries = 1, retry_delay = "1m")]
    async fn always(&self, n: u32) {
        self.items.note(n);
    }

    #[query("fatal")]
    async fn q_fatal(&self, cx: &JobContext) -> Result<Vec<u32>> {
        self.queries.note((cx.attempt(), cx.started_at()));
        Err(fatal("no such table").into())
    }
    #[job("fatal", retries = 5)]
    async fn fatal(&self, n: u32) {
        self.items.note(n);
    }

    // More than a chunk has been stored when it breaks.
    #[query("half")]
    fn q_half(&self, cx: &JobContext) -> impl Stream<Item = Result<u32, String>> {
        let attempt = cx.attempt();
        self.queries.note((attempt, cx.started_at()));
        let good = if attempt == 1 { 2_500 } else { 3 };
        let end = (attempt == 1).then(|| Err("the cursor is gone".to_owned()));
        stream((0..good).map(Ok).chain(end))
    }
    #[job("half", retries = 1, retry_delay = "1m")]
    async fn half(&self, n: u32) {
        self.items.note(n);
    }

    #[query("pages")]
    async fn q_pages(&self, after: Option<u32>, cx: &JobContext) -> Result<Page<u32, u32>> {
        self.queries.note((cx.attempt(), cx.started_at()));
        match after {
            None => Ok(Page::new(vec![1, 2], Some(1))),
            Some(1) => Ok(Page::new(vec![3], Some(2))),
            Some(_) => Err("the third page is torn out".into()),
        }
    }
    #[job("pages", retries = 1, retry_delay = "1m")]
    async fn pages(&self, n: u32) {
        self.items.note(n);
    }

    #[query("nothing")]
    async fn q_nothing(&self) -> Vec<u32> {
        vec![]
    }
    #[job("nothing")]
    async fn nothing(&self, n: u32) {
        self.items.note(n);
    }
}

fn queries() -> (Queries, Log<(u32, Timestamp)>, Log<u32>) {
    let group = Queries::default();
    let (queries, items) = (group.queries.clone(), group.items.clone());
    (group, queries, items)
}

#[tokio::test]
async fn a_query_that_fails_is_tried_again_by_the_jobs_retries_and_waits() -> Result<()> {
    let (group, queries, items) = queries();
    let t = Harness::new().provide(group).start().await?;
    let report = t.run(Queries::TWICE).await?;
    assert_eq!((report.state, report.counts.total, report.counts.ok), (RunState::Succeeded, 2, 2));
    let calls = queries.all();
    assert_eq!(calls.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    for (pair, base) in calls.windows(2).zip([MINUTE, MINUTE * 2]) {
        let wait = since(pair[0].1, pair[1].1);
        assert!((base..base.mul_f64(1.25) + MILLI).contains(&wait), "{wait:?}");
    }
    assert_eq!(items.all(), [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_query_that_fails_for_good_fails_the_run_with_its_errors() -> Result<()> {
    for (job, calls) in [("queries.always", 2), ("queries.fatal", 1)] {
        let (group, queries, items) = queries();
        let t = Harness::new().provide(group).start().await?;
        let report = t.run(job).await?;
        assert_eq!((report.state, report.counts.total), (RunState::Failed, 0), "{job}");
        assert_eq!((queries.len(), items.len()), (calls, 0), "{job}");
        assert_eq!(
            report.errors.iter().map(|group| group.count).sum::<u64>(),
            calls as u64,
            "{job}: {report:?}"
        );
        let failed = report.ok().unwrap_err().to_string();
        assert!(failed.contains("its query failed for good") && failed.contains(job), "{failed}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_failed_query_had_staged_is_dropped_and_nothing_is_doubled() -> Result<()> {
    let (group, queries, items) = queries();
    let t = Harness::new().provide(group).start().await?;
    let report = t.run(Queries::HALF).await?;
    assert_eq!((report.state, report.counts.total, report.counts.ok), (RunState::Succeeded, 3, 3));
    assert_eq!((queries.len(), items.all()), (2, vec![0, 1, 2]));
    Ok(())
}

#[tokio::test]
async fn what_stored_pages_held_is_worked_though_the_query_fails_for_good() -> Result<()> {
    let (group, queries, items) = queries();
    let t = Harness::new().provide(group).start().await?;
    let report = t.run(Queries::PAGES).await?;
    assert_eq!((report.state, report.counts.total, report.counts.ok), (RunState::Failed, 3, 3));
    assert_eq!(items.all(), [1, 2, 3]);
    assert_eq!(queries.all().iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 1, 1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_run_that_finds_nothing_succeeds() -> Result<()> {
    let t = Harness::new().group::<Queries>().start().await?;
    let report = t.run(Queries::NOTHING).await?.ok()?;
    assert_eq!((report.counts.total, report.finished_at.is_some()), (0, true));
    Ok(())
}

/// A page query that is killed on its way.
#[derive(Default)]
struct Book {
    cursors: Log<Option<u32>>,
    items: Log<u32>,
    gate: Gate,
}

#[cron_group("book")]
impl Book {
    #[query("read")]
    async fn pages(&self, after: Option<u32>) -> Result<Page<u32, u32>> {
        self.cursors.note(after);
        let page = after.unwrap_or(0);
        if page == 2 {
            self.gate.pass().await;
        }
        Ok(Page::new(vec![page * 10, page * 10 + 1], (page < 3).then_some(page + 1)))
    }
    #[job("read")]
    async fn read(&self, n: u32) {
        self.items.note(n);
    }
}

#[tokio::test]
async fn a_crashed_page_query_resumes_at_the_page_it_had_reached() -> Result<()> {
    let group = Book::default();
    let (cursors, items, gate) = (group.cursors.clone(), group.items.clone(), group.gate.clone());
    let t = Harness::new().provide(group).start().await?;
    let run = t.client().run(Book::READ).await?;
    t.advance(MINUTE).await;
    assert_eq!(cursors.all(), [None, Some(1), Some(2)]);
    assert_eq!(items.all(), [0, 1, 10, 11], "a page is worked while the next is fetched");
    t.crash("a").await;
    gate.open();
    t.restart("a").await;
    t.advance(MINUTE).await;
    assert_eq!(cursors.all(), [None, Some(1), Some(2), Some(2), Some(3)]);
    assert_eq!(items.all(), [0, 1, 10, 11, 20, 21, 30, 31]);
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.total, report.counts.ok), (8, 8));
    Ok(())
}

/// Items that fail each in its own way.
#[derive(Default)]
struct Fates;

#[cron_group("fates")]
impl Fates {
    #[query("mixed")]
    async fn q_mixed(&self) -> Vec<u32> {
        (0..10).collect()
    }
    #[job("mixed", retries = 2, retry_delay = "10s")]
    async fn mixed(&self, n: u32, cx: &JobContext) -> Result<Outcome> {
        match n {
            0..=3 => Ok(Outcome::Done),
            4 if cx.attempt() == 2 => Ok(Outcome::Done),
            4 => Err("once".into()),
            5 => Ok(Outcome::Discard("not wanted".into())),
            6 => Err(fatal("broken").into()),
            7 => panic!("at attempt {}", cx.attempt()),
            _ => Err(format!("item {n}, attempt {}", cx.attempt()).into()),
        }
    }

    #[query("all-dead")]
    async fn q_all_dead(&self) -> Vec<u32> {
        vec![1, 2]
    }
    #[job("all-dead")]
    async fn all_dead(&self, _n: u32) -> Result<()> {
        Err("no".into())
    }

    #[query("payload")]
    async fn q_payload(&self) -> Vec<(u32, Option<String>)> {
        vec![(7, Some("seven".into()))]
    }
    #[job("payload", retries = 1)]
    async fn payload(&self, _item: (u32, Option<String>), cx: &JobContext) -> anyhow::Result<()> {
        Err(anyhow::anyhow!("cause {}", cx.attempt()).context(format!("failure {}", cx.attempt())))
    }
}

#[tokio::test]
async fn a_report_counts_every_fate() -> Result<()> {
    let t = Harness::new().group::<Fates>().start().await?;
    let began = t.now();
    let report = t.run(Fates::MIXED).await?;
    assert_eq!(report.state, RunState::Partial);
    let counts = report.counts;
    assert_eq!((counts.total, counts.ok, counts.discarded, counts.dead), (10, 5, 1, 4));
    assert_eq!((counts.expired, counts.cancelled), (0, 0));
    assert_eq!(counts.retries, 1 + 3 * 2, "attempts after the first");
    assert_eq!((&*report.job, report.tick, report.started_at), ("fates.mixed", None, began));
    assert!(report.finished_at.unwrap() > began);
    let of = |kind| report.errors.iter().filter(|e| e.kind == kind).map(|e| e.count).sum::<u64>();
    assert_eq!((of(FailureKind::Fatal), of(FailureKind::Panic)), (1, 3), "{:#?}", report.errors);
    assert_eq!(of(FailureKind::Error), 1 + 2 * 3);
    assert_eq!(t.client().report(report.id).await?, report);
    let failed = report.ok().unwrap_err();
    assert!(failed.to_string().contains("4 of 10 items are dead"), "{failed}");
    Ok(())
}

#[tokio::test]
async fn a_run_of_which_all_items_are_dead_has_failed() -> Result<()> {
    let t = Harness::new().group::<Fates>().start().await?;
    let report = t.run(Fates::ALL_DEAD).await?;
    assert_eq!((report.state, report.counts.dead), (RunState::Failed, 2));
    assert_eq!((report.errors.len(), report.errors[0].count), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_dead_item_has_its_payload_and_the_error_of_each_attempt() -> Result<()> {
    let t = Harness::new().group::<Fates>().start().await?;
    let report = t.run(Fates::PAYLOAD).await?;
    let dead = t.dead(Fates::PAYLOAD).await;
    let [item] = &dead[..] else { panic!("{dead:#?}") };
    assert_eq!(item.payload, serde_json::json!([7, "seven"]));
    assert_eq!((&*item.job, item.run), ("fates.payload", Some(report.id)));
    assert_eq!(item.id.to_string(), format!("{}-0", report.id));
    let told: Vec<_> =
        item.attempts.iter().map(|f| (f.attempt, &*f.message, &*f.chain[0], &*f.node)).collect();
    assert_eq!(told, [(1, "failure 1", "cause 1", "a"), (2, "failure 2", "cause 2", "a")]);
    assert_eq!(item.attempts[0].retry_at.map(|at| at > item.attempts[0].at), Some(true));
    assert_eq!(item.attempts[1].retry_at, None);
    assert!(item.attempts[1].at >= item.attempts[0].retry_at.unwrap());
    Ok(())
}

#[tokio::test]
async fn dead_items_are_listed_newest_first_and_filtered() -> Result<()> {
    let t = Harness::new().group::<Fates>().start().await?;
    let mixed = t.run(Fates::MIXED).await?;
    t.advance(HOUR).await;
    let later = t.now();
    let payload = t.run(Fates::PAYLOAD).await?;
    let client = t.client();
    let dead = |filter: DeadFilter| async move { client.dead(filter).await };
    let all = dead(DeadFilter::new()).await?;
    assert_eq!(all.len(), 5);
    assert_eq!(all[0].run, Some(payload.id));
    assert!(
        all.windows(2).all(|pair| pair[0].attempts.last().unwrap().at >= pair[1].attempts.last().unwrap().at)
    );
    assert_eq!(dead(DeadFilter::new().run(mixed.id)).await?.len(), 4);
    assert_eq!(dead(DeadFilter::new().job(Fates::PAYLOAD)).await?, all[..1]);
    assert_eq!(dead(DeadFilter::new().item(all[0].id)).await?, all[..1]);
    assert_eq!(dead(DeadFilter::new().since(later)).await?.len(), 1);
    assert_eq!(dead(DeadFilter::new().error("broken")).await?.len(), 1);
    assert_eq!(dead(DeadFilter::new().error("cause 2")).await?, all[..1], "the chain counts too");
    assert_eq!(dead(DeadFilter::new().limit(2)).await?, all[..2]);
    Ok(())
}

#[tokio::test]
async fn dead_items_are_kept_as_long_as_keep_dead_says() -> Result<()> {
    let options = JobOptions::new().keep_dead(DAY * 2);
    let t = Harness::new()
        .group::<Fates>()
        .with(move |b| b.configure("fates.all-dead", options.clone()))
        .start()
        .await?;
    t.run(Fates::ALL_DEAD).await?;
    t.run(Fates::PAYLOAD).await?;
    t.advance(DAY * 2 - HOUR).await;
    assert_eq!(t.dead(Fates::ALL_DEAD).await.len(), 2);
    t.advance(HOUR * 2).await;
    assert_eq!((t.dead(Fates::ALL_DEAD).await.len(), t.dead(Fates::PAYLOAD).await.len()), (0, 1));
    t.advance(DAY * 89).await;
    assert_eq!(t.dead(Fates::PAYLOAD).await.len(), 0, "90 days by default");
    Ok(())
}

#[tokio::test]
async fn reports_are_written_as_json_and_read_again() -> Result<()> {
    let t = Harness::new().group::<Fates>().start().await?;
    let report = t.run(Fates::MIXED).await?;
    let text = serde_json::to_string(&report)?;
    assert_eq!(serde_json::from_str::<RunReport>(&text)?, report);
    let dead = t.dead(Fates::MIXED).await;
    assert_eq!(serde_json::from_str::<Vec<jobs_runner::DeadItem>>(&serde_json::to_string(&dead)?)?, dead);
    Ok(())
}

/// Hands its context on.
#[derive(Default)]
struct HandsOn(Log<&'static str>);

#[cron_group("hands-on")]
impl HandsOn {
    #[job("work", timeout = "30s")]
    async fn work(&self, cx: &JobContext) {
        let (cx, log) = (cx.clone(), self.0.clone());
        tokio::spawn(async move {
            cx.cancelled().await;
            log.note(if cx.is_cancelled() { "told" } else { "woken" });
        });
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn what_a_handler_has_handed_on_hears_of_its_end() -> Result<()> {
    let log = Log::default();
    let t = Harness::new().provide(HandsOn(log.clone())).start().await?;
    let run = t.client().run(HandsOn::WORK).await?;
    t.advance(SECOND).await;
    assert!(log.is_empty());
    run.cancel().await?;
    t.advance(secs(4)).await;
    assert_eq!(log.take(), ["told"], "by a cancel");
    let _run = t.client().run(HandsOn::WORK).await?;
    t.advance(MINUTE).await;
    assert_eq!(log.take(), ["told"], "by a timeout");
    Ok(())
}
