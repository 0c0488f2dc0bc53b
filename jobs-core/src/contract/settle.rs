//! Settling items, and leasing more.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{Chunk, Failure, Millis, PutCell, RunId, SessionId, Token, cut};

/// What to settle, and what is wanted next.
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// The session.
    pub session: SessionId,
    /// One numbered series of the session's calls, with one outstanding.
    pub lane: u32,
    /// The number of the call. It acknowledges all before it; a repeat gets the same leases.
    pub n: u64,
    /// How items ended.
    pub settlements: Vec<Settlement>,
    /// What else to do, each in the step and under the guard of the settlement at that index: not if its lease is
    /// lost, nor if nothing of it was still to be settled.
    pub effects: Vec<(usize, Effect)>,
    /// What to lease.
    pub want: Want,
}

/// How neighbouring items of a lease ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// The lease.
    pub token: Token,
    /// The first of them, counted from 0 in the lease.
    pub from: u32,
    /// The one after the last of them.
    pub to: u32,
    /// How they ended.
    pub end: End,
}

/// How an item ended, or an attempt of it.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Done, with the value to keep for a tracked item.
    Done(Option<Value>),
    /// The attempt failed, and is followed by another.
    Retry {
        /// When, by the sender's idea of the store's clock.
        at: Millis,
        /// How long after the attempt that is: the store makes the item wait no longer than this from now.
        wait: Duration,
        /// Why.
        failure: Box<Failure>,
    },
    /// It comes back later, uncharged.
    Snooze {
        /// When, by the sender's idea of the store's clock.
        at: Millis,
        /// How long after the attempt that is: the store makes the item wait no longer than this from now.
        wait: Duration,
    },
    /// The attempt failed, and there is no next one.
    Dead(Box<Failure>),
    /// The handler wants no more of it.
    Discarded(String),
    /// Its run was cancelled.
    Cancelled,
    /// It had expired before it was started.
    Expired,
    /// This build cannot decode its payload.
    Undecodable(String),
    /// It was not worked on, or its attempt was broken off: ready at once, uncharged.
    Back,
}

impl End {
    /// A failed attempt that is followed by another at `at`, when it is `now` by the same clock.
    #[must_use]
    pub fn retry(at: Millis, now: Millis, failure: Box<Failure>) -> Self {
        Self::Retry { at, wait: at.since(now), failure }
    }

    /// Comes back at `at`, uncharged, when it is `now` by the same clock.
    #[must_use]
    pub fn snooze(at: Millis, now: Millis) -> Self {
        Self::Snooze { at, wait: at.since(now) }
    }

    /// Cuts the texts that a user's code has made.
    pub fn cut(&mut self) {
        match self {
            Self::Retry { failure, .. } | Self::Dead(failure) => failure.cut(),
            Self::Discarded(text) | Self::Undecodable(text) => cut(text),
            Self::Done(_) | Self::Snooze { .. } | Self::Cancelled | Self::Expired | Self::Back => {}
        }
    }
}

/// What a hot operation does besides, in its step and under its guard.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Writes a cell, whatever its version.
    PutCell {
        /// Its name.
        name: String,
        /// What to write.
        put: PutCell,
    },
}

/// What a session has room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Free slots of the process. Fill and finish items take one each.
    pub slots: u32,
    /// The jobs whose room differs from what they link: those of which items are held here.
    pub jobs: Vec<JobWant>,
}

/// The room for items of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWant {
    /// The job's id.
    pub job: Arc<str>,
    /// Its free slots.
    pub slots: u32,
    /// How many items a slot works off while the next call is under way: `slots` × this are leased, in as many
    /// leases as it takes. A job that is limited over the cluster or exclusive gets 1. With 0 nothing of the job is
    /// wanted, its query included.
    pub per_slot: u32,
}

/// Items that are in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing number.
    pub token: Token,
    /// The items.
    pub chunk: Chunk,
    /// For the fill item of a query that is called page by page: where to begin.
    pub cursor: Option<Vec<u8>>,
}

/// What a settle answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The leases granted by this call, at most [`STEP_RECORDS`](crate::STEP_RECORDS).
    pub leases: Vec<Lease>,
    /// Leases that are lost: nothing was changed for them. A lease that was already settled in full may or may not be
    /// listed.
    pub lost: Vec<Token>,
    /// Runs that may be over.
    pub ended: Vec<RunId>,
    /// When the next item that waits for its time is due, of the jobs that the session links. It is past or now where a
    /// step has done as much as one step does: it makes at most [`STEP_RECORDS`](crate::STEP_RECORDS) chunks ready, and
    /// grants at most so many leases. The next call goes on.
    pub next_due: Option<Millis>,
}
