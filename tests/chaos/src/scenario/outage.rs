//! The store does not answer for half of a long lease: nobody is interrupted.

use std::time::Duration;

use jobs_runner::prelude::*;

use super::{Outcome, Play, server::hits};
use crate::{record::Kind, stage::Stage, worker::Orders};

/// Trust ends 0.8 of a lease after the last good beat, and a beat comes every fifth of it: three fifths are bridged.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let (lease, outage) = if play.short { (10, 5) } else { (120, 60) };
    let work = Duration::from_secs(outage * 3 / 2);
    let orders = Orders {
        items: 60,
        work: u64::try_from(work.as_micros())?,
        concurrency: 10,
        lease: Duration::from_secs(lease),
        ..Orders::default()
    };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let all = stage.start_all(2).await?;
    stage.run("chaos.load").await?;
    for process in &all {
        stage.until_it_works(process, 10)?;
    }
    hits(&mut stage, &all);
    stage.backend.stop()?;
    tokio::time::sleep(Duration::from_secs(outage)).await;
    stage.backend.go_on()?;
    let (verdict, logs) = stage.conclude(all).await?;
    let (hit, repeated) = (verdict.kills, verdict.repeated);
    let lost = logs.iter().flatten().filter(|record| record.kind == Kind::Lost).count();
    Ok(Outcome::new("outage", play, verdict)
        .demand(hit == 2, || "a process had nothing in flight".to_owned())
        .demand(repeated == 0 && lost == 0, || format!("{repeated} items were repeated, {lost} leases lost")))
}
