//! Some hundred worlds, and that they are worth something: each is the same twice, and together they see everything.
#![allow(clippy::print_stdout, clippy::panic)] // A test may panic, and says what it ran.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use simulation::{Coverage, simulate, simulate_with_log, verdict};

/// So many seeds at the most.
const SEEDS: u64 = 900;
/// And so long.
const AT_MOST: Duration = Duration::from_secs(60);
/// Fewer than this would not see everything.
const AT_LEAST: u64 = 200;
/// When so many have failed, more would say the same.
const ENOUGH: usize = 20;

#[test]
fn every_promise_is_kept_in_some_hundred_worlds() {
    let (began, next) = (Instant::now(), AtomicU64::new(0));
    let found = Mutex::new((Coverage::default(), Vec::new(), 0_u64));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS || (seed >= AT_LEAST && began.elapsed() > AT_MOST) {
                return;
            }
            let outcome = simulate(seed);
            let mut found = found.lock().unwrap();
            found.0.add(&outcome.coverage);
            found.2 += 1;
            if found.1.len() >= ENOUGH {
                return;
            }
            if !outcome.report.is_clean() {
                found.1.push((seed, verdict(seed, &outcome.report)));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(4));
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (coverage, mut failed, ran) = found.into_inner().unwrap();
    println!("{ran} seeds in {:.1} s", began.elapsed().as_secs_f64());
    failed.sort();
    for (seed, verdict) in &failed {
        println!("{verdict}\n  its log: SEED={seed} cargo test -p simulation one_seed -- --nocapture");
    }
    assert!(failed.is_empty(), "{} of {ran} seeds fail: {:?}", failed.len(), seeds(&failed));
    assert!(coverage.unseen().is_empty(), "no world has seen {:?}", coverage.unseen());
}

fn seeds(failed: &[(u64, String)]) -> Vec<u64> {
    failed.iter().map(|(seed, _)| *seed).collect()
}

/// Replays `SEED`, and prints its log.
#[test]
fn one_seed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (log, outcome) = simulate_with_log(seed);
    print!("{log}");
    assert!(outcome.report.is_clean(), "{}", verdict(seed, &outcome.report));
}

#[test]
fn the_same_seed_twice_is_the_same_world_byte_for_byte() {
    for seed in 0..24 {
        let (first, _) = simulate_with_log(seed);
        let (second, _) = simulate_with_log(seed);
        if first != second {
            let line = first.lines().zip(second.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let of = |log: &str| log.lines().nth(line).unwrap_or("the end").to_owned();
            panic!("seed {seed} differs in line {}:\n{}\n{}", line + 1, of(&first), of(&second));
        }
    }
}

#[test]
fn different_seeds_are_different_worlds() {
    assert_ne!(simulate_with_log(1).0, simulate_with_log(2).0);
}
