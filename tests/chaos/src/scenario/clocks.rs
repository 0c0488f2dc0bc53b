//! The clocks of the nodes, which say nothing, and the store's own, which steps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobs_runner::prelude::*;
use rustix::process::Signal;

use super::{
    Outcome, Play,
    server::{PROCESSES, concluded, hits, orders},
};
use crate::{
    jobs::TICK,
    record::{Kind, Record},
    stage::Stage,
    worker::{Orders, offset_file},
};

/// What the processes take for the time of day: one is right, and one is a year ahead.
const CLOCKS: [&str; PROCESSES] = ["+0s", "+420s", "-900s", "+31536000s"];

/// Every tick fires in the store's time, whoever fires it.
pub(super) async fn shifted(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let since = seconds_since_1970();
    let mut all = Vec::new();
    for clock in CLOCKS {
        let orders = Orders { clock: Some(clock.to_owned()), ..stage.orders().clone() };
        all.push(stage.start_with(&orders).await?);
    }
    stage.busy_for("chaos.load", Duration::from_secs(play.seconds.max(5))).await?;
    let mut silent = Vec::new();
    for (process, clock) in all.iter().zip(CLOCKS).skip(1) {
        if !process.said()?.contains("this machine's clock is") {
            silent.push(clock);
        }
    }
    let (verdict, logs) = stage.conclude(all).await?;
    let (ticks, until) = (ticks(&logs), seconds_since_1970());
    let repeated = verdict.repeated;
    let worked = verdict.shares.iter().all(|share| *share > 0);
    Ok(Outcome::new("clocks", play, verdict)
        .demand(silent.is_empty(), || format!("nothing was said of the clocks {silent:?}"))
        .demand(worked, || "a process with a wrong clock did nothing".to_owned())
        .demand(repeated == 0, || "nothing happened, and items were repeated".to_owned())
        .demand(!ticks.is_empty() && ticks.iter().all(|tick| (since..=until).contains(tick)), || {
            format!("between {since} and {until} the ticks {ticks:?} fired")
        }))
}

/// The store's clock steps, forward past all leases and back.
pub(super) async fn stepped(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let all = stage.start_all(PROCESSES).await?;
    let mut offset = 0;
    for step in if play.short { &[20, -3][..] } else { &[20, -3, 90, -10, 600, -2] } {
        for process in &all {
            stage.busy_until_it_works("chaos.load", process, 40).await?;
        }
        offset += step * 1_000;
        std::fs::write(offset_file(&stage.orders().logs), offset.to_string())?;
        hits(&mut stage, &all);
        for process in &all {
            process.signal(Signal::USR2)?;
        }
        stage.busy_for("chaos.load", Duration::from_secs(2)).await?;
    }
    concluded("step", play, stage, all).await
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The ticks that fired, in seconds since 1970.
fn ticks(logs: &[Vec<Record>]) -> Vec<u64> {
    let ticks = logs.iter().flatten().filter(|record| record.kind == Kind::Begin && record.job == TICK);
    ticks.map(|record| record.value / 1_000).collect()
}
