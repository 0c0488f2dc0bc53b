//! What a store knows of a job.

use crate::{Link, ScheduleState};

/// What a store knows of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// How it was linked last.
    pub link: Link,
    /// Where its schedule stands, if it has one.
    pub schedule: Option<ScheduleState>,
    /// Whether a live session links it.
    pub live: bool,
    /// Items that wait for a slot.
    pub ready: u64,
    /// Items that wait for their time.
    pub delayed: u64,
    /// Items that are leased.
    pub in_flight: u64,
    /// Items that are dead.
    pub dead: u64,
}

impl JobRecord {
    /// Items that have not ended, of all kinds.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.ready + self.delayed + self.in_flight
    }
}
