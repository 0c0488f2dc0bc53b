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

/// A beat takes some round trips now, so a lease is longer than near a server.
const LEASE: Duration = Duration::from_secs(3);

/// Everybody goes the long way: the processes, and whoever asks for runs. Of some runs every item fails.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { also: vec!["chaos.fail".to_owned()], lease: LEASE, ..orders() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let way = Proxy::start(stage.backend.port()?)?;
    way.delay(DELAY);
    stage.connect(&stage.backend.url_through(way.port())).await?;
    // Suspects are leased one at a time, and each takes a way there and back: a few minutes, after some kills.
    stage.be_patient(3);
    let mut all = stage.start_all(PROCESSES).await?;
    let faults = play.faults.min(if play.short { 3 } else { 50 });
    for _ in 0..faults {
        stage.run("chaos.fail").await?;
        let victim = fastrand::usize(..PROCESSES);
        stage.busy_until_it_works("chaos.load", &all[victim], fastrand::u64(1..300)).await?;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..50_000))).await;
        stage.suffered(all.swap_remove(victim).kill()?);
        all.push(stage.start().await?);
    }
    let (verdict, _) = stage.conclude(all).await?;
    // Most of the time an item is done, and its end is on the way to the server: then it is done again.
    let hits = verdict.kills + verdict.repeated;
    Ok(Outcome::new("far", play, verdict)
        .demand_short_calls(play)
        .demand(hits > 0, || "no kill hit anything in flight".to_owned()))
}
