//! Promises that no other test would miss (`tests/mutants/` breaks each of them).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // A test may panic.

use behaviour::{HOUR, Log, MILLI, MINUTE, SECOND, secs};
use jobs_runner::{
    ShutdownError,
    prelude::*,
    testing::{Harness, Running},
};

/// Takes longer than the next tick is away.
#[derive(Clone, Default)]
struct Slow;

#[cron_group("slow")]
impl Slow {
    #[job("work", "* * * * *", overlap = "allow")]
    async fn work(&self) {
        tokio::time::sleep(secs(150)).await;
    }
}

async fn shut_down(t: &Running) -> std::result::Result<(), ShutdownError> {
    let shutdown = t.runner("a").shutdown(HOUR);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            result = &mut shutdown => return result,
            () = t.advance(MILLI * 100) => {}
        }
    }
}

#[tokio::test]
async fn no_tick_fires_within_the_grace() -> Result<()> {
    let t = Harness::new().provide(Slow).start().await?;
    t.advance(MINUTE + SECOND).await;
    assert_eq!(t.fired(Slow::WORK).len(), 1);
    let ended = shut_down(&t).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(t.fired(Slow::WORK).len(), 1, "two ticks passed while the first run ended");
    Ok(())
}

/// Many items, each ready in no time, so that some are leased ahead; and one that takes a while.
#[derive(Clone, Default)]
struct Many {
    started: Log<u32>,
    done: Log<u32>,
}

#[cron_group("many")]
impl Many {
    #[query("quick")]
    async fn find(&self) -> Vec<u32> {
        (0..2_000).collect()
    }

    #[job("quick")]
    async fn quick(&self, n: u32) {
        self.started.note(n);
        tokio::time::sleep(MILLI * 20).await;
        self.done.note(n);
    }

    #[job("long")]
    async fn long(&self) {
        self.started.note(0);
        tokio::time::sleep(secs(20)).await;
        self.done.note(0);
    }
}

#[tokio::test]
async fn what_runs_when_a_pause_comes_goes_on() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).start().await?;
    let run = t.client().run(Many::LONG).await?;
    t.advance(SECOND).await;
    t.client().pause("many.*", "stocktaking").await?;
    t.advance(secs(30)).await;
    assert_eq!((many.started.len(), many.done.len()), (1, 1));
    t.client().report(run.id()).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn what_was_leased_ahead_when_a_pause_comes_goes_back() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).start().await?;
    let run = t.client().run(Many::QUICK).await?;
    t.advance(MILLI * 500).await;
    t.client().pause("many.*", "stocktaking").await?;
    t.advance(MILLI * 3).await;
    let started = many.started.len();
    t.advance(MINUTE).await;
    assert!(started > 0 && started < 2_000, "{started}");
    assert_eq!((many.started.len(), many.done.len()), (started, started));
    t.client().resume("many.*").await?;
    t.advance(MINUTE).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 2_000);
    assert_eq!(many.started.len(), 2_000);
    Ok(())
}

#[tokio::test]
async fn what_was_leased_ahead_when_a_runner_shuts_down_is_not_started() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).start().await?;
    let _run = t.client().run(Many::QUICK).await?;
    t.advance(MILLI * 500).await;
    let started = many.started.len();
    assert_eq!(shut_down(&t).await, Ok(()));
    assert!(started > 0 && started < 2_000, "{started}");
    assert_eq!((many.started.len(), many.done.len()), (started, started));
    Ok(())
}

#[tokio::test]
async fn what_was_found_is_worked_though_its_job_is_stopped() -> Result<()> {
    let many = Many::default();
    let t = Harness::new().provide(many.clone()).start().await?;
    let run = t.client().run(Many::QUICK).await?;
    t.advance(MILLI * 500).await;
    t.runner("a").stop(Many::QUICK)?;
    let started = many.started.len();
    assert!(started > 0 && started < 2_000, "{started}");
    t.advance(secs(10)).await;
    assert_eq!(t.client().report(run.id()).await?.ok()?.counts.ok, 2_000);
    Ok(())
}
