//! A rolling deploy that changes a schedule, and its rollback, with old and new side by side: of one version of this
//! project; or an upgrade from an earlier one, which has no way back.

use std::{collections::BTreeSet, path::Path, time::Duration};

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
    let old = Orders { program: play.old.map(Path::to_owned), ..orders() };
    let (mut stage, mut all) = Stage::after(play.program, play.store, old, PROCESSES).await?;
    let old = stage.orders().clone();
    let new = Orders { schedule: Some(NEW.into()), ..old.clone() };
    // An earlier version does not start on what this one has migrated, and goes on if it has started before.
    let upgrade = play.old.is_some();
    let deploys = if upgrade { vec![&new] } else { vec![&new, &old] };
    let rounds = if upgrade || play.short { 1 } else { play.seconds.div_ceil(10) };
    let beside = Duration::from_millis(if upgrade { 1_000 * play.seconds / 4 } else { 300 });
    stage.busy_for("chaos.load", Duration::from_secs(2)).await?;
    for _ in 0..rounds {
        for orders in &deploys {
            for _ in 0..PROCESSES {
                all.push(stage.start_with(orders).await?);
                stage.busy_for("chaos.load", beside).await?;
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
