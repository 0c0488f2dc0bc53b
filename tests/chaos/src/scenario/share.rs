//! Several processes on one store: every tick has one run, and the items are shared.

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{stage::Stage, worker::Orders};

/// Nothing happens to anybody, so nothing is repeated.
pub(super) async fn play(name: &'static str, processes: usize, play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { items: 4_000, work: 4_000, concurrency: 10, ticks: true, ..Orders::default() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let all = stage.start_all(processes).await?;
    for _ in 0..if play.short { 3 } else { 10 } {
        stage.run("chaos.load").await?;
        while !stage.is_over().await? {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    let (verdict, _) = stage.conclude(all).await?;
    let (shares, repeated, bound) = (verdict.shares.clone(), verdict.repeated, verdict.bound);
    let fair = verdict.shares.iter().sum::<u64>() / (processes as u64 * 10);
    Ok(Outcome::new(name, play, verdict)
        .demand(repeated == 0, || "nothing happened, and items were repeated".to_owned())
        .demand(bound == 0, || "nothing happened, and an end was not acknowledged".to_owned())
        .demand(shares.iter().all(|share| *share >= fair), || {
            format!("the items were shared so: {shares:?}")
        }))
}
