//! What keeps the store in order keeps up with what is made, and holds up nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use behaviour::{Log, MILLI, SECOND, secs};
use jobs_conformance::{
    Handle, Wrapper,
    call::{Call, Outcome as Answered, perform},
};
use jobs_core::{BoxFuture, Store, Wakeups};
use jobs_runner::{
    Event, FailureKind, MemoryStore, RunFilter, RunState, RunnerBuilder,
    prelude::*,
    testing::{Harness, Running},
};

/// A store of which each call takes a while; it counts the calls that end runs.
#[derive(Clone)]
struct Distant {
    inner: MemoryStore,
    ends: Arc<AtomicUsize>,
    takes: fn(&Call) -> Duration,
    /// Not while the test starts: time moves when the test says so.
    away: Arc<AtomicBool>,
}

impl Distant {
    /// At the harness's clock, which begins with the year.
    fn new(takes: fn(&Call) -> Duration) -> Self {
        let began = tokio::time::Instant::now();
        let year: Timestamp = behaviour::at("2026-01-01T00:00:00Z");
        let inner = MemoryStore::with_clock(move || (year + began.elapsed()).into());
        Self { inner, ends: Arc::default(), takes, away: Arc::default() }
    }
}

impl Handle for Distant {
    fn handle(&self, call: Call) -> BoxFuture<'_, Answered> {
        Box::pin(async move {
            if matches!(call, Call::Complete(_)) {
                self.ends.fetch_add(1, Ordering::Relaxed);
            }
            if self.away.load(Ordering::Relaxed) {
                tokio::time::sleep((self.takes)(&call)).await;
            }
            perform(&self.inner, call).await
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner.wakeups()
    }

    fn namespace(&self, _name: &str) -> Option<Arc<dyn Store>> {
        None
    }
}

/// Six jobs that are due a hundred times a second, and one that is due each second.
#[derive(Clone, Default)]
struct Flood {
    starts: Log<&'static str>,
}

#[cron_group("flood", keep_runs = 1, keep_ticks = 1, overlap = "allow")]
impl Flood {
    #[job("a", "10ms")]
    async fn a(&self) {
        self.starts.note("a");
    }
    #[job("b", "10ms")]
    async fn b(&self) {
        self.starts.note("b");
    }
    #[job("c", "10ms")]
    async fn c(&self) {
        self.starts.note("c");
    }
    #[job("d", "10ms")]
    async fn d(&self) {
        self.starts.note("d");
    }
    #[job("e", "10ms")]
    async fn e(&self) {
        self.starts.note("e");
    }
    #[job("f", "10ms")]
    async fn f(&self) {
        self.starts.note("f");
    }
    #[job("quiet", "1s")]
    async fn quiet(&self) {}
}

async fn kept(t: &Running, job: &str) -> (usize, usize) {
    let runs = t.client().runs(RunFilter::new().job(job).limit(100_000)).await.unwrap();
    (runs.len(), t.client().ticks(job, 100_000).await.unwrap().len())
}

#[tokio::test]
async fn history_is_pruned_as_fast_as_it_is_made_and_a_busy_job_starves_no_other() -> Result<()> {
    let flood = Flood::default();
    let t = Harness::new().provide(flood.clone()).with(|builder| builder.lease(secs(15))).start().await?;
    t.advance(secs(40)).await;
    assert!(flood.starts.len() > 6 * 3_900, "{}", flood.starts.len());
    // What was made since the last look, which comes every three seconds or a little later.
    let since_the_last_look = 500;
    let (runs, ticks) = kept(&t, "flood.a").await;
    assert!(
        runs <= since_the_last_look && ticks <= since_the_last_look,
        "{runs} runs and {ticks} ticks are kept"
    );
    let (runs, ticks) = kept(&t, "flood.quiet").await;
    assert!(runs <= 6 && ticks <= 6, "{runs} runs and {ticks} ticks of the quiet job are kept");
    Ok(())
}

#[tokio::test]
async fn hundreds_of_runs_that_end_each_second_keep_a_distant_store_from_nothing() -> Result<()> {
    tokio::time::pause();
    let flood = Flood::default();
    let distant = Distant::new(|_| 5 * MILLI);
    let store = distant.clone();
    let with = move |builder: RunnerBuilder| builder.store(Wrapper(store.clone()));
    let t = Harness::new().provide(flood.clone()).with(with).start().await?;
    distant.away.store(true, Ordering::Relaxed);
    t.advance(secs(2)).await;
    let before = flood.starts.len();
    t.advance(secs(10)).await;
    let started = flood.starts.len() - before;
    assert!(started >= 5_700, "{started} of 6,000 runs started within ten seconds");
    let ended = t.events().into_iter().filter(|event| matches!(event, Event::RunFinished(_))).count();
    assert!(ended + 200 >= flood.starts.len(), "{ended} of {} runs have ended", flood.starts.len());
    assert!(distant.ends.load(Ordering::Relaxed) < ended, "several runs are ended in one call");
    Ok(())
}

#[derive(Clone, Default)]
struct Work {
    done: Log<Duration>,
    began: Arc<Mutex<Option<tokio::time::Instant>>>,
}

#[cron_group("work")]
impl Work {
    #[job("small", overlap = "allow")]
    async fn small(&self) {}

