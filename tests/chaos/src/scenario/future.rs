//! A clock is ten years ahead for four seconds, and right again: nothing waits for ten years.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jobs_runner::prelude::*;

use super::{Outcome, Play};
use crate::{
    backend::Kind,
    jobs::TICK,
    oracle::{Fault, Verdict},
    process::Process,
    record::{self, Kind as Fact, Record},
    stage::Stage,
    worker::Orders,
};

/// As libfaketime reads it, and in milliseconds.
const AHEAD: &str = "+3650d";
const AHEAD_MS: i64 = 3_650 * 24 * 3_600 * 1_000;
/// How long the clock is wrong.
const WRONG: Duration = Duration::from_secs(4);
/// How soon all is well again.
const SOON: Duration = Duration::from_secs(30);

/// A process with a right clock works; one with a wrong clock joins it and is killed; and another right one follows.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let orders = Orders { items: 2_000, work: 20_000, concurrency: 20, ticks: true, ..Orders::default() };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    let right = stage.start().await?;
    let rounds = if play.short { 1 } else { 5 };
    let mut wrong = Vec::new();
    let mut all = vec![right];
    for _ in 0..rounds {
        stage.busy_until_it_works("chaos.load", &all[0], 100).await?;
        // It takes over what others hold, for to its clock their leases have ended.
        stage.suffered(Fault { pid: all[0].pid(), at: record::now() });
        let ahead = stage.start_with(&ahead(play.store, stage.orders())).await?;
        stage.busy_for("chaos.load", WRONG).await?;
        stage.suffered(ahead.kill()?);
        // A right one joins, and finds what it left.
        all.push(stage.start().await?);
        let since = Instant::now();
        let from = seconds_since_1970();
        while ticks_since(&stage.logs()?, from).len() < 3 && since.elapsed() < SOON {
            stage.busy_for("chaos.load", Duration::from_millis(100)).await?;
        }
        if ticks_since(&stage.logs()?, from).len() < 3 {
            wrong.push(format!("{} s after the clock was right again no tick has fired", SOON.as_secs()));
        }
        let lives = sessions_of_the_future(&stage, &all).await?;
        if lives > 0 {
            wrong.push(format!("{lives} sessions of processes that are gone live on"));
        }
    }
    let from = seconds_since_1970();
    stage.busy_for("chaos.load", Duration::from_secs(play.seconds.max(5))).await?;
    let until = seconds_since_1970();
    let (verdict, logs) = stage.conclude(all).await?;
    // The ticks that the future jumped over are no gap; from now on there is none. Those of the future may fire again,
    // whenever a right clock has set the schedule back; all others have one run each.
    let fired = ticks_since(&logs, from);
    let missed = (from + 1..until).filter(|second| !fired.contains_key(second)).count() as u64;
    let fired = ticks_since(&logs, 0);
    let extra_runs = fired.values().map(|runs| runs.len() as u64 - 1).sum();
    let hits = verdict.kills;
    let outcome = Outcome::new("future", play, Verdict { missed, extra_runs, ..verdict })
        .demand_short_calls(play)
        .demand(hits > 0, || "the wrong process had nothing in flight".to_owned());
    Ok(wrong.into_iter().fold(outcome, |outcome, wrong| outcome.demand(false, || wrong)))
}

/// What a process is told whose clock is ahead: that of the machine for a file, and that of the store for a server.
fn ahead(store: Kind, orders: &Orders) -> Orders {
    if store.is_served() {
        Orders { offset: AHEAD_MS, ..orders.clone() }
    } else {
        Orders { clock: Some(AHEAD.to_owned()), ..orders.clone() }
    }
}

/// How many sessions live that are none of these processes'; some seconds may pass until none does.
async fn sessions_of_the_future(stage: &Stage, all: &[Process]) -> Result<usize> {
    let known: BTreeSet<_> = all.iter().map(Process::pid).collect();
    let since = Instant::now();
    loop {
        let nodes = stage.client.nodes().await?;
        let others = nodes.iter().filter(|node| node.alive && !known.contains(&node.pid)).count();
        if others == 0 || since.elapsed() > SOON {
            return Ok(others);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The ticks after this instant that have fired by a right clock, in seconds since 1970, and their runs.
fn ticks_since(logs: &[Vec<Record>], from: u64) -> BTreeMap<u64, BTreeSet<u64>> {
    let soon = seconds_since_1970() + 3_600;
    let mut fired: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for record in logs.iter().flatten().filter(|record| record.kind == Fact::Begin && record.job == TICK) {
        let second = record.value / 1_000;
        if (from + 1..soon).contains(&second) {
            fired.entry(second).or_default().insert(record.run);
        }
    }
    fired
}
