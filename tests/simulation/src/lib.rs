//! Deterministic simulation: the real loops of several runners under a seeded environment, on a store that loses,
//! delays and repeats calls, with an oracle in the manner of Jepsen's test of Chronos.
//!
//! A seed is a world: how many nodes, which jobs, which network, and what is done to them for a minute or two of
//! virtual time. Then all trouble ends, and everything has to come to rest. Handlers write down what they did
//! outside of the store, and the oracle compares that, every step of the store, and what the store holds in the end.
#![allow(clippy::expect_used, clippy::print_stdout)] // A test may panic, and prints what it found.

mod clock;
mod coverage;
mod faulty;
mod hints;
mod jobs;
mod log;
mod nemesis;
mod node;
mod oracle;
mod wire;
mod world;

pub use coverage::{Coverage, EXPECTED};
pub use oracle::Report;

/// What became of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was broken.
    pub report: Report,
    /// What was seen.
    pub coverage: Coverage,
}

/// Lets the world of a seed happen, and judges it.
#[must_use]
pub fn simulate(seed: u64) -> Outcome {
    let (report, coverage) = oracle::judge(&world::run(seed));
    Outcome { report, coverage }
}

/// The same with its log, a line per thing that happened.
#[must_use]
pub fn simulate_with_log(seed: u64) -> (String, Outcome) {
    let world = world::run(seed);
    let (report, coverage) = oracle::judge(&world);
    let log =
        world.entries.iter().filter(|entry| !entry.is_idle()).map(|entry| format!("{entry}\n")).collect();
    (log, Outcome { report, coverage })
}

/// What a failing seed says: its number, and what was broken, a few of each.
#[must_use]
pub fn verdict(seed: u64, report: &Report) -> String {
    let mut text = format!("seed {seed}:");
    for (name, found) in report.broken() {
        text += &format!("\n  {name} {}", found.len());
        found.iter().take(3).for_each(|one| text += &format!("\n    {one}"));
    }
    text
}
