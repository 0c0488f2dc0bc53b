//! Hashes that are stored, or must agree between builds. A change of these values is a change of the format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use jobs_schedule::{Schedule, jitter};

#[test]
fn a_fingerprint_never_changes() {
    let schedule = Schedule::parse("0 9 * * MON-FRI", "Europe/Paris").unwrap();
    assert_eq!(schedule.fingerprint(), "v1-ec784d88bff431a9");
    assert_eq!("5m".parse::<Schedule>().unwrap().fingerprint(), "v1-ed6534ab69b9db5d");
    assert_eq!("300s".parse::<Schedule>().unwrap().fingerprint(), "v1-ed6534ab69b9db5d");
}

#[test]
fn a_jitter_never_changes() {
    let tick: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(jitter::delay("digest.send", tick, Duration::from_secs(30)), Duration::from_millis(2_019));
    assert_eq!(jitter::delay("digest.send@eu", tick, Duration::from_secs(30)), Duration::from_millis(15_261));
}

#[test]
fn a_jitter_is_below_its_bound_and_spreads_evenly() {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let max = Duration::from_secs(10);
    let mut tenths = [0u32; 10];
    for minute in 0..10_000 {
        let delay = jitter::delay("digest.send", start + Duration::from_secs(60 * minute), max);
        assert!(delay < max);
        assert_eq!(delay.subsec_nanos() % 1_000_000, 0);
        tenths[delay.as_secs() as usize] += 1;
    }
    assert!(tenths.iter().all(|count| (850..1_150).contains(count)), "{tenths:?}");
    // Many schedules at one tick spread as well: that is what it is for.
    let delays: HashSet<Duration> =
        (0..1_000).map(|n| jitter::delay(&format!("group.job{n}"), start, max)).collect();
    assert!(delays.len() > 900, "{}", delays.len());
}

#[test]
fn no_jitter_and_a_tiny_one_delay_nothing() {
    let tick = Timestamp::UNIX_EPOCH;
    assert_eq!(jitter::delay("a.b", tick, Duration::ZERO), Duration::ZERO);
    assert_eq!(jitter::delay("a.b", tick, Duration::from_micros(999)), Duration::ZERO);
    assert_eq!(jitter::delay("a.b", tick, Duration::from_millis(1)), Duration::ZERO);
    assert!(jitter::delay("a.b", tick, Duration::MAX) < Duration::MAX);
}
