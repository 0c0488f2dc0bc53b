//! A process is killed at random moments, and another one goes on.

use std::time::Duration;

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{stage::Stage, worker::Orders};

/// The process under test works on runs of some thousand items, and on a tick each second.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { items: 3_000, work: 4_000, concurrency: 50, ticks: true, ..Orders::default() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let mut process = stage.start().await?;
    let mut kills = 0;
    while kills < play.faults {
        stage.busy_until_it_works("chaos.load", &process, fastrand::u64(1..600)).await?;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        stage.suffered(process.kill()?);
        process = stage.start().await?;
        kills += 1;
        // A kill in which nothing was in flight does not count.
        if kills == play.faults {
            kills = stage.hits()?;
        }
    }
    let faults = play.faults;
    let outcome = Outcome::new("kill", play, stage.conclude(vec![process]).await?.0);
    let kills = outcome.verdict.kills;
    Ok(outcome.demand(kills >= faults, || format!("{kills} kills hit something in flight, and not {faults}")))
}
