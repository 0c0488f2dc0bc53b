//! How much runs at once, and in which order (DESIGN §6, "Order and bounds").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::collections::BTreeMap;

use behaviour::{Gate, HOUR, Inside, Log, MILLI, MINUTE, SECOND, secs};
use jobs_runner::{Event, RunState, prelude::*, testing::Harness};

/// Forty items, each of which takes a second.
#[derive(Clone, Default)]
struct Many {
    inside: Inside,
    by_node: std::sync::Arc<std::sync::Mutex<BTreeMap<String, Inside>>>,
    starts: Log<u32>,
}

#[cron_group("many")]
impl Many {
    #[query("ten")]
    async fn q_ten(&self) -> Vec<u32> {
        (0..40).collect()
    }
    #[job("ten")]
    async fn ten(&self, n: u32, cx: &JobContext) {
        self.work(n, cx).await;
    }

    #[query("four")]
    async fn q_four(&self) -> Vec<u32> {
        (0..40).collect()
    }
    #[job("four", concurrency = 4)]
    async fn four(&self, n: u32, cx: &JobContext) {
        self.work(n, cx).await;
    }

    #[query("global-three")]
    async fn q_global_three(&self) -> Vec<u32> {
        (0..40).collect()
    }
    #[job("global-three", global_concurrency = 3)]
    async fn global_three(&self, n: u32, cx: &JobContext) {
        self.work(n, cx).await;
    }

    #[query("global-one")]
    async fn q_global_one(&self) -> Vec<u32> {
        (0..40).collect()
    }
    #[job("global-one", global_concurrency = 1)]
    async fn global_one(&self, n: u32, cx: &JobContext) {
        self.work(n, cx).await;
    }

    // So quick that items would be fetched ahead, if they were not counted over all runners.
    #[query("quick")]
    async fn q_quick(&self) -> Vec<u32> {
        (0..2_000).collect()
    }
    #[job("quick", global_concurrency = 2)]
    async fn quick(&self, n: u32) {
        let _inside = self.inside.enter();
        tokio::time::sleep(MILLI).await;
        self.starts.note(n);
    }
}

impl Many {
    async fn work(&self, n: u32, cx: &JobContext) {
        let _all = self.inside.enter();
        let node = self.by_node.lock().unwrap().entry(cx.node().to_owned()).or_default().clone();
        let _here = node.enter();
        self.starts.note(n);
        tokio::time::sleep(SECOND).await;
    }

    fn most_on_a_node(&self) -> Vec<usize> {
        self.by_node.lock().unwrap().values().map(Inside::most).collect()
    }
}

#[tokio::test]
async fn concurrency_bounds_a_job_in_one_runner_and_is_used_up() -> Result<()> {
    for (job, limit) in [("many.ten", 10), ("many.four", 4)] {
        let many = Many::default();
        let t = Harness::new().provide(many.clone()).start().await?;
        let report = t.run(job).await?.ok()?;
        assert_eq!(report.counts.ok, 40, "{job}");
        assert_eq!(many.inside.most(), limit, "{job}");
        assert_eq!(many.inside.now(), 0, "{job}: no report before the last has ended");
        assert_eq!(many.starts.all().len(), 40, "{job}: each once");
    }
    Ok(())
}

#[tokio::test]
async fn concurrency_is_of_each_runner() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().nodes(3).provide(many.clone()).start().await?;
    t.run("many.four").await?.ok()?;
    assert_eq!(many.most_on_a_node(), [4, 4, 4]);
    assert_eq!(many.inside.most(), 12);
    Ok(())
}

#[tokio::test]
async fn global_concurrency_bounds_a_job_over_all_runners_at_every_instant() -> Result<()> {
    for (job, limit) in [("many.global-three", 3), ("many.global-one", 1)] {
        let many = Many::default();
        let t = Harness::new().nodes(3).provide(many.clone()).start().await?;
        let report = t.run(job).await?.ok()?;
        assert_eq!((report.counts.ok, many.starts.len()), (40, 40), "{job}");
        assert_eq!(many.inside.most(), limit, "{job}");
    }
    Ok(())
}

