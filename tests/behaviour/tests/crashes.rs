//! Nodes that die, and nodes that are shut down: no item is lost (DESIGN §6, "Attempts and crashes", and §8).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use behaviour::{Gate, HOUR, Inside, Log, MILLI, MINUTE, SECOND, secs};
use jobs_runner::{Event, FailureKind, MemoryStore, RunState, ShutdownError, prelude::*, testing::Harness};

/// Items that wait at a gate.
#[derive(Clone, Default)]
struct Work {
    log: Log<(u32, String, u32)>,
    redelivered: Log<(u32, u32)>,
    queries: Arc<AtomicU32>,
    inside: Inside,
    gate: Gate,
    done: Log<u32>,
}

#[cron_group("work")]
impl Work {
    #[query("items")]
    async fn find(&self) -> Vec<u32> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        (0..30).collect()
    }
    #[job("items", "0 0 1 1 *", concurrency = 5)]
    async fn items(&self, n: u32, cx: &JobContext) {
        let _inside = self.inside.enter();
        self.log.note((n, cx.node().to_owned(), cx.attempt()));
        self.redelivered.note((n, cx.redelivered()));
        self.gate.pass().await;
        self.done.note(n);
    }

    #[query("slow-query")]
    async fn find_slowly(&self) -> Vec<u32> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.gate.pass().await;
        vec![1, 2, 3]
    }
    #[job("slow-query")]
    async fn slow_query(&self, n: u32) {
        self.done.note(n);
    }

    // No retries: a crash is not a failure, and is not charged.
    #[job("simple", retries = 0)]
    async fn simple(&self, cx: &JobContext) {
        self.log.note((0, cx.node().to_owned(), cx.attempt()));
        self.redelivered.note((0, cx.redelivered()));
        self.gate.pass().await;
        self.done.note(0);
    }
}

fn counts(done: &[u32]) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for n in done {
        *counts.entry(*n).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn another_node_takes_over_what_a_dead_one_held() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(2).provide(work.clone()).start().await?;
    t.advance(MINUTE).await;
    let run = t.client().run(Work::SIMPLE).await?;
    t.advance(SECOND).await;
    let holder = work.log.all()[0].1.clone();
    let other = if holder == "a" { "b" } else { "a" };
    t.crash(&holder).await;
    t.advance(secs(5)).await;
    assert_eq!(work.log.len(), 1, "its lease is not over");
    t.advance(secs(25)).await;
    assert_eq!(work.log.all()[1..], [(0, other.to_owned(), 1)], "the same attempt, elsewhere");
    assert_eq!(work.redelivered.all(), [(0, 0), (0, 1)]);
    work.gate.open();
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries), (1, 0), "uncharged");
    let lost = t.events().into_iter().filter(|e| matches!(e, Event::NodeLost { node } if *node == holder));
    assert_eq!(lost.count(), 1);
    Ok(())
}

#[tokio::test]
async fn no_item_is_lost_by_a_crash_and_only_what_was_in_flight_is_repeated() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(2).provide(work.clone()).start().await?;
    t.advance(MINUTE).await;
    let run = t.client().run(Work::ITEMS).await?;
    t.advance(SECOND).await;
    work.gate.let_through(8);
    t.advance(SECOND).await;
    assert_eq!(work.done.len(), 8);
    let held_by_b: Vec<u32> = {
        let done = work.done.all();
        let log = work.log.all();
        log.iter().filter(|(n, node, _)| node == "b" && !done.contains(n)).map(|(n, ..)| *n).collect()
    };
    assert_eq!(held_by_b.len(), 5);
    t.crash("b").await;
    work.gate.open();
    t.advance(MINUTE).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.total, report.counts.ok), (30, 30));
    assert_eq!(counts(&work.done.all()), (0..30).map(|n| (n, 1)).collect());
    let mut again: Vec<u32> =
        work.redelivered.all().into_iter().filter(|(_, times)| *times > 0).map(|(n, _)| n).collect();
    again.sort_unstable();
    assert_eq!(again, held_by_b);
    assert_eq!(work.queries.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn crash_after_crash_loses_nothing() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(3).provide(work.clone()).start().await?;
    let run = t.client().run(Work::ITEMS).await?;
    for round in 0..12 {
        t.advance(MILLI * 700).await;
        work.gate.let_through(2);
        let node = ["a", "b", "c"][round % 3];
        t.crash(node).await;
        t.restart(node).await;
    }
    work.gate.open();
    t.advance(MINUTE * 2).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.total, report.counts.ok, report.counts.dead), (30, 30, 0));
    assert_eq!(counts(&work.done.all()).len(), 30);
    assert_eq!(work.queries.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn leftover_items_are_worked_at_start_without_running_the_query_again() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().provide(work.clone()).start().await?;
    let run = t.client().run(Work::ITEMS).await?;
    t.advance(SECOND).await;
    t.crash("a").await;
    t.advance(HOUR).await;
    work.gate.open();
    t.restart("a").await;
    t.advance(MINUTE).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 30);
    assert_eq!(work.queries.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn the_run_whose_query_died_with_its_node_is_filled_by_another() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(2).provide(work.clone()).start().await?;
    t.advance(MINUTE).await;
    let run = t.client().run(Work::SLOW_QUERY).await?;
    t.advance(SECOND).await;
    assert_eq!(work.queries.load(Ordering::Relaxed), 1);
    let filler = t.events().into_iter().find_map(|event| match event {
        Event::RunStarted { run: of, .. } if of == run.id() => Some(()),
        _ => None,
    });
    assert!(filler.is_some());
    for node in ["a", "b"] {
        t.crash(node).await;
        t.restart(node).await;
    }
    work.gate.open();
    t.advance(MINUTE).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.total, report.counts.ok), (3, 3));
    assert_eq!(work.done.all(), [1, 2, 3]);
    assert!(work.queries.load(Ordering::Relaxed) >= 2);
    Ok(())
}

