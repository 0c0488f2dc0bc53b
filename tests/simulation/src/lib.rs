//! Deterministic simulation: the real loops of several runners under a seeded environment, on a store that loses,
//! delays and repeats, with an oracle in the manner of Jepsen's test of Chronos.
#![allow(clippy::expect_used, clippy::print_stdout)] // A test may panic, and prints what it found.

mod clock;
mod faulty;
mod jobs;
mod log;
mod nemesis;
mod node;
mod wire;
mod world;

/// The log of a seed.
#[must_use]
pub fn log_of(seed: u64) -> String {
    let world = world::run(seed);
    world.entries.iter().map(|entry| format!("{entry}\n")).collect()
}
