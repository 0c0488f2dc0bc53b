//! There is much of everything: items that wait, that come due at once, that are dead, that nobody can decode, and jobs
//! that nobody links. Processes are killed, and everything goes on as with little.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jobs_core::{Declaration, End, Failure, FailureKind, Link};
use jobs_runner::{DeadFilter, RunFilter, RunId, RunReport, RunState, prelude::*};
use rustix::process::Signal;

use super::{Outcome, Play};
use crate::{
    jobs::TICK,
    process::Process,
    record::Kind,
    stage::Stage,
    worker::{Orders, offset_file},
};

const PROCESSES: usize = 3;
/// What nobody can decode is kept for a quarter of an hour, and what comes due later is due before that.
const STEP: Duration = Duration::from_secs(16 * 60);
const LATER: Duration = Duration::from_secs(15 * 60 + 30);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How much there is.
#[derive(Clone, Copy)]
struct Sizes {
    waiting: u64,
    cancelled: u64,
    later: u64,
    dead: u64,
    undecodable: u64,
    jobs: u64,
}

const LONG: Sizes = Sizes {
    waiting: 1_000_000,
    cancelled: 100_000,
    later: 200_000,
    dead: 100_000,
    undecodable: 100_000,
    jobs: 1_000,
};
const SHORT: Sizes =
    Sizes { waiting: 50_000, cancelled: 10_000, later: 10_000, dead: 5_000, undecodable: 5_000, jobs: 100 };

/// The runs that were made by hand.
struct Runs {
    cancelled: RunId,
    undecodable: RunId,
}

/// Kills while there is much, and again when the clock has moved and everything comes due at once.
pub(super) async fn play(play: &Play<'_>) -> Result<Outcome> {
    let sizes = if play.short { SHORT } else { LONG };
    let also = ["bulk", "later", "revived", "fickle"].map(|job| format!("chaos.{job}")).to_vec();
    let orders = Orders {
        items: 2_000,
        work: 20_000,
        concurrency: 20,
        ticks: true,
        also,
        decodes: false,
        ..Orders::default()
    };
    let mut stage = Stage::new(play.program, play.store, orders).await?;
    stage.be_patient(if play.short { 1 } else { 5 });
    let runs = put(&mut stage, sizes).await?;
    let mut all = stage.start_all(PROCESSES).await?;
    trouble(&mut stage, &mut all, play).await?;
    stage.client.cancel(runs.cancelled).await?;
    let requeued = stage.client.requeue_dead(DeadFilter::new().job("chaos.revived")).await?;
    trouble(&mut stage, &mut all, play).await?;

    step(&mut stage, &all, STEP)?;
    trouble(&mut stage, &mut all, play).await?;

    let cancelled = over(&stage, runs.cancelled).await?;
    let undecodable = decayed(&mut stage, &all, runs.undecodable).await?;
    let revived = revived(&stage, sizes.dead).await?;
    let left = pruned(&stage).await?;
    let (verdict, _) = stage.conclude(all).await?;
    let (hits, counts) = (verdict.kills, cancelled.counts);
    Ok(Outcome::new("much", play, verdict)
        .demand_short_calls(play)
        .demand(hits > 0, || "no fault hit anything in flight".to_owned())
        .demand(cancelled.state == RunState::Cancelled && counts.ended() == sizes.cancelled, || {
            format!("the cancelled run came to this: {:?} {counts:?}", cancelled.state)
        })
        .demand(requeued == sizes.dead && revived == sizes.dead, || {
            format!("of {} dead items {requeued} were requeued and {revived} are done", sizes.dead)
        })
        .demand(undecodable.counts.dead == sizes.undecodable, || {
            format!("of {} items that nobody can decode: {:?}", sizes.undecodable, undecodable.counts)
        })
        .demand(left == 0, || format!("{left} dead items or more are kept beyond their time")))
}

/// Puts everything into the store.
async fn put(stage: &mut Stage, sizes: Sizes) -> Result<Runs> {
    let mut bulk = stage.by_hand(vec![Link { priority: -1, ..found_by_query("chaos.bulk") }]).await?;
    let cancelled = bulk.fill(sizes.cancelled).await?;
    let waiting = bulk.fill(sizes.waiting).await?;
    bulk.detach().await?;
    stage.expect(waiting, sizes.waiting).await?;

    let mut fickle = stage.by_hand(vec![found_by_query("chaos.fickle")]).await?;
    let undecodable = fickle.fill(sizes.undecodable).await?;
    fickle.detach().await?;

    let mut revived = stage.by_hand(vec![found_by_query("chaos.revived")]).await?;
    revived.fill(sizes.dead).await?;
    let failure =
        Failure::new(FailureKind::Fatal, "the first time it fails", revived.now().await?.timestamp());
    revived.end_all(sizes.dead, || End::Dead(Box::new(failure.clone()))).await?;
    revived.detach().await?;

    // Some of what waits for its time belongs to a job that nobody links.
    for (job, items, wait) in [("chaos.later", sizes.later, LATER), ("gone.later", sizes.waiting / 10, YEAR)]
    {
        let mut later = stage.by_hand(vec![found_by_query(job)]).await?;
        let run = later.fill(items).await?;
        let now = later.now().await?;
        let at = now + wait;
        later.end_all(items, || End::snooze(at, now)).await?;
        later.detach().await?;
        if job == "chaos.later" {
            stage.expect(run, items).await?;
        }
    }

    let gone = stage.by_hand((0..sizes.jobs).map(|n| scheduled(&format!("gone.job-{n}"))).collect()).await?;
    gone.fire_all().await?;
    gone.detach().await?;
    Ok(Runs { cancelled, undecodable })
}

