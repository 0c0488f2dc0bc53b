//! `differ N`: plays N sequences on memory and on each other store, and shows the first that differs, as short as it can
//! be. `--seed S` plays one again; `--all` goes on after one that differs.
#![allow(clippy::print_stdout)]

use std::{process::ExitCode, time::Instant};

use differ::{
    Kind, Places, Sequence,
    sequence::{Played, play},
    shrink::shrink,
};
use jobs_core::BoxError;
use lexopt::prelude::*;

/// What is asked for.
struct Asked {
    seeds: std::ops::Range<u64>,
    operations: usize,
    kinds: Vec<Kind>,
    all: bool,
}

fn asked() -> Result<Asked, lexopt::Error> {
    let mut asked = Asked { seeds: 0..100, operations: 150, kinds: Vec::new(), all: false };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(n) => asked.seeds.end = n.parse()?,
            Long("seed") => {
                let seed: u64 = arguments.value()?.parse()?;
                asked.seeds = seed..seed + 1;
            }
            Long("from") => asked.seeds.start = arguments.value()?.parse()?,
            Long("operations") => asked.operations = arguments.value()?.parse()?,
            Long("all") => asked.all = true,
            Long("store") => {
                let name = arguments.value()?.string()?;
                let kind = Kind::ALL.iter().find(|kind| kind.to_string() == name);
                asked.kinds.push(*kind.ok_or("there is no such store")?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if asked.kinds.is_empty() {
        asked.kinds = Kind::ALL[1..].to_vec();
    }
    asked.seeds.end = asked.seeds.end.max(asked.seeds.start);
    Ok(asked)
}

fn main() -> Result<ExitCode, BoxError> {
    let asked = asked()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(all(&asked))
}

async fn all(asked: &Asked) -> Result<ExitCode, BoxError> {
    let places = Places::default();
    let mut code = ExitCode::SUCCESS;
    for kind in &asked.kinds {
        let kinds = [Kind::Memory, *kind];
        let began = Instant::now();
        let mut tied = 0;
        let mut slow = 0;
        for seed in asked.seeds.clone() {
            let sequence = Sequence::new(seed, asked.operations);
            match play(&places, &sequence, kinds).await? {
                Played::Alike => {}
                Played::Tied => tied += 1,
                Played::TooSlow => slow += 1,
                Played::Differs(difference) => {
                    let (left, difference) = shrink(&places, sequence, *difference).await?;
                    println!(
                        "seed {seed} differs, with {} operations left of it:\n{difference}",
                        left.0.len()
                    );
                    code = ExitCode::FAILURE;
                    if !asked.all {
                        return Ok(code);
                    }
                }
            }
        }
        let count = asked.seeds.end - asked.seeds.start;
        let time = began.elapsed().as_secs_f64();
        println!(
            "memory and {kind}: {count} sequences of {} operations in {time:.1} s ({tied} of them until items \
             tied, {slow} until the machine was too slow)",
            asked.operations
        );
    }
    Ok(code)
}
