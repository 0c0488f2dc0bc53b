//! A delay that spreads jobs of the same minute, and is the same on every node.

use std::time::Duration;

use jiff::Timestamp;

use crate::fingerprint::hash;

/// How long after `tick` the schedule's firing is delayed: a fixed hash of both, in whole milliseconds, at least zero
/// and less than `max`.
///
/// It never moves the tick's identity. The hash is versioned and will not change: two builds of a rolling deployment
/// agree. A `max` below 1 ms gives no delay.
///
/// ```
/// use std::time::Duration;
/// use jobs_schedule::jitter;
///
/// let tick: jiff::Timestamp = "2026-01-01T00:00:00Z".parse()?;
/// let delay = jitter::delay("digest.send", tick, Duration::from_secs(30));
/// assert!(delay < Duration::from_secs(30));
/// assert_eq!(delay, jitter::delay("digest.send", tick, Duration::from_secs(30)));
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn delay(schedule_id: &str, tick: Timestamp, max: Duration) -> Duration {
    let range = max.as_millis().min(u128::from(u64::MAX));
    let millis = tick.as_millisecond().to_le_bytes();
    let hash = hash(&[b"jitter v1", schedule_id.as_bytes(), &millis]);
    // The high half of the product is the hash scaled to the range, without the bias of a remainder.
    let delay = (u128::from(hash) * range) >> 64;
    Duration::from_millis(u64::try_from(delay).unwrap_or(u64::MAX))
}
