//! Ten processes: that start at once on nothing, and that find a thousand ticks.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jobs_runner::prelude::*;

use super::{Outcome, Play, server::orders};
use crate::{
    jobs::TICK,
    process::Process,
    record::{Kind, Record},
    stage::{PATIENCE, Stage},
    worker::Orders,
};

const PROCESSES: usize = 10;

/// Started in the same instant, on a store that has nothing in it, not even its tables.
pub(super) async fn at_once(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let all = begin(&stage).await?;
    stage.busy_for("chaos.load", Duration::from_secs(play.seconds)).await?;
    let (verdict, _) = stage.conclude(all).await?;
    let (repeated, shares) = (verdict.repeated, verdict.shares.clone());
    Ok(Outcome::new("crowd", play, verdict)
        .demand(repeated == 0, || "nothing happened, and items were repeated".to_owned())
        .demand(shares.iter().all(|share| *share > 0), || format!("the items were shared so: {shares:?}")))
}

/// A schedule that was last looked at a thousand seconds ago is caught up by all of them.
pub(super) async fn a_thousand_ticks(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { concurrency: 50, ticks: true, ..Orders::default() };
    let stage = Stage::new(play.program, play.store, orders).await?;
    let ago = Orders { offset: -990_000, ..stage.orders().clone() };
    let first = stage.start_with(&ago).await?;
    stage.until_it_works(&first, 2)?;
    first.end()?;
    let all = begin(&stage).await?;
    let deadline = Instant::now() + PATIENCE;
    while ticks(&stage.logs()?) < 1_000 {
        if Instant::now() > deadline {
            return Err(
                format!("after {} s {} ticks have fired", PATIENCE.as_secs(), ticks(&stage.logs()?)).into()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (verdict, _) = stage.conclude(all).await?;
    let repeated = verdict.repeated;
    Ok(Outcome::new("ticks", play, verdict)
        .demand(repeated == 0, || "nothing happened, and a tick was worked on twice".to_owned()))
}

/// All start together, and have joined.
async fn begin(stage: &Stage) -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for _ in 0..PROCESSES {
        all.push(stage.begin(stage.orders())?);
    }
    for process in &all {
        stage.joined(process).await?;
    }
    Ok(all)
}

/// How many ticks have fired.
fn ticks(logs: &[Vec<Record>]) -> usize {
    let ticks = logs.iter().flatten().filter(|record| record.kind == Kind::Begin && record.job == TICK);
    ticks.map(|record| record.value).collect::<BTreeSet<_>>().len()
}
