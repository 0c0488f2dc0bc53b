//! Neighbouring items with their header. Their payload stands in a body that is written once; a piece says which of its
//! items, so that leasing or storing some of them rewrites nothing.

use std::{ops::Range, sync::Arc};

use jobs_core::Header;
use serde::Deserialize;

use crate::{facts::readable, fault::Done};

/// Where the payload of items is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload {
    /// Nowhere: a job that takes no item.
    None,
    /// In this body.
    Stored(i64),
    /// In a body that is written with them, by its place.
    New(usize),
}

impl Payload {
    pub(crate) fn of(body: Option<i64>) -> Self {
        body.map_or(Self::None, Self::Stored)
    }

    pub(crate) fn stored(self) -> Option<i64> {
        if let Self::Stored(body) = self { Some(body) } else { None }
    }

    pub(crate) fn place_among_new(self) -> Option<usize> {
        if let Self::New(place) = self { Some(place) } else { None }
    }
}

/// Which items of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Whether they have the header that was stored with the body.
    pub(crate) own: bool,
    pub(crate) payload: Payload,
    /// The first of them in the body.
    pub(crate) at: u32,
    pub(crate) count: u32,
}

/// Items with their header.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) header: Header,
    pub(crate) part: Part,
}

impl Piece {
    /// The one item of a job that takes none.
    pub(crate) fn unit(header: Header) -> Self {
        Self { header, part: Part { own: false, payload: Payload::None, at: 0, count: 1 } }
    }

    /// The header, unless that of the body says the same.
    pub(crate) fn own_header(&self) -> Done<Option<String>> {
        Ok(if self.part.own { None } else { Some(serde_json::to_string(&self.header)?) })
    }

    /// Some of its items, counted from its first.
    pub(crate) fn range(&self, items: Range<u32>) -> Self {
        let header = Header { start: self.header.start + u64::from(items.start), ..self.header.clone() };
        let count = items.end.saturating_sub(items.start);
        Self { header, part: Part { at: self.part.at + items.start, count, ..self.part } }
    }
}

/// A piece as its row says it.
#[derive(Debug, Deserialize)]
pub(crate) struct PieceRow {
    /// The job, and its name now; none if it was deleted by hand.
    pub(crate) job: i64,
    #[serde(default)]
    pub(crate) job_name: Option<Arc<str>>,
    /// The queue that it was taken out of, where that is to be set right.
    #[serde(default)]
    pub(crate) line: Option<i64>,
    /// The run, or the item's own number if it was enqueued one by one.
    #[serde(default)]
    pub(crate) number: i64,
    pub(crate) start: i64,
    pub(crate) count: i32,
    pub(crate) body: Option<i64>,
    pub(crate) at: i32,
    pub(crate) header: Option<String>,
    pub(crate) of_body: Option<String>,
    /// When it is due, of what waits for its time.
    #[serde(default)]
    pub(crate) due: Option<i64>,
    /// Whether its run was cancelled: of leases, and of what waits for its time.
    #[serde(default, rename = "cancelled")]
    pub(crate) is_cancelled: Option<bool>,
}

impl PieceRow {
    /// Its header as text: its own, or that of its body. None is left if somebody has deleted the body.
    pub(crate) fn text(&self) -> Option<&String> {
        self.header.as_ref().or(self.of_body.as_ref())
    }

    /// The piece; `None` if this version cannot read its header, or if its body was deleted.
    pub(crate) fn piece(&self) -> Option<Piece> {
        let mut header: Header = readable(self.text()?)?;
        // The job may have another name by now.
        if let Some(name) = &self.job_name {
            header.job = name.clone();
        }
        header.start = self.start.cast_unsigned();
        let part = Part {
            own: self.header.is_none(),
            payload: Payload::of(self.body),
            at: self.at.cast_unsigned(),
            count: self.count.cast_unsigned(),
        };
        Some(Piece { header, part })
    }
}
