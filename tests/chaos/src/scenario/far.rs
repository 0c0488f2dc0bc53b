//! The server is ten milliseconds away, each way, and processes are killed meanwhile.

use std::time::Duration;

use jobs_runner::prelude::*;
use servers::proxy::Proxy;

use super::{
    Outcome, Play,
    server::{PROCESSES, orders},
};
use crate::{stage::Stage, worker::Orders};

/// How much later everything arrives.
const DELAY: Duration = Duration::from_millis(10);

/// Everybody goes the long way: the processes, and whoever asks for runs. Of some runs every item fails.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { also: vec!["chaos.fail".to_owned()], ..orders() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let way = Proxy::start(stage.backend.port()?)?;
    way.delay(DELAY);
    stage.connect(&stage.backend.url_through(way.port())).await?;
    let mut all = stage.start_all(PROCESSES).await?;
    let faults = play.faults.min(if play.short { 5 } else { 50 });
    let mut kills = 0;
    while kills < faults {
        stage.run("chaos.fail").await?;
        let victim = fastrand::usize(..PROCESSES);
        stage.busy_until_it_works("chaos.load", &all[victim], fastrand::u64(1..300)).await?;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..50_000))).await;
        stage.suffered(all.swap_remove(victim).kill()?);
        all.push(stage.start().await?);
        kills += 1;
        // A kill in which nothing was in flight does not count.
        if kills == faults {
            kills = stage.hits()?;
        }
    }
    let (verdict, _) = stage.conclude(all).await?;
    let kills = verdict.kills;
    Ok(Outcome::new("far", play, verdict)
        .demand_short_calls(play)
        .demand(kills >= faults, || format!("{kills} kills hit something in flight, and not {faults}")))
}
