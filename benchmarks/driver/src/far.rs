//! What distance costs: a fan-out and 256 ticks at one instant, at some round trips' length from the server.

use std::time::Duration;

use jobs_runner::prelude::*;

use crate::{fan_out, stores, ticks};

/// The lengths of a round trip.
const AWAY: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(10), Duration::from_millis(30)];
/// What takes longer is called `never`.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints a line for each store and distance: items per second of the fan-out, and how late the 256 ticks began, in
/// milliseconds. Postgres says also how many round trips the fan-out took.
pub async fn measure(items: u64, kinds: &[&str]) -> Result<()> {
    println!(
        "{:>10} {:>10} {:>12} {:>12} {:>8} {:>8} {:>8}",
        "store", "round trip", "items/s", "round trips", "p50", "p99", "last"
    );
    for kind in kinds {
        for away in AWAY {
            let opened = stores::open_far(kind).await?;
            let Some(way) = &opened.way else { continue };
            way.delay(away / 2);
            let before = way.round_trips();
            let rate = fan_out::drive(opened.store.clone(), items, PATIENCE).await?;
            let trips = way.round_trips() - before;

            let opened = stores::open_far(kind).await?;
            let Some(way) = &opened.way else { continue };
            way.delay(away / 2);
            let late = ticks::drive(&opened.store, PATIENCE).await?;
            let shown = |late: Option<u128>| late.map_or_else(|| "never".to_owned(), |late| late.to_string());
            let rate = rate.map_or_else(|| "never".to_owned(), |rate| format!("{rate:.0}"));
            let trips = if *kind == "postgres" { trips.to_string() } else { "-".to_owned() };
            let away = format!("{} ms", away.as_millis());
            let (half, most, last) = (shown(late.of(50)), shown(late.of(99)), shown(late.of(100)));
            println!("{kind:>10} {away:>10} {rate:>12} {trips:>12} {half:>8} {most:>8} {last:>8}");
            if !late.is_complete() {
                println!("{:>10} {} ticks of 256 began within {} s", "", late.count(), PATIENCE.as_secs());
            }
        }
    }
    Ok(())
}
