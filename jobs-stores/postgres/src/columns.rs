//! Chunks as the columns of a statement that stores many at once.

use jobs_core::Header;

use crate::{chunks::Piece, fault::Done, leases::stage};

/// Rows as columns, for `unnest`.
#[derive(Default)]
pub(crate) struct Columns {
    /// The line, or the job.
    pub(crate) of: Vec<i64>,
    pub(crate) ranks: Vec<i64>,
    pub(crate) dues: Vec<i64>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) starts: Vec<i64>,
    pub(crate) counts: Vec<i32>,
    pub(crate) formats: Vec<i16>,
    pub(crate) stages: Vec<i16>,
    pub(crate) tracked: Vec<bool>,
    pub(crate) suspects: Vec<bool>,
    pub(crate) bodies: Vec<Option<i64>>,
    pub(crate) at: Vec<i32>,
    pub(crate) headers: Vec<Option<String>>,
}

impl Columns {
    /// Adds a row.
    pub(crate) fn push(&mut self, of: i64, piece: &Piece) -> Done<()> {
        let Piece { header, part } = piece;
        self.of.push(of);
        self.ranks.push(header.rank());
        self.dues.push(header.due.0);
        self.numbers.push(header.number.cast_signed());
        self.starts.push(header.start.cast_signed());
        self.counts.push(part.count.cast_signed());
        self.formats.push(format(header));
        self.stages.push(stage(header.stage));
        self.tracked.push(header.tracked);
        self.suspects.push(header.suspect);
        self.bodies.push(part.body);
        self.at.push(part.at.cast_signed());
        self.headers.push(if part.own { None } else { Some(serde_json::to_string(header)?) });
        Ok(())
    }
}

/// The format as Postgres keeps it.
pub(crate) fn format(header: &Header) -> i16 {
    i16::try_from(header.format).unwrap_or(i16::MAX)
}
