//! `scripts/chaos [--store NAME] [--scenario NAME] [--faults N] [--seconds N] [--short] [--old PROGRAM]`: plays a scenario,
//! or all that the store has.
//! `chaos worker …` is a process under test.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program.

use std::{path::PathBuf, process::ExitCode};

use chaos::{
    backend::Kind,
    scenario::{self, Play},
    worker,
};
use jobs_runner::prelude::*;
use lexopt::{Arg::Long, ValueExt};

const USAGE: &str =
    "usage: chaos [--store sqlite|redis|postgres] [--scenario NAME] [--faults N] [--seconds N] [--short]
             [--old PROGRAM]: this program of an earlier version, for `deploy`";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let played = if arguments.first().is_some_and(|first| first == "worker") {
        work(arguments.pop().unwrap_or_default().to_str()).await.map(|()| true)
    } else {
        play(lexopt::Parser::from_args(arguments)).await
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn play(mut arguments: lexopt::Parser) -> Result<bool> {
    let (mut store, mut names) = (Kind::Sqlite, Vec::new());
    let (mut faults, mut seconds, mut short) = (None, None, false);
    let mut old = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("store") => store = Kind::of(&arguments.value()?.string()?)?,
            Long("scenario") => names.push(arguments.value()?.string()?),
            Long("faults") => faults = Some(arguments.value()?.parse()?),
            Long("seconds") => seconds = Some(arguments.value()?.parse()?),
            Long("short") => short = true,
            Long("old") => old = Some(PathBuf::from(arguments.value()?)),
            Long("help") => {
                println!("{USAGE}");
                for kind in Kind::ALL {
                    println!("{}: {}", kind.name(), scenario::names(kind).join(", "));
                }
                return Ok(true);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    if names.is_empty() {
        names = scenario::names(store).into_iter().map(str::to_owned).collect();
    }
    let program = std::env::current_exe()?;
    let faults = faults.unwrap_or(if short { 10 } else { 100 });
    let seconds = seconds.unwrap_or(if short { 3 } else { 30 });
    let play = Play { program: &program, store, faults, seconds, short, old: old.as_deref() };
    let mut clean = true;
    for name in names {
        let outcome = scenario::play(&name, &play).await?;
        println!("{}", serde_json::to_string(&outcome)?);
        clean &= outcome.is_clean();
    }
    Ok(clean)
}

async fn work(orders: Option<&str>) -> Result<()> {
    worker::run(serde_json::from_str(orders.unwrap_or_default())?).await
}