fn found_by_query(job: &str) -> Link {
    Link { query: true, item_type: Some(Arc::from("u64")), concurrency: 256, ..Link::new(job) }
}

fn scheduled(job: &str) -> Link {
    let declared = Declaration {
        text: Arc::from("0 0 * * *"),
        tz: Arc::from("UTC"),
        fingerprint: Arc::from("daily"),
        instant: None,
    };
    Link { schedule: Some(declared), ..Link::new(job) }
}

/// Kills processes while others work.
async fn trouble(stage: &mut Stage, all: &mut Vec<Process>, play: &Play<'_>) -> Result<()> {
    for _ in 0..play.faults.min(if play.short { 2 } else { 10 }) {
        let victim = fastrand::usize(..PROCESSES);
        stage.busy_until_it_works("chaos.load", &all[victim], fastrand::u64(10..300)).await?;
        stage.suffered(all.swap_remove(victim).kill()?);
        all.push(stage.start().await?);
    }
    Ok(())
}

/// Waits until a run is over, and returns its report; or as far as it has come.
async fn over(stage: &Stage, run: RunId) -> Result<RunReport> {
    over_by(stage, run, Instant::now() + stage.patience()).await
}

/// The same, and then, at the latest.
async fn over_by(stage: &Stage, run: RunId, deadline: Instant) -> Result<RunReport> {
    loop {
        let report = stage.client.report(run).await?;
        if report.state.is_final() || Instant::now() > deadline {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many items of the requeued runs are done, in the end.
async fn revived(stage: &Stage, items: u64) -> Result<u64> {
    let deadline = Instant::now() + stage.patience();
    loop {
        let runs = stage.client.runs(RunFilter::new().job("chaos.revived").limit(1_000)).await?;
        let done = runs.iter().map(|run| run.counts.ok).sum();
        if done >= items || Instant::now() > deadline {
            return Ok(done);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The run of what nobody can decode, when it is over. What somebody tried to decode for the first time after a step is kept
/// for a quarter of an hour from then, and suspects are tried one at a time: so the clock is stepped again and again.
async fn decayed(stage: &mut Stage, all: &[Process], run: RunId) -> Result<RunReport> {
    let deadline = Instant::now() + stage.patience();
    let mut steps = 1;
    loop {
        let report = over_by(stage, run, Instant::now() + Duration::from_secs(10)).await?;
        if report.state.is_final() || Instant::now() > deadline {
            return Ok(report);
        }
        if caught_up(stage, STEP * steps)? {
            steps += 1;
            step(stage, all, STEP * steps)?;
        }
    }
}

/// Whether the ticks that a step made due have run. Of more than a thousand the oldest would be missed, and that is promised.
fn caught_up(stage: &Stage, ahead: Duration) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)? + ahead;
    let logs = stage.logs()?;
    let ticks = logs.iter().flatten().filter(|record| record.kind == Kind::Begin && record.job == TICK);
    let newest = Duration::from_millis(ticks.map(|record| record.value).max().unwrap_or(0));
    Ok(newest + Duration::from_secs(10) > now)
}

/// From now on the store's clock is so much ahead of what it was at first.
fn step(stage: &mut Stage, all: &[Process], ahead: Duration) -> Result<()> {
    let offset = i64::try_from(ahead.as_millis())?;
    std::fs::write(offset_file(&stage.orders().logs), offset.to_string())?;
    stage.order(|orders| orders.offset = offset);
    super::server::hits(stage, all);
    for process in all {
        process.signal(Signal::USR2)?;
    }
    Ok(())
}

/// Waits until the dead items are gone that are kept for a second, and returns how many of the first are not.
async fn pruned(stage: &Stage) -> Result<usize> {
    let deadline = Instant::now() + stage.patience();
    loop {
        let left = stage.client.dead(DeadFilter::new().job("chaos.fickle").limit(10)).await?.len();
        if left == 0 || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
