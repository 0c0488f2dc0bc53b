//! `scripts/chaos [--store sqlite|URL] [--scenario NAME] [--faults N] [--short]`: plays a scenario, or all of them.
//! `chaos worker …` is a process under test.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program.

use std::process::ExitCode;

use chaos::{
    scenario::{self, NAMES, Play},
    worker::{self, Orders},
};
use jobs_runner::prelude::*;
use lexopt::{Arg::Long, ValueExt};

const USAGE: &str = "usage: chaos [--store sqlite|URL] [--scenario NAME] [--faults N] [--short]";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let played = if arguments.first().is_some_and(|first| first == "worker") {
        work(lexopt::Parser::from_args(arguments.split_off(1))).await.map(|()| true)
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
    let (mut store, mut names, mut faults, mut short) = ("sqlite".to_owned(), Vec::new(), None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("store") => store = arguments.value()?.string()?,
            Long("scenario") => names.push(arguments.value()?.string()?),
            Long("faults") => faults = Some(arguments.value()?.parse()?),
            Long("short") => short = true,
            Long("help") => {
                println!("{USAGE}\nscenarios: {}", NAMES.join(", "));
                return Ok(true);
            }
            other => return Err(format!("{}\n{USAGE}", other.unexpected()).into()),
        }
    }
    if names.is_empty() {
        names = NAMES.map(str::to_owned).to_vec();
    }
    let program = std::env::current_exe()?;
    let faults = faults.unwrap_or(if short { 10 } else { 100 });
    let play = Play { program: &program, store: &store, faults, short };
    let mut clean = true;
    for name in names {
        let outcome = scenario::play(&name, &play).await?;
        println!("{}", serde_json::to_string(&outcome)?);
        clean &= outcome.is_clean();
    }
    Ok(clean)
}

async fn work(mut arguments: lexopt::Parser) -> Result<()> {
    let mut orders = Orders::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("store") => orders.store = arguments.value()?.string()?,
            Long("logs") => orders.logs = arguments.value()?.into(),
            Long("items") => orders.items = arguments.value()?.parse()?,
            Long("work") => orders.work = arguments.value()?.parse()?,
            Long("concurrency") => orders.concurrency = arguments.value()?.parse()?,
            Long("ticks") => orders.ticks = true,
            other => return Err(other.unexpected().into()),
        }
    }
    worker::run(orders).await
}
