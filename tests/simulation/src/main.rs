//! `simulation N [FROM]`: runs N seeds, prints one line per failing seed, and a summary.
#![allow(clippy::print_stdout)]

use std::{process::ExitCode, time::Instant};

use simulation::{Coverage, simulate, simulate_with_log, verdict};

fn main() -> ExitCode {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (n, from) = (arguments.first().copied().unwrap_or(1_000), arguments.get(1).copied().unwrap_or(0));
    if std::env::var_os("LOG").is_some() {
        let (log, outcome) = simulate_with_log(from);
        print!("{log}");
        println!("{}", verdict(from, &outcome.report));
        return ExitCode::SUCCESS;
    }
    let (began, mut coverage, mut failed) = (Instant::now(), Coverage::default(), Vec::new());
    for seed in from..from + n {
        let outcome = simulate(seed);
        coverage.add(&outcome.coverage);
        if !outcome.report.is_clean() {
            println!("{}", verdict(seed, &outcome.report).replace('\n', " |"));
            failed.push(seed);
        }
    }
    let time = began.elapsed().as_secs_f64();
    for (what, n) in coverage.table() {
        println!("{n:>9}  {what}");
    }
    println!("{n} seeds from {from} in {time:.1} s, {} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
