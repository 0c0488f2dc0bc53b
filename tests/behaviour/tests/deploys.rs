//! Another build is started: schedules change, jobs come, go and are renamed (DESIGN §6, "Deploys").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use behaviour::{DAY, Gate, HOUR, Log, MINUTE, SECOND, at, secs};
use jobs_runner::{
    RunState, RunnerBuilder, Verdict,
    prelude::*,
    testing::{Harness, Running},
};

#[derive(Clone, Default)]
struct Report {
    log: Log<String>,
    gate: Gate,
}

#[cron_group("report")]
impl Report {
    #[job("write", "0 * * * *")]
    async fn write(&self, cx: &JobContext) {
        self.log.note(format!("write {}", &cx.tick().unwrap().to_string()[11..16]));
    }

    #[query("send")]
    async fn find(&self) -> Vec<u32> {
        vec![1, 2, 3]
    }
    #[job("send", "0 * * * *", concurrency = 1)]
    async fn send(&self, n: u32) {
        self.log.note(format!("send {n}"));
        self.gate.pass().await;
    }
}

// As a later build has it: the job `send` under its new name.
#[cron_group("report")]
impl Report {
    #[query("deliver")]
    async fn find_to_deliver(&self) -> Vec<u32> {
        vec![1, 2, 3]
    }
    #[job("deliver", "0 * * * *", was = "send", concurrency = 1)]
    async fn deliver(&self, n: u32) {
        self.log.note(format!("deliver {n}"));
    }
}

/// A harness whose nodes are started with the build of that number.
async fn builds(
    nodes: usize,
    report: &Report,
    build: impl Fn(usize, RunnerBuilder) -> RunnerBuilder + Send + Sync + 'static,
) -> (Running, Arc<AtomicUsize>) {
    let current = Arc::new(AtomicUsize::new(0));
    let number = current.clone();
    let t = Harness::new()
        .nodes(nodes)
        .provide(report.clone())
        .with(move |b| build(number.load(Ordering::Relaxed), b.lease(secs(15))))
        .start()
        .await
        .unwrap();
    (t, current)
}

fn schedules(texts: &'static [&'static str]) -> impl Fn(usize, RunnerBuilder) -> RunnerBuilder {
    move |n, b| b.only(["report.write"]).configure("report.write", JobOptions::new().schedule(texts[n]))
}

#[tokio::test]
async fn a_changed_schedule_begins_at_the_deploy_and_catches_nothing_up() -> Result<()> {
    let report = Report::default();
    let (t, build) = builds(1, &report, schedules(&["0 * * * *", "*/10 * * * *"])).await;
    t.advance(HOUR + secs(30)).await;
    t.crash("a").await;
    t.advance(MINUTE * 44 + secs(30)).await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(MINUTE * 10).await;
    assert_eq!(report.log.all(), ["write 01:00", "write 01:50"], "01:10 to 01:40 were never due");
    assert_eq!(t.client().job("report.write").await?.schedule.as_deref(), Some("*/10 * * * *"));
    let missed =
        t.client().ticks("report.write", 100).await?.into_iter().filter(|i| i.verdict == Verdict::Missed);
    assert_eq!(missed.count(), 0);
    Ok(())
}

#[tokio::test]
async fn an_equal_schedule_is_no_change_and_what_was_missed_is_caught_up() -> Result<()> {
    let report = Report::default();
    // Written otherwise, and the same.
    let (t, build) = builds(1, &report, schedules(&["0 * * * *", "@hourly"])).await;
    t.advance(HOUR).await;
    t.crash("a").await;
    t.advance(HOUR + MINUTE * 30).await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(report.log.all(), ["write 01:00", "write 02:00"]);
    Ok(())
}

#[tokio::test]
async fn side_by_side_the_newer_schedule_rules_and_the_older_node_fires_nothing() -> Result<()> {
    let report = Report::default();
    let (t, build) = builds(2, &report, schedules(&["0 * * * *", "30 * * * *"])).await;
    t.advance(HOUR).await;
    assert_eq!(report.log.take(), ["write 01:00"]);
    build.store(1, Ordering::Relaxed);
    t.restart("b").await;
    t.advance(HOUR * 2).await;
    assert_eq!(report.log.take(), ["write 01:30", "write 02:30"], "each once, and no `0 * * * *`");
    Ok(())
}

