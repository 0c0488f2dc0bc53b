//! Looks into a store and steers what runs on it, from a process of its own.
//!
//! ```console
//! $ cargo run --example quickstart -- --serve                 # in one terminal
//! $ cargo run --example control -- jobs                       # in another
//! $ cargo run --example control -- pause archives.verify "the disk is being moved"
//! ```
//!
//! The store is that of `JOBS_STORE`, or `--store URL`; if neither is given, the quickstart's.

use jobs_runner::{DeadFilter, RunFilter, prelude::*};
use lexopt::{
    Arg::{Long, Value},
    ValueExt,
};
use serde::Serialize;

const USAGE: &str = "write: control [--store URL] COMMAND
  jobs | stats | nodes                       what there is, how much of it, and who works on it
  next JOB [N] | ticks JOB [N]               when a job is due, and what became of the ticks so far
  run JOB [NOTE] | runs [JOB] | report RUN   run it now; its runs; one of them
  items RUN | cancel RUN                     what is in flight or waits; stop it
  pause PATTERN NOTE | resume PATTERN        GROUP.JOB, GROUP.* or *
  dead [JOB] | requeue [JOB] | discard [JOB] what failed for good; try it again; forget it";

#[tokio::main]
async fn main() -> Result<()> {
    let (mut store, mut words) = (std::env::var("JOBS_STORE").ok(), Vec::new());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("store") => store = Some(arguments.value()?.string()?),
            Value(word) => words.push(word.string()?),
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    let client = Client::connect(store.unwrap_or("sqlite://quickstart.db".to_owned())).await?;

    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["jobs"] => show(client.jobs().await?),
        ["stats"] => show([client.stats().await?]),
        ["nodes"] => show(client.nodes().await?),
        ["next", job] => show(client.next_ticks(job, 5).await?),
        ["next", job, n] => show(client.next_ticks(job, n.parse()?).await?),
        ["ticks", job] => show(client.ticks(job, 20).await?),
        ["ticks", job, n] => show(client.ticks(job, n.parse()?).await?),
        ["run", job] => show([client.run(job).await?.wait().await?]),
        ["run", job, note] => show([client.run(job).note(note).await?.wait().await?]),
        ["runs"] => show(client.runs(RunFilter::new().limit(20)).await?),
        ["runs", job] => show(client.runs(RunFilter::new().job(job).limit(20)).await?),
        ["report", run] => show([client.report(run.parse()?).await?]),
        ["items", run] => show(client.items(run.parse()?, 20).await?),
        ["cancel", run] => Ok(client.cancel(run.parse()?).await?),
        ["pause", pattern, note] => Ok(client.pause(pattern, note).await?),
        ["resume", pattern] => Ok(client.resume(pattern).await?),
        ["dead", ref job @ ..] => show(client.dead(of(job)?.limit(20)).await?),
        ["requeue", ref job @ ..] => show([client.requeue_dead(of(job)?).await?]),
        ["discard", ref job @ ..] => show([client.discard_dead(of(job)?).await?]),
        _ => Err(USAGE.into()),
    }
}

/// Dead items of one job, or of all.
fn of(job: &[&str]) -> Result<DeadFilter> {
    match job {
        [] => Ok(DeadFilter::new()),
        [job] => Ok(DeadFilter::new().job(*job)),
        _ => Err(USAGE.into()),
    }
}

/// A line of JSON each.
fn show<T: Serialize>(list: impl IntoIterator<Item = T>) -> Result<()> {
    for one in list {
        println!("{}", serde_json::to_string(&one)?);
    }
    Ok(())
}
