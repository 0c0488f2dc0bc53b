//! Ending, cancelling and removing runs, and giving dead items another chance.

use std::sync::Arc;

use crate::{Failure, ItemId, RunId, RunReport};

/// Dead items to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// The caller's id for it, of the same kind as that of a manual run.
    pub request: u64,
    /// The job. Items of other jobs are left as they are.
    pub job: Arc<str>,
    /// The items. Those that are not dead are passed over.
    pub items: Vec<ItemId>,
    /// Why.
    pub note: Option<String>,
}

/// A run of items that were dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// The run.
    pub run: RunId,
    /// How many items it has.
    pub items: u64,
}

/// A run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete {
    /// The run.
    pub run: RunId,
    /// Whether to create its finish item.
    pub finish: bool,
}

/// What became of a complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// This call ended the run.
    Completed(Box<RunReport>),
    /// It was over before.
    Already(Box<RunReport>),
    /// Something of it is still to be done.
    Open,
    /// There is no such run.
    Unknown,
}

/// What became of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The run is cancelled.
    Cancelled {
        /// Whether items that wait are still to be ended: the same call goes on with them.
        more: bool,
    },
    /// It was over, or all of its items had ended: nothing was done.
    Over,
    /// There is no such run.
    Unknown,
}

/// What a reap did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// The nodes whose sessions were reaped.
    pub nodes: Vec<String>,
    /// Items that are ready again.
    pub items: u64,
    /// Items that are dead: poison, or undecodable.
    pub dead: Vec<(Arc<str>, Option<RunId>, ItemId, Failure)>,
    /// Runs that may be over.
    pub ended: Vec<RunId>,
    /// Whether there is more to do: the next call goes on with it.
    pub more: bool,
}

impl Reaped {
    /// Adds what the next step did.
    pub fn add(&mut self, next: Self) {
        self.nodes.extend(next.nodes);
        self.items += next.items;
        self.dead.extend(next.dead);
        self.ended.extend(next.ended);
        self.more = next.more;
    }
}

/// What a prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many records were removed.
    pub removed: usize,
    /// Whether there may be more to remove: the next call goes on with it.
    pub more: bool,
}