#[tokio::test]
async fn what_takes_longer_than_the_lease_stays_with_its_node_while_that_lives() -> Result<()> {
    for job in ["work.slow-query", "work.simple"] {
        let work = Work::default();
        let t = Harness::new().nodes(3).provide(work.clone()).start().await?;
        let run = t.client().run(job).await?;
        t.advance(MINUTE * 40).await;
        work.gate.open();
        t.advance(SECOND).await;
        assert_eq!(t.client().report(run.id()).await?.ok()?.counts.retries, 0, "{job}");
        let calls = work.queries.load(Ordering::Relaxed) as usize + work.log.len();
        assert_eq!(calls, 1, "{job}: one lease of 15 s, renewed as long as it takes");
    }
    Ok(())
}

#[tokio::test]
async fn suspects_run_one_at_a_time_on_a_node() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().provide(work.clone()).start().await?;
    let run = t.client().run(Work::ITEMS).await?;
    t.advance(SECOND).await;
    assert_eq!(work.inside.now(), 5);
    t.crash("a").await;
    let before = work.log.len();
    t.restart("a").await;
    // Lets those pass that nobody suspects, one by one, until the suspects have their turn.
    for _ in 0..40 {
        t.advance(SECOND).await;
        let ended = work.done.all();
        let running = work.log.all()[before..].to_vec();
        let suspects: Vec<_> = running.iter().filter(|(n, ..)| *n < 5 && !ended.contains(n)).collect();
        assert!(suspects.len() <= 1, "{suspects:?}");
        work.gate.let_through(1);
    }
    work.gate.open();
    t.advance(MINUTE).await;
    assert_eq!(work.log.len(), 35, "each suspect once more, and no other");
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 30);
    Ok(())
}

/// An item that kills its node.
#[derive(Clone, Default)]
struct Killer {
    starts: Log<(u32, u32, u32)>,
    deadly: Gate,
}

#[cron_group("killer")]
impl Killer {
    #[query("item")]
    async fn find(&self) -> Vec<u32> {
        vec![1, 13, 3]
    }
    #[job("item", retries = 9)]
    async fn item(&self, n: u32, cx: &JobContext) {
        self.starts.note((n, cx.attempt(), cx.redelivered()));
        if n == 13 {
            self.deadly.pass().await;
        }
    }
}

#[tokio::test]
async fn an_item_that_kills_its_nodes_is_dead_as_poison_after_five_deliveries() -> Result<()> {
    let killer = Killer::default();
    let t = Harness::new().provide(killer.clone()).start().await?;
    let run = t.client().run(Killer::ITEM).await?;
    let mut deaths = 0;
    for _ in 0..10 {
        t.advance(SECOND).await;
        if !t.dead(Killer::ITEM).await.is_empty() {
            break;
        }
        deaths += 1;
        t.crash("a").await;
        t.restart("a").await;
    }
    assert_eq!(deaths, 5, "{:?}: the first makes a suspect, four under suspicion", killer.starts.all());
    let deliveries: Vec<_> = killer.starts.all().into_iter().filter(|(n, ..)| *n == 13).collect();
    assert_eq!(deliveries, (0..5).map(|times| (13, 1, times)).collect::<Vec<_>>());
    // What nobody has settled is swept every second.
    t.advance(secs(3)).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.dead), (RunState::Partial, 2, 1));
    let dead = t.dead(Killer::ITEM).await;
    assert_eq!((&dead[0].payload, dead.len()), (&serde_json::json!(13), 1));
    assert_eq!(dead[0].attempts.last().unwrap().kind, FailureKind::Poison);
    let said = t.events().into_iter().filter(
        |event| matches!(event, Event::ItemDead { failure, .. } if failure.kind == FailureKind::Poison),
    );
    assert_eq!(said.count(), 1);
    Ok(())
}

