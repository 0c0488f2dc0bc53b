//! A schedule as the scheduler asks it: in milliseconds, with the delay that jitter adds.

use std::{sync::Arc, time::Duration};

use jobs_schedule::{Schedule, jitter};

use crate::Millis;

/// When a schedule is due, and when each tick may fire.
#[derive(Clone, Debug)]
pub struct Timetable {
    id: Arc<str>,
    schedule: Schedule,
    jitter: Duration,
}

impl Timetable {
    /// The timetable of a schedule with this id.
    #[must_use]
    pub fn new(id: Arc<str>, schedule: Schedule, jitter: Duration) -> Self {
        Self { id, schedule, jitter }
    }

    /// The schedule.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The first tick after this instant.
    #[must_use]
    pub fn next_after(&self, after: Millis) -> Option<Millis> {
        let next = Millis::from(self.schedule.next_after(after.timestamp())?);
        // An instant with a finer part is cut to the millisecond, and must not be found again from there.
        if next > after {
            return Some(next);
        }
        let beyond = after + Duration::from_millis(1);
        self.schedule.next_after(beyond.timestamp()).map(Millis::from).filter(|next| *next > after)
    }

    /// The last tick at or before this instant.
    #[must_use]
    pub fn last_at_or_before(&self, at: Millis) -> Option<Millis> {
        self.schedule.last_at_or_before(at.timestamp()).map(Millis::from)
    }

    /// How many ticks there are after `after`, up to and including `until`.
    #[must_use]
    pub fn count_between(&self, after: Millis, until: Millis) -> u64 {
        self.schedule.count_between(after.timestamp(), until.timestamp())
    }

    /// The last tick that may have fired by this instant.
    #[must_use]
    pub fn last_fired_by(&self, at: Millis) -> Option<Millis> {
        let last = self.last_at_or_before(at)?;
        if self.fires_at(last) <= at {
            return Some(last);
        }
        // The tick before may fire before this one is due, so it may have fired.
        self.last_at_or_before(last - Duration::from_millis(1))
    }

    /// An instant in `after..=until` behind which the newest `most` ticks of that range begin.
    #[must_use]
    pub fn before_the_newest(&self, most: u64, after: Millis, until: Millis) -> Millis {
        let (mut too_early, mut late_enough) = (after.0, until.0);
        if self.count_between(after, until) <= most {
            return after;
        }
        while late_enough - too_early > 1 {
            let middle = too_early + (late_enough - too_early) / 2;
            if self.count_between(Millis(middle), until) > most {
                too_early = middle;
            } else {
                late_enough = middle;
            }
        }
        Millis(late_enough)
    }

    /// When a tick may fire: the tick, later by a share of the jitter that is the same on every node, and never
    /// as late as the next tick, so that ticks fire in their order.
    #[must_use]
    pub fn fires_at(&self, tick: Millis) -> Millis {
        if self.jitter.is_zero() {
            return tick;
        }
        let delayed = tick + jitter::delay(&self.id, tick.timestamp(), self.jitter);
        match self.next_after(tick) {
            Some(next) => delayed.min(next - Duration::from_millis(1)),
            None => delayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn each_minute(jitter: Duration) -> Timetable {
        Timetable::new("g.j".into(), "* * * * *".parse().unwrap(), jitter)
    }

    #[test]
    fn the_newest_ticks_begin_behind_an_instant() {
        let timetable = each_minute(Duration::ZERO);
        let newest = |most| timetable.before_the_newest(most, Millis(0), Millis(10 * MINUTE + 5));
        for most in 0..10 {
            let from = newest(most);
            assert_eq!(timetable.count_between(from, Millis(10 * MINUTE + 5)), most);
            assert!(from.0 >= (10 - most as i64) * MINUTE && from.0 < (11 - most as i64) * MINUTE);
        }
        assert_eq!(newest(10), Millis(0));
        assert_eq!(newest(11), Millis(0));
    }

    #[test]
    fn a_tick_that_jitter_delays_has_not_fired_yet() {
        let timetable = each_minute(Duration::from_secs(3_600));
        for minute in 1..100 {
            let tick = Millis(minute * MINUTE);
            let fires_at = timetable.fires_at(tick);
            assert!(
                fires_at >= tick && fires_at.0 < (minute + 1) * MINUTE,
                "it fires before the next is due"
            );
            assert_eq!(timetable.last_fired_by(fires_at), Some(tick));
            assert_eq!(
                timetable.last_fired_by(fires_at - Duration::from_millis(1)),
                Some(Millis(tick.0 - MINUTE))
            );
        }
    }
}
