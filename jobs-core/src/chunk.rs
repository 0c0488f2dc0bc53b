//! The unit of storage: items that are alike in everything but their payload.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Body, ItemId, Millis, RunId, Trigger};

/// The newest chunk format that this version writes, and the newest it can read.
pub const FORMAT: u16 = 1;

/// How much earlier than its due time an item of priority 1 stands among those of priority 0, in milliseconds: a year,
/// which is longer than anything waits, so priority is strict. A job whose priority is to age would take a shorter one.
pub const STEP: i64 = 366 * 24 * 3_600_000;

/// Items of one run that are alike in all of their header. Users never meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What the items have in common.
    pub header: Header,
    /// The items.
    pub body: Body,
}

/// What the items of a chunk have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format. A reader leaves a chunk of a higher one alone: it does not guess.
    pub format: u16,
    /// The job's id.
    pub job: Arc<str>,
    /// The number of the run, or the item's own if it was enqueued one by one.
    pub number: u64,
    /// Whether the item was enqueued one by one: it has a record of its own and belongs to no run.
    pub tracked: bool,
    /// What made the run.
    pub trigger: Trigger,
    /// The run's scheduled instant.
    pub tick: Option<Millis>,
    /// What part of the run the items are.
    pub stage: Stage,
    /// Higher is leased first: see [`rank`](Self::rank).
    pub priority: i16,
    /// Not leased before.
    pub due: Millis,
    /// Attempts that were counted so far.
    pub attempt: u32,
    /// Whether the first attempt is still to be settled: while a run has such an item it is busy.
    pub fresh: bool,
    /// The name of the item's type.
    pub item_type: Arc<str>,
    /// What limits by key count the items under.
    pub key: Option<Arc<str>>,
    /// A node died holding the items: they are leased one at a time, so that whoever is charged was alone.
    pub suspect: bool,
    /// How often a node died holding the item as a suspect.
    pub crashes: u32,
    /// How often the item was held by a node that died or lost its lease, charged or not.
    pub redelivered: u32,
    /// The place in the run of the first item; the others follow it.
    pub start: u64,
    /// When the items were stored.
    pub enqueued_at: Millis,
    /// What the enqueue said, where it differs from the job's options.
    pub options: ItemOptions,
    /// The builds that could not decode the payload; none if nobody has tried and failed.
    pub undecodable: Option<Undecodable>,
    /// When the items were put to wait for their due time, by the store's clock; `None` for those that do not wait. A
    /// store whose clock was in the future then knows how long they were meant to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Millis>,
}

/// What part of a run an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// The one item whose attempt runs the query.
    Fill,
    /// What the query found, or the one item of a job without a query.
    Work,
    /// The one item whose attempt calls `on_finish`.
    Finish,
}

/// Options that an enqueue set for its items; unset ones are the job's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemOptions {
    /// Attempts after the first.
    pub retries: Option<u32>,
    /// The bound of one attempt.
    pub timeout: Option<Duration>,
    /// Not started after this instant: settled as expired.
    pub expires_at: Option<Millis>,
}

/// Who could not decode a payload, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecodable {
    /// When the first build failed on it.
    pub since: Millis,
    /// The builds that failed on it. It is not offered to them again.
    pub builds: Vec<Arc<str>>,
    /// What the last of them said.
    pub message: String,
}

impl Header {
    /// The run; `None` for an item that was enqueued one by one.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        (!self.tracked).then(|| RunId::new(self.number))
    }

    /// The id of the chunk's item at `index`, counted from 0.
    #[must_use]
    pub fn item(&self, index: u32) -> ItemId {
        ItemId::new(self.number, self.start + u64::from(index))
    }

    /// What the progress of a query means for its item, when a page is stored: its attempts begin anew, and so does the
    /// suspicion that it kills its nodes. Says whether that changes anything.
    pub fn begin_anew(&mut self) -> bool {
        let changed = self.attempt > 0 || self.crashes > 0 || self.suspect;
        (self.attempt, self.crashes, self.suspect) = (0, 0, false);
        changed
    }

    /// Where ready items stand: lower is leased first. One number, so that every store sorts by it and nothing
    /// else: the due time, earlier by [`STEP`] per step of priority. Within one rank, the order is that of runs, and
    /// in a run the order in which the query found the items, whatever was given back or handed out before.
    #[must_use]
    pub fn rank(&self) -> i64 {
        self.due.0.saturating_sub(i64::from(self.priority).saturating_mul(STEP))
    }
}

impl Chunk {
    /// How many items there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.body.count()
    }

    /// Cuts off the first `n` items and leaves the rest.
    #[must_use]
    pub fn split_to(&mut self, n: u32) -> Self {
        let body = self.body.split_to(n);
        let header = self.header.clone();
        self.header.start += u64::from(body.count());
        Self { header, body }
    }

    /// The items `from..to` as a chunk of their own.
    #[must_use]
    pub fn range(&self, from: u32, to: u32) -> Self {
        let header = Header { start: self.header.start + u64::from(from), ..self.header.clone() };
        Self { header, body: self.body.range(from, to) }
    }
}
