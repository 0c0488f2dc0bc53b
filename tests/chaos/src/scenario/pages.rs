//! The process that runs a query page by page is killed, again and again.

use std::{collections::HashSet, time::Duration};

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{
    jobs::PAGES,
    record::{Kind, Record},
    stage::Stage,
    worker::Orders,
};

/// Every id is seen, in whatever order and however often it was handed out.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let items = if play.short { 50_000 } else { 1_000_000 };
    let orders = Orders { items, work: 1_000, concurrency: 50, ..Orders::default() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let mut process = stage.start().await?;
    stage.run("chaos.pages").await?;
    let faults = play.faults.min(if play.short { 5 } else { 20 });
    let mut kills = 0;
    // A kill in which nothing was in flight does not count; there are items for so many.
    while kills < faults || kills < 4 * faults && stage.hits()? == 0 {
        kills += 1;
        // Some thousand items, and so at least a page further.
        stage.until_it_works(&process, items / 40)?;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..5_000))).await;
        stage.suffered(process.kill()?);
        process = stage.start().await?;
    }
    let (verdict, logs) = stage.conclude(vec![process]).await?;
    let seen = Seen::of(&logs);
    let hits = verdict.kills;
    let outcome = Outcome::new("pages", play, verdict);
    Ok(outcome
        .demand(seen == Seen::all(items), || format!("of the ids 0..{items} there were seen {seen:?}"))
        .demand(hits > 0, || "no kill hit anything in flight".to_owned()))
}

/// The distinct ids that handlers came to the end of.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    count: u64,
    sum: u64,
    xor: u64,
}

impl Seen {
    fn of(logs: &[Vec<Record>]) -> Self {
        let ended = logs.iter().flatten().filter(|r| r.kind == Kind::End && r.job == PAGES);
        let distinct: HashSet<u64> = ended.map(|record| record.value).collect();
        Self {
            count: distinct.len() as u64,
            sum: distinct.iter().sum(),
            xor: distinct.iter().fold(0, |xor, id| xor ^ id),
        }
    }

    fn all(n: u64) -> Self {
        Self { count: n, sum: (0..n).sum(), xor: (0..n).fold(0, |xor, id| xor ^ id) }
    }
}
