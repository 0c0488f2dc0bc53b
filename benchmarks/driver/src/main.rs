//! Measures the runner on each store, in one process; a private server is started for stores that need one.
//!
//! `driver [ITEMS] [ROUNDS] [STORE]`: a query finds ITEMS small items, and a handler that does nothing is called for
//! each, end to end: fill, run, settle. Beside it, the same items go through the same store without a runner: encoded,
//! appended, leased, decoded, settled. The ratio of the two is what the runner costs.
//!
//! `driver far [ITEMS] [STORE..]`: the same fan-out, and 256 ticks at one instant, at 0, 1, 10 and 30 ms of round trip,
//! on Redis and Postgres. What has not ended after a minute is `never`.
//!
//! `driver runs [SECONDS] [STORE..]`: runs by hand of one item, end to end, with 1 and with 16 callers.
//!
//! STORE is `memory`, `sqlite`, `sqlite-full` (each commit waits for the disk), `redis` (its append-only file is synced
//! every second), `redis-always` (each operation waits for the disk) or `postgres` (each commit waits for the disk).

mod bare;
mod fan_out;
mod far;
mod runs;
mod stores;
mod ticks;

use std::time::Duration;

use jobs_runner::prelude::*;

/// Nothing of this takes so long, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str).peekable();
    match words.next_if(|word| ["far", "runs"].contains(word)) {
        Some("far") => {
            let items = words.next().map(str::parse).transpose()?.unwrap_or(100_000);
            far::measure(items, &or_all(words.collect(), &["redis", "postgres"])).await
        }
        Some(_) => {
            let seconds = words.next().map(str::parse).transpose()?.unwrap_or(5);
            let all = ["memory", "sqlite", "sqlite-full", "redis", "redis-always", "postgres"];
            runs::measure(Duration::from_secs(seconds), &or_all(words.collect(), &all)).await
        }
        None => {
            let items = words.next().map(str::parse).transpose()?.unwrap_or(1_000_000);
            let rounds = words.next().map(str::parse).transpose()?.unwrap_or(3);
            beside_the_store(items, rounds, words.next().unwrap_or("memory")).await
        }
    }
}

fn or_all<'a>(given: Vec<&'a str>, all: &[&'a str]) -> Vec<&'a str> {
    if given.is_empty() { all.to_vec() } else { given }
}

async fn beside_the_store(items: u64, rounds: u32, kind: &str) -> Result<()> {
    println!("{:>12} {:>12} {:>6}", "runner/s", "bare/s", "ratio");
    for _ in 0..rounds {
        let opened = stores::open(kind).await?;
        let through = fan_out::drive(opened.store.clone(), items, PATIENCE).await?;
        let through = through.ok_or("the runner does not come to an end")?;
        drop(opened);
        let opened = stores::open(kind).await?;
        let bare = bare::drive(opened.store.clone(), items).await?;
        println!("{through:>12.0} {bare:>12.0} {:>6.2}", through / bare);
    }
    Ok(())
}