    #[query("large")]
    async fn numbers(&self) -> Vec<u32> {
        *self.began.lock().unwrap() = Some(tokio::time::Instant::now());
        (0..2_000).collect()
    }
    #[job("large", concurrency = 10)]
    async fn large(&self, _n: u32) {
        let began = self.began.lock().unwrap().unwrap();
        self.done.note(began.elapsed());
    }
}

#[tokio::test]
async fn ending_a_run_never_delays_leasing() -> Result<()> {
    tokio::time::pause();
    let work = Work::default();
    // To end runs takes as long as a store may take at all.
    let distant =
        Distant::new(|call| if matches!(call, Call::Complete(_)) { 4 * SECOND } else { Duration::ZERO });
    distant.away.store(true, Ordering::Relaxed);
    let with = move |builder: RunnerBuilder| builder.store(Wrapper(distant.clone()));
    let t = Harness::new().provide(work.clone()).with(with).start().await?;
    for _ in 0..20 {
        t.client().run("work.small").await?;
    }
    t.client().run("work.large").await?;
    t.advance(secs(3)).await;
    assert_eq!(work.done.len(), 2_000, "not one waits for the end of another run");
    Ok(())
}

const LONG: usize = 10 << 20;

#[derive(Clone, Default)]
struct Wordy;

#[cron_group("wordy")]
impl Wordy {
    #[job("error")]
    async fn error(&self) -> Result<(), String> {
        Err("€".repeat(LONG / 3 + 1))
    }
    #[job("panic")]
    async fn panic(&self) {
        panic!("{}", "x".repeat(LONG));
    }
    #[job("chain")]
    async fn chain(&self) -> anyhow::Result<()> {
        Err(anyhow::anyhow!("x".repeat(LONG)).context("outer"))
    }
    #[job("discard")]
    async fn discard(&self) -> Outcome {
        Outcome::Discard("x".repeat(LONG))
    }
    #[query("query")]
    async fn numbers(&self) -> Result<Vec<u32>, String> {
        Err("x".repeat(LONG))
    }
    #[job("query")]
    async fn query(&self, _n: u32) {}
}

#[tokio::test]
async fn what_an_attempt_says_is_cut_wherever_it_is_kept_or_shown() -> Result<()> {
    let t = Harness::new().provide(Wordy).start().await?;
    for (job, kind, bytes) in [
        ("wordy.error", FailureKind::Error, "10,485,762"),
        ("wordy.panic", FailureKind::Panic, "10,485,760"),
        ("wordy.chain", FailureKind::Error, "10,485,765"),
    ] {
        let report = t.run(job).await?;
        let dead = t.dead(job).await;
        let [failure] = &dead[0].attempts[..] else { panic!("{job}") };
        let texts: Vec<&String> = std::iter::once(&failure.message).chain(&failure.chain).collect();
        let size: usize = texts.iter().map(|text| text.len()).sum();
        assert!(size <= 8_192, "{job}: {size}");
        assert_eq!(failure.kind, kind);
        assert!(
            texts.last().unwrap().ends_with(&format!("… (cut, {bytes} bytes in all)")),
            "{job}: {failure:?}"
        );
        assert_eq!(report.errors[0].message, failure.message, "{job}");
    }
    let query = t.run("wordy.query").await?;
    assert_eq!(query.state, RunState::Failed);
    assert!(query.errors[0].message.ends_with("… (cut, 10,485,760 bytes in all)"));
    assert_eq!(t.run("wordy.discard").await?.counts.discarded, 1);
    let told = t.events().into_iter().filter_map(|event| match event {
        Event::AttemptFailed { failure, .. } | Event::ItemDead { failure, .. } => Some(failure.message.len()),
        _ => None,
    });
    assert!(told.max().is_some_and(|longest| longest <= 8_192));
    Ok(())
}

#[tokio::test]
async fn a_note_is_cut_too() -> Result<()> {
    let t = Harness::new().provide(Wordy).start().await?;
    let run = t.client().run("wordy.discard").note(&"x".repeat(LONG)).await?;
    let report = t.client().report(run.id()).await?;
    assert!(report.note.is_some_and(|note| note.len() <= 8_192 && note.ends_with("bytes in all)")));
    Ok(())
}
