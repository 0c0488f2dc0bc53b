//! A process is stopped for longer than its lease, and goes on: its late results change nothing.

use std::time::{Duration, Instant};

use jobs_runner::prelude::*;
use rustix::process::Signal;

use super::{Outcome, Play};
use crate::{
    oracle::Fault,
    process::{Process, until},
    record,
    stage::{PATIENCE, Stage},
    worker::{LEASE, Orders},
};

/// Works on runs of some thousand items, and on a tick each second.
fn orders() -> Orders {
    Orders { items: 4_000, work: 20_000, concurrency: 20, ticks: true, ..Orders::default() }
}

/// Stopped anywhere but in a commit: the other three take over.
pub(super) async fn outside(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let (stopped, mut others) = (stage.start().await?, stage.start_all(3).await?);
    let rounds = play.faults.min(if play.short { 3 } else { 20 });
    let mut counted = 0;
    while counted < rounds {
        stage.busy_until_it_works("chaos.load", &stopped, fastrand::u64(20..200)).await?;
        let fault = stopped.stop()?;
        let taken = taken_over(&stage, &fault, &others).await;
        stopped.signal(Signal::CONT)?;
        if taken? {
            stage.suffered(fault);
            counted += 1;
        }
    }
    others.push(stopped);
    let (verdict, _) = stage.conclude(others).await?;
    let hits = verdict.kills;
    Ok(Outcome::new("stop", play, verdict).demand(hits > 0, || "no stop hit anything in flight".to_owned()))
}

/// Whether the other processes take over what was held. It does not if the first happened to be stopped inside a commit:
/// then all that share the file wait for it, and not even a tick fires.
async fn taken_over(stage: &Stage, fault: &Fault, others: &[Process]) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let (mut facts, mut since) = (0, Instant::now());
    while !stage.has_recovered(fault)? {
        let seen = stage.facts(others)?;
        if seen != facts {
            (facts, since) = (seen, Instant::now());
        }
        if since.elapsed() > LEASE * 5 {
            return Ok(false);
        }
        if Instant::now() > deadline {
            return Err("what a stopped process held is not taken over".into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(true)
}

/// Stopped inside a commit: all that share the file wait, say so, and lose nothing; whether it goes on or dies.
pub(super) async fn inside_a_commit(play: &Play<'_>) -> Result<Outcome> {
    let mut stage = Stage::new(play.program, play.store, orders()).await?;
    let (mut stopped, other) = (stage.start().await?, stage.start().await?);
    let mut wrong = Vec::new();
    for round in 0..if play.short { 2 } else { 6 } {
        stage.busy_until_it_works("chaos.load", &stopped, 50).await?;
        stopped.signal(Signal::USR1)?;
        until("it is stopped inside a commit", PATIENCE, || Ok(stopped.is_stopped()))?;
        stage.suffered(Fault { pid: stopped.pid(), at: record::now() });
        // What the other one has in hand comes to its end, and nothing follows.
        tokio::time::sleep(LEASE * 2).await;
        let before = stage.facts(std::slice::from_ref(&other))?;
        tokio::time::sleep(LEASE * 5).await;
        if stage.facts(std::slice::from_ref(&other))? != before {
            wrong.push("a process worked on while another one was inside a commit".to_owned());
        }
        if !other.said()?.contains("held the store's file") {
            wrong.push(format!("a process that waits says so, and said: {}", other.said()?));
        }
        if round % 2 == 0 {
            stopped.signal(Signal::CONT)?;
        } else {
            stage.suffered(stopped.kill()?);
            stopped = stage.start().await?;
        }
        stage.busy_until_it_works("chaos.load", &other, 50).await?;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let outcome = Outcome::new("commit", play, stage.conclude(vec![stopped, other]).await?.0);
    Ok(wrong.into_iter().fold(outcome, |outcome, wrong| outcome.demand(false, || wrong)))
}