#[tokio::test]
async fn global_concurrency_holds_for_handlers_that_are_quick() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().nodes(2).provide(many.clone()).start().await?;
    t.run("many.quick").await?.ok()?;
    assert_eq!((many.inside.most(), many.starts.len()), (2, 2_000));
    Ok(())
}

#[tokio::test]
async fn a_crash_leaks_no_slot() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().nodes(2).provide(many.clone()).start().await?;
    let run = t.client().run("many.global-three").await?;
    t.advance(secs(5)).await;
    for _ in 0..3 {
        t.crash("b").await;
        t.restart("b").await;
        t.advance(secs(2)).await;
    }
    t.advance(MINUTE * 5).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 40);
    assert_eq!(many.inside.most(), 3);
    let many_again = t.run("many.global-three").await?.ok()?;
    let took = many_again.finished_at.unwrap().duration_since(many_again.started_at);
    assert!(took.as_secs() <= 15, "40 items, 3 at a time: {took}");
    Ok(())
}

#[tokio::test]
async fn max_concurrency_bounds_the_process() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).with(|b| b.max_concurrency(5)).start().await?;
    let one = t.client().run("many.ten").await?;
    let two = t.client().run("many.four").await?;
    t.advance(MINUTE).await;
    for run in [one, two] {
        t.client().report(run.id()).await?.ok()?;
    }
    assert_eq!((many.inside.most(), many.starts.len()), (5, 80));
    Ok(())
}

#[tokio::test]
async fn items_start_in_the_querys_order_strictly_where_there_is_one_at_a_time() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().nodes(2).provide(many.clone()).start().await?;
    t.run("many.global-one").await?.ok()?;
    assert_eq!(many.starts.take(), (0..40).collect::<Vec<_>>(), "strictly, one at a time");
    Ok(())
}

#[tokio::test]
async fn items_start_in_the_querys_order_to_within_what_is_leased() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).start().await?;
    t.run("many.ten").await?.ok()?;
    let starts = many.starts.take();
    for (place, n) in starts.iter().enumerate() {
        assert!(place.abs_diff(*n as usize) < 20, "to within what is leased: {starts:?}");
    }
    Ok(())
}

/// A job whose runs may not run at once, and one whose may.
#[derive(Clone, Default)]
struct Alone {
    inside: Inside,
    log: Log<String>,
    gate: Gate,
}

