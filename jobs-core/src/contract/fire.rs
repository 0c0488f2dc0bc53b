//! Ticks that fire or are passed over, and runs by hand.

use std::{sync::Arc, time::Duration};

use crate::{Lease, Millis, RunId, ScheduleState, TickInfo, Trigger, Verdict};

/// A run to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// The job's id.
    pub job: Arc<str>,
    /// What makes it due.
    pub cause: Cause,
    /// What to do while a run of the job is busy.
    pub if_busy: IfBusy,
    /// The priority of its items.
    pub priority: i16,
    /// Whether there is a query: the first item is then the fill item.
    pub query: bool,
    /// Whether one attempt at a time runs over the cluster: a job without a query, unless `overlap = "allow"`.
    pub exclusive: bool,
    /// The name of the item's type, for a job without a query.
    pub item_type: Arc<str>,
}

/// What makes a run due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A scheduled instant.
    Tick {
        /// The schedule's id: the job's, for the declared one.
        schedule: Arc<str>,
        /// The declaration that the caller goes by.
        fingerprint: Arc<str>,
        /// The cursor that the caller decided from.
        cursor: Millis,
        /// The instant.
        tick: Millis,
        /// When it may fire: the instant plus its jitter.
        at: Millis,
        /// Fired or late.
        verdict: Verdict,
        /// By schedule or by catch-up.
        trigger: Trigger,
        /// What became of the ticks between the cursor and this one.
        passed: Vec<TickInfo>,
    },
    /// Somebody asks.
    Manual {
        /// The caller's id for it.
        request: u64,
        /// Why.
        note: Option<String>,
    },
}

/// What to do with a tick while a run of its job is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfBusy {
    /// Record it as skipped.
    Skip,
    /// Leave it due, as one that was noticed on time (`overlap = "queue"`).
    Queue,
    /// Leave it due.
    Wait,
    /// Fire all the same.
    Fire,
}

/// What became of a fire.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all answers are of the large kind, and none is kept")]
pub enum Firing {
    /// The run exists, and its first item is leased to the caller if it wanted it.
    Fired {
        /// The run.
        run: RunId,
        /// The lease of its first item.
        lease: Option<Lease>,
    },
    /// The cursor is not where the caller thought.
    Already(ScheduleState),
    /// A run of the job is busy. With [`IfBusy::Skip`] the tick was recorded as skipped; with the others it is
    /// still due, and the ticks before it have their verdicts.
    Busy {
        /// The busy run.
        run: RunId,
    },
    /// The job is paused: nothing was done.
    Paused {
        /// Why.
        note: String,
    },
    /// The tick, or when it may fire, is later than the store's now: nothing was done.
    NotYet {
        /// How long until then.
        wait: Duration,
    },
    /// Another declaration of the schedule is in force: nothing was done.
    Stale,
}

/// Ticks to pass over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The schedule's id.
    pub schedule: Arc<str>,
    /// The declaration that the caller goes by.
    pub fingerprint: Arc<str>,
    /// The cursor that the caller decided from.
    pub cursor: Millis,
    /// What became of them, oldest first.
    pub passed: Vec<TickInfo>,
}

/// What became of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The cursor stands at the last of them.
    Passed,
    /// The cursor is not where the caller thought.
    Already(ScheduleState),
    /// The last of them is later than the store's now: nothing was done.
    NotYet,
    /// Another declaration of the schedule is in force: nothing was done.
    Stale,
}
