//! A process is killed at random moments, and another one goes on.

use std::time::Duration;

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{stage::Stage, worker::Orders};

/// Works on runs of some thousand items, and on a tick each second.
fn orders() -> Orders {
    Orders { items: 3_000, work: 4_000, concurrency: 50, ticks: true, ..Orders::default() }
}

/// One process, and whoever is started in its place goes on.
pub(super) async fn alone(play: &Play<'_>) -> Result<Outcome> {
    among("kill", 1, play).await
}

/// Four processes, of which any is killed.
pub(super) async fn among_four(play: &Play<'_>) -> Result<Outcome> {
    among("kill4", 4, play).await
}

async fn among(name: &'static str, processes: usize, play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let mut all = stage.start_all(processes).await?;
    let mut kills = 0;
    while kills < play.faults {
        let victim = fastrand::usize(..processes);
        stage.busy_until_it_works("chaos.load", &all[victim], fastrand::u64(1..600)).await?;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        stage.suffered(all.swap_remove(victim).kill()?);
        all.push(stage.start().await?);
        kills += 1;
        // A kill in which nothing was in flight does not count.
        if kills == play.faults {
            kills = stage.hits()?;
        }
    }
    let faults = play.faults;
    let outcome = Outcome::new(name, play, stage.conclude(all).await?.0);
    let kills = outcome.verdict.kills;
    Ok(outcome.demand(kills >= faults, || format!("{kills} kills hit something in flight, and not {faults}")))
}
