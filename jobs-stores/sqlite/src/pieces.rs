//! Which items of a body wait together, or are leased together.

use std::ops::Range;

use jobs_core::{Header, Millis, ledger::OpenItems};

/// Which items of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Whether they have the header that was stored with the body.
    pub(crate) own: bool,
    /// The body; none for the item of a job that takes none.
    pub(crate) body: Option<i64>,
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
        Self { header, part: Part { own: false, body: None, at: 0, count: 1 } }
    }

    /// Cuts off the first item and leaves the rest.
    pub(crate) fn split_one(&mut self) -> Self {
        let mut one = self.clone();
        one.part.count = 1;
        self.part.count -= 1;
        self.part.at += 1;
        self.header.start += 1;
        one
    }
}

/// Items that are leased.
#[derive(Debug)]
pub(crate) struct LeaseRow {
    /// The session's number in the file.
    pub(crate) session: i64,
    pub(crate) job: i64,
    pub(crate) header: Header,
    pub(crate) part: Part,
    pub(crate) granted_at: Millis,
    /// Which of them are still to be settled.
    pub(crate) items: OpenItems,
}

impl LeaseRow {
    /// All items that are not settled.
    pub(crate) fn rest(&self) -> Vec<Piece> {
        self.items.rest().into_iter().map(|stretch| self.piece(stretch)).collect()
    }

    /// Some of its items.
    pub(crate) fn piece(&self, stretch: Range<u32>) -> Piece {
        let start = self.header.start + u64::from(stretch.start);
        let part = Part {
            at: self.part.at + stretch.start,
            count: stretch.end.saturating_sub(stretch.start),
            ..self.part
        };
        Piece { header: Header { start, ..self.header.clone() }, part }
    }
}