#[tokio::test]
async fn an_item_that_was_only_near_a_crash_is_not_charged() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().provide(work.clone()).start().await?;
    let run = t.client().run(Work::ITEMS).await?;
    // Each crash strikes up to five items; four deaths are too few to call one of them poison.
    for _ in 0..4 {
        t.advance(SECOND).await;
        work.gate.let_through(1);
        t.advance(SECOND).await;
        t.crash("a").await;
        t.restart("a").await;
    }
    work.gate.open();
    t.advance(MINUTE).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries, report.counts.dead), (30, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_crash_is_not_an_attempt_whatever_retries_says() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().provide(work.clone()).start().await?;
    let run = t.client().run(Work::SIMPLE).await?;
    t.advance(SECOND).await;
    for _ in 0..3 {
        t.crash("a").await;
        t.restart("a").await;
        t.advance(SECOND).await;
    }
    work.gate.open();
    t.advance(SECOND).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.retries, 0);
    assert_eq!(work.redelivered.all(), [(0, 0), (0, 1), (0, 2), (0, 3)]);
    assert!(work.log.all().iter().all(|(_, _, attempt)| *attempt == 1));
    Ok(())
}

#[tokio::test]
async fn shutdown_lets_running_attempts_end_and_gives_the_rest_back() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(2).provide(work.clone()).start().await?;
    let run = t.client().run(Work::ITEMS).await?;
    t.advance(SECOND).await;
    assert_eq!(work.inside.now(), 10);
    let gate = work.gate.clone();
    // Those that run on `b` end one second after it was told.
    let opened = tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        gate.open();
    });
    let ended = {
        let shutdown = t.runner("b").shutdown(secs(10));
        tokio::pin!(shutdown);
        let mut ended = None;
        for _ in 0..20 {
            tokio::select! {
                biased;
                result = &mut shutdown => { ended = Some(result); break; }
                () = t.advance(MILLI * 500) => {}
            }
        }
        ended
    };
    assert_eq!(ended, Some(Ok(())));
    opened.await?;
    let on_b = work.log.all().into_iter().filter(|(_, node, _)| node == "b").count();
    assert_eq!(on_b, 5, "nothing new was started");
    t.advance(secs(5)).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries), (30, 0));
    assert_eq!(counts(&work.done.all()), (0..30).map(|n| (n, 1)).collect());
    assert!(work.redelivered.all().iter().all(|(_, times)| *times == 0), "uncharged, and at once");
    Ok(())
}

#[tokio::test]
async fn after_the_grace_what_still_runs_is_dropped_and_goes_back_uncharged() -> Result<()> {
    let work = Work::default();
    let t = Harness::new().nodes(2).provide(work.clone()).start().await?;
    t.advance(MINUTE).await;
    let run = t.client().run(Work::SIMPLE).await?;
    t.advance(SECOND).await;
    let holder = work.log.all()[0].1.clone();
    let before = t.now();
    let ended = t.shutdown(&holder, secs(5)).await;
    assert_eq!(ended, Err(ShutdownError::GraceExceeded { cancelled: 1 }));
    let took = t.now().duration_since(before);
    assert!(took.as_secs() >= 5 && took.as_secs() < 7, "{took}");
    t.advance(SECOND).await;
    assert_eq!(work.inside.now(), 0, "simple does not enter");
    let log = work.log.all();
    assert_eq!(log.len(), 2, "at once on the other node: {log:?}");
    assert_ne!(log[1].1, holder);
    assert_eq!(log[1].2, 1);
    work.gate.open();
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!(report.counts.retries, 0);
    Ok(())
}

#[tokio::test]
async fn a_runner_that_shuts_down_fires_no_more_and_tells_its_handlers() -> Result<()> {
    /// Looks whether the end is near.
    #[derive(Clone, Default)]
    struct Watch(Log<bool>);
    #[cron_group("watch")]
    impl Watch {
        #[job("end", "* * * * *")]
        async fn end(&self, cx: &JobContext) {
            self.0.note(cx.is_shutting_down());
            while !cx.is_shutting_down() {
                tokio::time::sleep(MILLI * 100).await;
            }
            self.0.note(cx.is_shutting_down());
        }
    }
    let watch = Watch::default();
    let t = Harness::new().provide(watch.clone()).start().await?;
    t.advance(MINUTE).await;
    assert_eq!(t.shutdown("a", secs(5)).await, Ok(()));
    assert_eq!(watch.0.all(), [false, true]);
    t.advance(HOUR).await;
    assert_eq!(t.fired(Watch::END).len(), 1);
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(t.fired(Watch::END).len(), 2, "caught up by the next start");
    Ok(())
}

