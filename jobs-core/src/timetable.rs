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
