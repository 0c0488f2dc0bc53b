//! The network between one process and the store: nothing passes, connections break, or everything is late.

use std::time::{Duration, Instant};

use jobs_runner::prelude::*;
use servers::proxy::Proxy;

use super::{
    Outcome, Play,
    server::{PROCESSES, concluded, orders, trouble_goes_on},
};
use crate::{
    oracle::Fault,
    record,
    stage::Stage,
    worker::{LEASE, Orders},
};

/// Each process has a way of its own to the store, and one after the other suffers.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let (mut ways, mut all) = (Vec::new(), Vec::new());
    for _ in 0..PROCESSES {
        let way = Proxy::start(stage.backend.port()?)?;
        let store = stage.backend.url_through(way.port());
        all.push(stage.start_with(&Orders { store, ..stage.orders().clone() }).await?);
        ways.push(way);
    }
    let until = Instant::now() + Duration::from_secs(play.seconds);
    let mut round = 0;
    // Each kind of trouble at least once.
    while round < 4 || trouble_goes_on(&stage, until)? {
        let victim = fastrand::usize(..PROCESSES);
        stage.busy_until_it_works("chaos.load", &all[victim], 40).await?;
        stage.suffered(Fault { pid: all[victim].pid(), at: record::now() });
        suffer(&mut stage, &ways[victim], round % 3).await?;
        round += 1;
    }
    concluded("partition", play, stage, all).await
}

async fn suffer(stage: &mut Stage, way: &Proxy, kind: u32) -> Result<()> {
    // Sometimes the lease outlives it, and sometimes not.
    let time = LEASE.mul_f64(0.3 + fastrand::f64() * 2.0);
    match kind {
        0 => {
            way.stall();
            stage.busy_for("chaos.load", time).await?;
            way.resume();
        }
        1 => {
            way.refuse(true);
            way.cut();
            stage.busy_for("chaos.load", time).await?;
            way.refuse(false);
        }
        _ => {
            way.delay(Duration::from_millis(fastrand::u64(20..300)));
            stage.busy_for("chaos.load", time).await?;
            way.delay(Duration::ZERO);
        }
    }
    Ok(())
}
