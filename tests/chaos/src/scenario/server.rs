//! The store's server is killed, and its connections are cut.

use std::time::{Duration, Instant};

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{
    backend::Backend,
    oracle::Fault,
    process::Process,
    record,
    stage::{PATIENCE, Stage},
    worker::{LEASE, Orders},
};

pub(super) const PROCESSES: usize = 4;

/// Works on runs of some thousand items, and on a tick each second.
pub(super) fn orders() -> Orders {
    Orders { items: 2_000, work: 40_000, concurrency: 20, ticks: true, ..Orders::default() }
}

/// The same happens to all processes.
pub(super) fn hits(stage: &mut Stage, all: &[Process]) {
    for process in all {
        stage.suffered(Fault { pid: process.pid(), at: record::now() });
    }
}

/// Whether there has to be more trouble: there is time left, or nothing of it has hit anything in flight so far.
pub(super) fn trouble_goes_on(stage: &Stage, until: Instant) -> Result<bool> {
    let now = Instant::now();
    Ok(now < until || now < until + PATIENCE && stage.hits()? == 0)
}

/// Killed and started again, sooner or later than the leases of the processes end.
pub(super) async fn killed(play: &Play<'_>) -> Result<Outcome> {
    kill("server", play, Backend::start(play.store)?).await
}

/// The same of a server of Redis that syncs once a second. What it has written before it answers is the kernel's to keep,
/// so without a power failure nothing is lost either.
pub(super) async fn killed_unsynced(play: &Play<'_>) -> Result<Outcome> {
    kill("everysec", play, Backend::synced_every_second()?).await
}

async fn kill(name: &'static str, play: &Play<'_>, backend: Backend) -> Result<Outcome> {
    let mut stage = Stage::on(play.program, backend, orders()).await?;
    let all = stage.start_all(PROCESSES).await?;
    let until = Instant::now() + Duration::from_secs(play.seconds);
    while trouble_goes_on(&stage, until)? {
        stage.busy_for("chaos.load", Duration::from_millis(fastrand::u64(200..800))).await?;
        hits(&mut stage, &all);
        stage.backend.kill();
        tokio::time::sleep(LEASE.mul_f64(fastrand::f64() * 2.0)).await;
        stage.backend.restart()?;
        for process in &all {
            stage.busy_until_it_works("chaos.load", process, 20).await?;
        }
    }
    concluded(name, play, stage, all).await
}

/// Cut again and again, while the server goes on.
pub(super) async fn cut(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let all = stage.start_all(PROCESSES).await?;
    let until = Instant::now() + Duration::from_secs(play.seconds);
    while trouble_goes_on(&stage, until)? {
        stage.busy_for("chaos.load", Duration::from_millis(fastrand::u64(50..400))).await?;
        hits(&mut stage, &all);
        stage.backend.cut_all()?;
    }
    concluded("cut", play, stage, all).await
}

/// What came of it, if the trouble hit something in flight.
pub(super) async fn concluded(
    name: &'static str,
    play: &Play<'_>,
    stage: Stage,
    all: Vec<Process>,
) -> Result<Outcome> {
    let (verdict, _) = stage.conclude(all).await?;
    let hits = verdict.kills;
    Ok(Outcome::new(name, play, verdict).demand(hits > 0, || "no fault hit anything in flight".to_owned()))
}
