//! A rolling deploy that changes a schedule, and its rollback, with old and new side by side.

use std::{collections::BTreeSet, time::Duration};

use jobs_runner::prelude::*;

use super::{
    Outcome, Play,
    server::{PROCESSES, orders},
};
use crate::{
    jobs::TICK,
    record::{Kind, Record},
    stage::Stage,
    worker::Orders,
};

/// The new version ticks every other second.
const NEW: &str = "*/2 * * * * *";

/// One process after the other is replaced: the new one starts, then the old one ends.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let (old, new) =
        (stage.orders().clone(), Orders { schedule: Some(NEW.into()), ..stage.orders().clone() });
    let mut all = stage.start_all(PROCESSES).await?;
    stage.busy_for("chaos.load", Duration::from_secs(2)).await?;
    let rounds = if play.short { 1 } else { play.seconds.div_ceil(10) };
    for _ in 0..rounds {
        for orders in [&new, &old] {
            for _ in 0..PROCESSES {
                all.push(stage.start_with(orders).await?);
                stage.busy_for("chaos.load", Duration::from_millis(300)).await?;
                all.remove(0).end()?;
            }
            stage.busy_for("chaos.load", Duration::from_secs(3)).await?;
        }
    }
    let (verdict, logs) = stage.conclude(all).await?;
    let repeated = verdict.repeated;
    // Both versions tick at even seconds; a schedule that changes starts anew, and may pass over one.
    let missed = missed(&logs).saturating_sub(2 * rounds);
    let verdict = crate::oracle::Verdict { missed, ..verdict };
    Ok(Outcome::new("deploy", play, verdict)
        .demand(repeated == 0, || "every process ended in peace, and items were repeated".to_owned()))
}

/// The even seconds between the first tick and the last at which none fired.
fn missed(logs: &[Vec<Record>]) -> u64 {
    let ticks = logs.iter().flatten().filter(|record| record.kind == Kind::Begin && record.job == TICK);
    let even: BTreeSet<u64> = ticks.map(|tick| tick.value / 1_000).filter(|second| second % 2 == 0).collect();
    match (even.first(), even.last()) {
        (Some(first), Some(last)) => (last - first) / 2 + 1 - even.len() as u64,
        _ => 0,
    }
}
