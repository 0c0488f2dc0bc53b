//! The store loses a stretch of its past: a replica takes over, or a backup is restored.

use std::time::{Duration, Instant};

use jobs_runner::prelude::*;
use servers::{proxy::Proxy, redis};

use super::{
    Outcome, Play,
    server::{PROCESSES, hits, orders},
};
use crate::{
    backend::Backup,
    oracle::{self, Forgotten},
    process::Process,
    record,
    stage::{PATIENCE, Stage},
};

/// A replica hears of everything within this, on one machine.
const LAG: Duration = Duration::from_millis(500);

/// The primary is killed, and its replica goes on.
pub(super) async fn promoted(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let options = redis::Options::new().appendfsync("always");
    let replica = redis::Server::start(options.replica_of(stage.backend.redis()?))?;
    let way = Proxy::start(stage.backend.port()?)?;
    stage.connect(&stage.backend.url_through(way.port())).await?;
    let deadline = Instant::now() + PATIENCE;
    while !replica.says("INFO replication")?.contains("master_link_status:up") {
        if Instant::now() > deadline {
            return Err("the replica does not hear its primary".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = stage.start_all(PROCESSES).await?;
    stage.busy_for("chaos.load", Duration::from_secs(2)).await?;
    stage.busy_until_it_works("chaos.load", &all[0], 50).await?;
    hits(&mut stage, &all);
    stage.backend.kill();
    let to = record::now();
    let promoted = replica.says("REPLICAOF NO ONE")?;
    if !promoted.starts_with("+OK") {
        return Err(format!("the replica is not promoted: {promoted}").into());
    }
    way.turn_to(replica.port());
    let lag = u64::try_from(LAG.as_nanos())?;
    stage.forgot(Forgotten { from: to - lag, to }).await?;
    stage.busy_for("chaos.load", Duration::from_secs(2)).await?;
    concluded("promote", play, stage, all).await
}

/// A backup is restored, and all that came after it is forgotten.
pub(super) async fn restored(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let all = stage.start_all(PROCESSES).await?;
    stage.busy_for("chaos.load", Duration::from_secs(1)).await?;
    // There is something left to do, and nobody writes.
    stage.keep_busy("chaos.load").await?;
    for process in all {
        process.end()?;
    }
    stage.backend.kill();
    let (backup, from) = (Backup::of(&stage.backend)?, record::now());
    stage.backend.restart()?;

    let all = stage.start_all(PROCESSES).await?;
    stage.busy_for("chaos.load", Duration::from_secs(3)).await?;
    stage.busy_until_it_works("chaos.load", &all[0], 50).await?;
    for process in all {
        stage.suffered(process.kill()?);
    }
    stage.backend.kill();
    backup.restore(&stage.backend)?;
    stage.backend.restart()?;
    stage.forgot(Forgotten { from, to: record::now() }).await?;

    let all = stage.start_all(PROCESSES).await?;
    stage.busy_for("chaos.load", Duration::from_secs(1)).await?;
    concluded("backup", play, stage, all).await
}

/// What came of it; fencing tokens grow all the same.
async fn concluded(name: &'static str, play: &Play<'_>, stage: Stage, all: Vec<Process>) -> Result<Outcome> {
    let (verdict, logs) = stage.conclude(all).await?;
    let (hits, shrunk) = (verdict.kills, oracle::tokens_that_shrink(&logs));
    Ok(Outcome::new(name, play, verdict)
        .demand(hits > 0, || "no fault hit anything in flight".to_owned())
        .demand(shrunk == 0, || format!("{shrunk} attempts began with a token that had not grown")))
}