#[cron_group("alone")]
impl Alone {
    // The next tick comes while the retry of the last waits, and again when it is due.
    #[job(
        "sweep",
        "0 * * * *",
        retries = 1,
        retry_delay = "90m",
        max_retry_delay = "90m",
        max_compute_time = "3h"
    )]
    async fn sweep(&self, cx: &JobContext) -> Result<()> {
        let _inside = self.inside.enter();
        let tick = cx.tick().unwrap().to_string()[11..16].to_owned();
        self.log.note(format!("{tick} {}", cx.attempt()));
        if tick == "01:00" && cx.attempt() == 1 {
            return Err("later".into());
        }
        if tick == "02:00" {
            tokio::time::sleep(MINUTE * 50).await;
        }
        self.log.note(format!("{tick} done"));
        Ok(())
    }

    #[job("side-by-side", "* * * * *", overlap = "allow")]
    async fn side_by_side(&self) {
        let _inside = self.inside.enter();
        self.gate.pass().await;
    }

    #[job("by-hand", retries = 1, retry_delay = "1m")]
    async fn by_hand(&self, cx: &JobContext) -> Result<()> {
        let _inside = self.inside.enter();
        self.log.note(format!("attempt {}", cx.attempt()));
        if cx.attempt() == 1 && self.log.len() == 1 {
            return Err("first".into());
        }
        tokio::time::sleep(MINUTE * 5).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_retry_of_a_job_without_query_waits_for_the_run_that_came_between() -> Result<()> {
    let alone = Alone::default();
    let t = Harness::new().nodes(2).provide(alone.clone()).with(|b| b.only(["alone.sweep"])).start().await?;
    t.advance(HOUR * 3 - SECOND).await;
    assert_eq!(
        alone.log.all(),
        ["01:00 1", "02:00 1", "02:00 done", "01:00 2", "01:00 done"],
        "the retry was due at 02:30, and waited until 02:50"
    );
    assert_eq!(alone.inside.most(), 1);
    Ok(())
}

#[tokio::test]
async fn runs_by_hand_are_exclusive_too() -> Result<()> {
    let alone = Alone::default();
    let t =
        Harness::new().nodes(2).provide(alone.clone()).with(|b| b.only(["alone.by-hand"])).start().await?;
    let one = t.client().run(Alone::BY_HAND).await?;
    t.advance(SECOND).await;
    // The first waits for its retry, and is not busy.
    let two = t.client().run(Alone::BY_HAND).await?;
    t.advance(MINUTE * 3).await;
    assert_eq!(alone.inside.now(), 1);
    t.advance(MINUTE * 20).await;
    for run in [one, two] {
        assert_eq!(t.client().report(run.id()).await?.state, RunState::Succeeded);
    }
    assert_eq!(alone.inside.most(), 1);
    Ok(())
}

#[tokio::test]
async fn overlap_allow_lifts_the_exclusivity() -> Result<()> {
    let alone = Alone::default();
    let t = Harness::new().provide(alone.clone()).with(|b| b.only(["alone.side-by-side"])).start().await?;
    t.advance(MINUTE * 4).await;
    assert_eq!(alone.inside.now(), 4);
    alone.gate.open();
    t.advance(SECOND).await;
    assert_eq!(alone.inside.now(), 0);
    Ok(())
}

/// Jobs that compete for one slot.
#[derive(Clone, Default)]
struct Rivals {
    log: Log<&'static str>,
    gate: Gate,
}

#[cron_group("rivals", concurrency = 1)]
impl Rivals {
    #[job("block", priority = 100)]
    async fn block(&self) {
        self.gate.pass().await;
    }

    #[query("low")]
    async fn q_low(&self) -> Vec<u32> {
        vec![0; 4]
    }
    #[job("low", priority = -5)]
    async fn low(&self, _n: u32) {
        self.work("low").await;
    }
    #[query("one")]
    async fn q_one(&self) -> Vec<u32> {
        vec![0; 4]
    }
    #[job("one")]
    async fn one(&self, _n: u32) {
        self.work("one").await;
    }
    #[query("two")]
    async fn q_two(&self) -> Vec<u32> {
        vec![0; 4]
    }
    #[job("two")]
    async fn two(&self, _n: u32) {
        self.work("two").await;
    }
    #[query("high")]
    async fn q_high(&self) -> Vec<u32> {
        vec![0; 4]
    }
    #[job("high", priority = 9)]
    async fn high(&self, _n: u32) {
        self.work("high").await;
    }
}

impl Rivals {
    // Long, so that nothing is fetched ahead.
    async fn work(&self, name: &'static str) {
        self.log.note(name);
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test]
async fn free_slots_go_to_the_highest_priority_whatever_came_first() -> Result<()> {
    let rivals = Rivals::default();
    let t = Harness::new().provide(rivals.clone()).with(|b| b.max_concurrency(1)).start().await?;
    let _block = t.client().run(Rivals::BLOCK).await?;
    t.advance(MILLI).await;
    for job in ["rivals.low", "rivals.one", "rivals.high"] {
        let _run = t.client().run(job).await?;
        t.advance(MILLI).await;
    }
    rivals.gate.open();
    t.advance(MINUTE).await;
    let log = rivals.log.all();
    // The queries compete for the slot as well: the first of each priority runs first.
    assert_eq!(log.len(), 12);
    let last = |name| log.iter().rposition(|n| *n == name).unwrap();
    let first = |name| log.iter().position(|n| *n == name).unwrap();
    assert!(last("high") < first("one") && last("one") < first("low"), "{log:?}");
    Ok(())
}

#[tokio::test]
async fn jobs_that_tie_take_turns() -> Result<()> {
    let rivals = Rivals::default();
    let t = Harness::new().provide(rivals.clone()).with(|b| b.max_concurrency(1)).start().await?;
    let _block = t.client().run(Rivals::BLOCK).await?;
    t.advance(MILLI).await;
    for job in ["rivals.one", "rivals.two"] {
        let _run = t.client().run(job).await?;
    }
    rivals.gate.open();
    t.advance(MINUTE).await;
    let log = rivals.log.all();
    assert_eq!(log.len(), 8);
    // Neither is done before the other has had its turns.
    let turns = log.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns >= 6, "{log:?}");
    Ok(())
}

#[tokio::test]
async fn a_job_at_its_limit_does_not_block_the_others() -> Result<()> {
    let (many, rivals) = (Many::default(), Rivals::default());
    let t = Harness::new().provide(many.clone()).provide(rivals.clone()).start().await?;
    let _block = t.client().run(Rivals::BLOCK).await?;
    t.advance(MILLI).await;
    let report = t.run("many.four").await?.ok()?;
    let took = report.finished_at.unwrap().duration_since(report.started_at);
    assert!(took.as_secs() <= 11, "{took}");
    Ok(())
}

#[tokio::test]
async fn a_query_counts_against_no_limit_of_its_job() -> Result<()> {
    let rivals = Rivals::default();
    let t = Harness::new().provide(rivals.clone()).start().await?;
    // Its one slot is taken by an item of the first run while the second run is filled.
    let one = t.client().run("rivals.one").await?;
    t.advance(MILLI * 50).await;
    let events = t.events();
    assert!(events.iter().any(|e| matches!(e, Event::RunFilled { run, .. } if *run == one.id())));
    t.advance(MINUTE).await;
    assert_eq!(rivals.log.len(), 4);
    Ok(())
}

/// Quick items, and one that is stuck.
#[derive(Clone, Default)]
struct Uneven {
    done: Log<(u32, String)>,
    gate: Gate,
}

#[cron_group("uneven")]
impl Uneven {
    #[query("work")]
    async fn find(&self) -> Vec<u32> {
        (0..2_000).collect()
    }
    #[job("work", concurrency = 1)]
    async fn work(&self, n: u32, cx: &JobContext) {
        if n == 1_500 {
            self.gate.pass().await;
        }
        self.done.note((n, cx.node().to_owned()));
    }
}

#[tokio::test]
async fn quick_items_are_fetched_ahead_and_those_not_started_go_back_to_others() -> Result<()> {
    let uneven = Uneven::default();
    let t = Harness::new().nodes(2).provide(uneven.clone()).start().await?;
    let run = t.client().run(Uneven::WORK).await?;
    t.advance(secs(1)).await;
    let held = 1_999 - uneven.done.len();
    assert!((1..64).contains(&held), "{held} wait behind the one that is stuck");
    t.advance(secs(4)).await;
    assert_eq!(uneven.done.len(), 1_999, "all but the one that is stuck");
    uneven.gate.open();
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries, uneven.done.len()), (2_000, 0, 2_000));
    Ok(())
}

#[tokio::test]
async fn a_simple_job_of_a_node_that_is_full_waits_for_a_slot_or_another_node() -> Result<()> {
    let (uneven, rivals) = (Uneven::default(), Rivals::default());
    let t = Harness::new()
        .nodes(2)
        .provide(uneven.clone())
        .provide(rivals.clone())
        .with(|b| b.max_concurrency(1))
        .start()
        .await?;
    let block = t.client().run(Rivals::BLOCK).await?;
    t.advance(SECOND).await;
    let report = t.run("rivals.two").await?.ok()?;
    assert_eq!((report.counts.ok, rivals.log.len()), (4, 4), "the other node does it");
    rivals.gate.open();
    t.advance(SECOND).await;
    t.client().report(block.id()).await?.ok()?;
    Ok(())
}
