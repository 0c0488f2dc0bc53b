//! The cost of `next_after`, for a release build: `cargo test --release --all-features --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use std::hint::black_box;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use jobs_schedule::Schedule;

#[test]
#[ignore = "a measurement, not a promise"]
fn next_after_costs_this_many_nanoseconds() {
    let texts = [
        "* * * * *",
        "*/5 * * * *",
        "0 9 * * *",
        "0 9 * * 1",
        "30 2 1,15 * *",
        "0 0 1 * *",
        "*/15 9-17 * * 1-5",
        "0 0 29 2 *",
        "0 0 13 * 5",
        "*/10 * * * * *",
        "* * 29 2 *",
        "every 5m",
    ];
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for text in texts {
        for zone in ["UTC", "America/New_York", "Asia/Tokyo"] {
            let Ok(schedule) = Schedule::parse(text, zone) else { continue };
            let starts: Vec<Timestamp> =
                (0..2_000).map(|n| start + SignedDuration::from_secs(n * 700 * 86_400 / 2_000)).collect();
            let mut best = u128::MAX;
            for _ in 0..5 {
                let clock = Instant::now();
                for start in &starts {
                    black_box(schedule.next_after(black_box(*start)));
                }
                best = best.min(clock.elapsed().as_nanos() / starts.len() as u128);
            }
            println!("{text:<20} {zone:<18} {best:>6} ns");
        }
    }
    let clock = Instant::now();
    for _ in 0..2_000 {
        black_box(Schedule::parse(black_box("*/15 9-17 * * 1-5"), "America/New_York").unwrap());
    }
    println!("parse {} ns", clock.elapsed().as_nanos() / 2_000);
}
