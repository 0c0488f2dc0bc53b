//! The memory of a process does not grow with what its query finds.

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{oracle::Verdict, stage::Stage, worker::Orders};

const MIB: u64 = 1024 * 1024;

/// Ten times the items, and at most 16 MiB more at the peak.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let (few, many) = if play.short { (20_000, 200_000) } else { (200_000, 2_000_000) };
    let (first, small) = peak(play, few).await?;
    let (second, large) = peak(play, many).await?;
    let verdict = Verdict {
        lost: first.lost + second.lost,
        stuck: first.stuck + second.stuck,
        repeated: first.repeated + second.repeated,
        ..second
    };
    let said = || format!("{} MiB at {few} items, {} MiB at {many}", small / MIB, large / MIB);
    tracing::info!("{}", said());
    Ok(Outcome::new("memory", play, verdict).demand(large <= small + 16 * MIB, said))
}

async fn peak(play: &Play<'_>, items: u64) -> Result<(Verdict, u64)> {
    let orders = Orders { items, work: 0, concurrency: 100, ticks: false, ..Orders::default() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let process = stage.start().await?;
    stage.run("chaos.pages").await?;
    while !stage.is_over().await? {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let peak = process.peak()?;
    Ok((stage.conclude(vec![process]).await?.0, peak))
}
