//! Runs by hand of one item: from the request until the caller hears that the run is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs_runner::prelude::*;

use crate::stores;

#[derive(Default)]
struct Single;

#[cron_group("single")]
impl Single {
    #[job("run", overlap = "allow", concurrency = 64)]
    async fn run(&self) {}
}

/// Prints a line for each store: runs per second, and how long one takes, with one caller and with sixteen.
pub async fn measure(time: Duration, kinds: &[&str]) -> Result<()> {
    println!(
        "{:>14} {:>12} {:>8} {:>8} {:>12} {:>8} {:>8}",
        "store", "1 caller/s", "p50 ms", "p99 ms", "16 callers/s", "p50 ms", "p99 ms"
    );
    for kind in kinds {
        let mut line = format!("{kind:>14}");
        for callers in [1, 16] {
            let took = drive(kind, callers, time).await?;
            let rate = took.len() as f64 / time.as_secs_f64();
            let at = |percent: usize| {
                took.get(took.len() * percent / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3)
            };
            line += &format!(" {rate:>12.0} {:>8.2} {:>8.2}", at(50), at(99));
        }
        println!("{line}");
    }
    Ok(())
}

/// How long each run took, in order.
async fn drive(kind: &str, callers: usize, time: Duration) -> Result<Vec<Duration>> {
    let opened = stores::open(kind).await?;
    let builder = Runner::builder().store(opened.store.clone()).provide(Single).only(["single.*"]);
    let runner = Arc::new(builder.start().await?);
    let until = Instant::now() + time;
    let mut calling = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let runner = runner.clone();
        calling.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                runner.run(Single::RUN).await?.wait().await?.ok()?;
                took.push(began.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(took)
        });
    }
    let mut all = Vec::new();
    while let Some(took) = calling.join_next().await {
        all.extend(took??);
    }
    all.sort();
    runner.shutdown(Duration::from_secs(1)).await?;
    Ok(all)
}
