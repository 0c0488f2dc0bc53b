//! A store refuses values that it is given: what they belong to fails, and nothing else waits for it.

use std::time::{Duration, Instant};

use jobs_runner::{ClientError, RunState, prelude::*};

use super::{
    Outcome, Play,
    server::{PROCESSES, hits, orders},
};
use crate::{stage::Stage, worker::Orders};

/// Runs with items that the store does not take, again and again, while others go on.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { also: vec!["chaos.odd".to_owned()], ..orders() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let mut all = stage.start_all(PROCESSES).await?;
    stage.backend.refuse_long_values()?;
    let mut wrong = Vec::new();
    for round in 0..play.faults.min(if play.short { 3 } else { 20 }) {
        stage.busy_until_it_works("chaos.load", &all[0], 40).await?;
        let odd = stage.client.run("chaos.odd").await?;
        // Text that cannot be kept as it is: it is kept in another way, or the request is refused.
        match stage.client.run("chaos.odd").note("a zero byte \0 within").await {
            Ok(_) | Err(ClientError::Store(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let deadline = Instant::now() + stage.patience() / 4;
        loop {
            stage.keep_busy("chaos.load").await?;
            let report = stage.client.report(odd.id()).await?;
            if report.state.is_final() {
                if report.state != RunState::Failed || report.errors.is_empty() {
                    wrong.push(format!("a run with a value that is refused came to this: {report:?}"));
                }
                break;
            }
            if Instant::now() > deadline {
                wrong.push(format!("a run with a value that is refused does not end: {report:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if round % 2 == 0 {
            let victim = fastrand::usize(..PROCESSES);
            stage.busy_until_it_works("chaos.load", &all[victim], 40).await?;
            stage.suffered(all.swap_remove(victim).kill()?);
            all.push(stage.start().await?);
        } else {
            // A server that closes the connection over a value takes nothing that goes by another one.
            hits(&mut stage, &all);
        }
    }
    let (verdict, _) = stage.conclude(all).await?;
    let kills = verdict.kills;
    let outcome = Outcome::new("refused", play, verdict)
        .demand_short_calls(play)
        .demand(kills > 0, || "no fault hit anything in flight".to_owned());
    Ok(wrong.into_iter().fold(outcome, |outcome, wrong| outcome.demand(false, || wrong)))
}
