//! Storing what a query found.

use std::sync::Arc;

use crate::{Body, Token};

/// What a query found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The fill item's lease.
    pub token: Token,
    /// The number of this append under the lease, from 0.
    pub seq: u64,
    /// The name of the items' type.
    pub item_type: Arc<str>,
    /// The items.
    pub bodies: Vec<Body>,
    /// For a query that is called page by page: where the next page begins. The items are published at once,
    /// the cursor is stored with them, and the fill item's attempts and crashes start anew: a query that gets on does
    /// not kill its nodes.
    pub page: Option<Option<Vec<u8>>>,
    /// Whether this is all: publishes what was staged, and settles the fill item.
    pub last: bool,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored.
    Stored {
        /// How many items of the job are ready.
        ready: u64,
        /// How many items the run has so far.
        total: u64,
    },
    /// The lease is lost, or the run was cancelled: nothing was done.
    Lost,
    /// Another append is the next one: nothing was done.
    OutOfOrder {
        /// Its number.
        expected: u64,
    },
}