#[tokio::test]
async fn a_rollback_takes_effect_when_no_live_node_declares_the_newer() -> Result<()> {
    let report = Report::default();
    let (t, build) = builds(2, &report, schedules(&["0 * * * *", "30 * * * *"])).await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    t.restart("b").await;
    t.advance(HOUR).await;
    assert_eq!(report.log.take(), ["write 00:30"]);
    // Back to the older build, one node after the other.
    build.store(0, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(HOUR).await;
    assert_eq!(report.log.take(), ["write 01:30"], "`b` still declares the newer");
    t.restart("b").await;
    t.advance(HOUR).await;
    assert_eq!(report.log.take(), ["write 03:00"]);
    Ok(())
}

#[tokio::test]
async fn items_of_a_job_that_nobody_links_are_kept_until_it_is_back() -> Result<()> {
    let report = Report::default();
    let (t, build) =
        builds(1, &report, |n, b| b.only([if n == 1 { "report.write" } else { "report.send" }])).await;
    let run = t.client().run("report.send").await?;
    t.advance(SECOND).await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    report.gate.open();
    t.advance(DAY).await;
    let kept = t.client().report(run.id()).await?;
    assert_eq!((kept.state, kept.counts.total, kept.counts.dead), (RunState::Working, 3, 0));
    assert_eq!(report.log.all().iter().filter(|line| line.starts_with("send")).count(), 1);
    build.store(0, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(MINUTE).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 3);
    Ok(())
}

#[tokio::test]
async fn a_renamed_job_takes_over_its_items_its_pause_and_its_place_in_time() -> Result<()> {
    let report = Report::default();
    let (t, build) =
        builds(1, &report, |n, b| b.only([if n == 1 { "report.deliver" } else { "report.send" }])).await;
    t.advance(HOUR).await;
    assert_eq!(report.log.take(), ["send 1"]);
    t.crash("a").await;
    t.advance(HOUR + MINUTE * 30).await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(MINUTE).await;
    let mut log = report.log.take();
    log.sort();
    // The items of the run of 01:00; the tick of 02:00 met it while it was busy, or ran after it.
    assert!(log.iter().all(|line| line.starts_with("deliver")), "{log:?}");
    assert!(
        ["deliver 1", "deliver 2", "deliver 3"].iter().all(|line| log.iter().any(|l| l == line)),
        "{log:?}"
    );
    let jobs = t.client().jobs().await?;
    assert_eq!(jobs.iter().map(|job| &*job.id).collect::<Vec<_>>(), ["report.deliver"]);
    assert_eq!(jobs[0].next, Some(at("2026-01-01T03:00:00Z")));
    Ok(())
}

#[tokio::test]
async fn the_pause_of_a_renamed_job_goes_with_it() -> Result<()> {
    let report = Report::default();
    let (t, build) =
        builds(1, &report, |n, b| b.only([if n == 1 { "report.deliver" } else { "report.send" }])).await;
    t.client().pause("report.send", "stocktaking").await?;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    assert_eq!(t.client().job("report.deliver").await?.paused.as_deref(), Some("stocktaking"));
    t.advance(HOUR * 2).await;
    assert!(report.log.is_empty());
    t.client().resume("report.deliver").await?;
    t.advance(HOUR).await;
    assert_eq!(report.log.len(), 3);
    Ok(())
}

#[tokio::test]
async fn the_options_of_work_are_those_of_the_build_that_does_it() -> Result<()> {
    /// Fails always.
    #[derive(Clone, Default)]
    struct Failing;
    #[cron_group("failing")]
    impl Failing {
        #[job("work", retry_delay = "1h", max_retry_delay = "1h")]
        async fn work(&self) -> Result<()> {
            Err("no".into())
        }
    }
    let retries = Arc::new(AtomicUsize::new(5));
    let now = retries.clone();
    let t = Harness::new()
        .group::<Failing>()
        .with(move |b| {
            let retries = u32::try_from(now.load(Ordering::Relaxed)).unwrap();
            b.configure("failing.work", JobOptions::new().retries(retries))
        })
        .start()
        .await?;
    let run = t.client().run("failing.work").await?;
    t.advance(SECOND).await;
    retries.store(1, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(HOUR + SECOND).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.retries), (RunState::Failed, 1));
    Ok(())
}

#[tokio::test]
async fn the_limits_of_work_are_those_of_the_build_that_does_it() -> Result<()> {
    let report = Report::default();
    let (t, build) = builds(2, &report, |n, b| {
        let limit = if n == 0 { 1 } else { 3 };
        let options = JobOptions::new().concurrency(10).global_concurrency(limit);
        b.only(["report.send"]).configure("report.send", options)
    })
    .await;
    // `b` comes with the newer build and goes again: its limit goes with it.
    build.store(1, Ordering::Relaxed);
    t.restart("b").await;
    t.shutdown("b", SECOND).await?;
    let _run = t.client().run("report.send").await?;
    t.advance(SECOND).await;
    assert_eq!(report.log.all(), ["send 1"]);
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_enabled_again_in_code_is_resumed_and_a_pause_by_hand_stays() -> Result<()> {
    let report = Report::default();
    let (t, build) = builds(1, &report, |n, b| {
        b.only(["report.write"]).configure("report.write", JobOptions::new().enabled(n != 0))
    })
    .await;
    assert_eq!(t.client().job("report.write").await?.paused.as_deref(), Some("disabled in code"));
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    assert_eq!(t.client().job("report.write").await?.paused, None, "true, when new, lifts that pause");
    t.client().pause("report.write", "by hand").await?;
    t.restart("a").await;
    assert_eq!(t.client().job("report.write").await?.paused.as_deref(), Some("by hand"));
    build.store(0, Ordering::Relaxed);
    t.restart("a").await;
    build.store(1, Ordering::Relaxed);
    t.restart("a").await;
    assert_eq!(t.client().job("report.write").await?.paused.as_deref(), Some("by hand"));
    Ok(())
}
