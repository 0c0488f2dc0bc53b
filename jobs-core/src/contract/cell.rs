//! Cells: versioned named values.

use std::time::Duration;

use serde_json::Value;

use crate::{Millis, SessionId};

/// A versioned named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// A number of the namespace's source: it grows with each write, and is not used again after the cell was
    /// removed or has expired, so that whoever lost a lock cannot renew it.
    pub version: u64,
    /// What it holds.
    pub value: Value,
    /// Gone after this instant.
    pub expires_at: Option<Millis>,
    /// Gone with this session.
    pub owner: Option<SessionId>,
}

/// What to write into a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutCell {
    /// The value; `None` removes the cell.
    pub value: Option<Value>,
    /// How long it stays.
    pub expires_in: Option<Duration>,
    /// The session that it goes with.
    pub owner: Option<SessionId>,
}