/// What runs on the real clock; each waits for a sign, none for a time.
#[derive(Clone, Default)]
struct Real {
    starts: Log<String>,
    gate: Gate,
    started: Arc<tokio::sync::Notify>,
    hang: Arc<AtomicBool>,
}

#[cron_group("real")]
impl Real {
    #[query("items")]
    async fn find(&self) -> Vec<u32> {
        (0..50).collect()
    }
    #[job("items")]
    async fn items(&self, n: u32, cx: &JobContext) {
        self.starts.note(format!("{} {n}", cx.node()));
    }

    #[job("hang")]
    async fn hang(&self, cx: &JobContext) {
        self.starts.note(format!("{} {}", cx.node(), cx.redelivered()));
        self.started.notify_one();
        if self.hang.load(Ordering::Relaxed) {
            self.gate.pass().await;
        }
    }
}

#[tokio::test]
async fn two_runners_in_one_process_share_a_store() -> Result<()> {
    let (real, store) = (Real::default(), MemoryStore::new());
    let start = |name: &str| {
        Runner::builder().store(store.clone()).only(["real.*"]).provide(real.clone()).node(name).start()
    };
    let (one, two) = (start("one").await?, start("two").await?);
    assert_eq!((one.node(), two.node()), ("one", "two"));
    let report = one.run(Real::ITEMS).await?.wait().await?.ok()?;
    assert_eq!((report.counts.ok, real.starts.len()), (50, 50));
    assert_eq!(two.client().report(report.id).await?, report);
    one.shutdown(SECOND).await?;
    two.run(Real::ITEMS).await?.wait().await?.ok()?;
    assert_eq!(real.starts.len(), 100);
    two.shutdown(SECOND).await?;
    Ok(())
}

#[tokio::test]
async fn a_runner_may_be_started_again_and_again() -> Result<()> {
    let (real, store) = (Real::default(), MemoryStore::new());
    for n in 1..=5 {
        let runner = Runner::builder()
            .store(store.clone())
            .only(["real.*"])
            .provide(Arc::new(real.clone()))
            .start()
            .await?;
        assert_eq!(runner.client().jobs().await?.len(), 2);
        runner.run(Real::ITEMS).await?.wait().await?.ok()?;
        assert_eq!(real.starts.len(), 50 * n);
        runner.shutdown(SECOND).await?;
        runner.wait().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_runner_gives_its_leases_back() -> Result<()> {
    let (real, store) = (Real::default(), MemoryStore::new());
    let start = |name: &str| {
        Runner::builder().store(store.clone()).only(["real.*"]).provide(real.clone()).node(name).start()
    };
    real.hang.store(true, Ordering::Relaxed);
    let one = start("one").await?;
    let run = one.run(Real::HANG).await?;
    real.started.notified().await;
    drop(one);
    real.hang.store(false, Ordering::Relaxed);
    let two = start("two").await?;
    let began = std::time::Instant::now();
    let report = two.client().handle(run.id()).await?.wait().await?.ok()?;
    assert!(began.elapsed() < secs(10), "before the lease was over");
    assert_eq!((report.counts.ok, report.counts.retries), (1, 0));
    assert_eq!(real.starts.all(), ["one 0", "two 0"]);
    two.shutdown(SECOND).await?;
    Ok(())
}

#[tokio::test]
async fn wait_ends_when_the_runner_is_shut_down() -> Result<()> {
    let runner = Arc::new(
        Runner::builder().store(MemoryStore::new()).only(["real.*"]).provide(Real::default()).start().await?,
    );
    let waiting = tokio::spawn({
        let runner = runner.clone();
        async move { runner.wait().await }
    });
    runner.shutdown(SECOND).await?;
    waiting.await??;
    // Once more changes nothing.
    runner.shutdown(SECOND).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_works_in_another_process_s_stead() -> Result<()> {
    let (real, store) = (Real::default(), MemoryStore::new());
    let client = Client::connect(store.clone()).await?;
    assert_eq!(client.jobs().await?.len(), 0);
    let runner = Runner::builder().store(store).only(["real.*"]).provide(real.clone()).start().await?;
    let report = client.run("real.items").await?.wait().await?.ok()?;
    assert_eq!(report.counts.ok, 50);
    runner.shutdown(SECOND).await?;
    Ok(())
}
