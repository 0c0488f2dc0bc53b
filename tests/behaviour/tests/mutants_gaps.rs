//! Promises that no other test would miss (`tests/mutants/` breaks each of them).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)] // A test may panic.

use behaviour::{HOUR, MINUTE, SECOND, secs};
use jobs_runner::{prelude::*, testing::Harness};

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

#[tokio::test]
async fn no_tick_fires_within_the_grace() -> Result<()> {
    let t = Harness::new().provide(Slow).start().await?;
    t.advance(MINUTE + SECOND).await;
    assert_eq!(t.fired(Slow::WORK).len(), 1);
    let ended = {
        let shutdown = t.runner("a").shutdown(HOUR);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                result = &mut shutdown => break result,
                () = t.advance(SECOND) => {}
            }
        }
    };
    assert_eq!(ended, Ok(()));
    assert_eq!(t.fired(Slow::WORK).len(), 1, "two ticks passed while the first run ended");
    Ok(())
}
