//! What an operation writes: lists of records, sent to the function `write_2` in one call.

use std::collections::BTreeMap;

use jobs_core::{
    Body, Header, Stage,
    ledger::{QueueKey, QueueKind},
};
use serde::Serialize;

use crate::{
    fault::Done,
    pieces::{Payload, Piece, PieceRow},
    records::{
        BodyNew, CellWrite, ChunkGone, DeadNew, DelayedNew, Ended, FailureNew, FailuresCut, FailuresGone,
        JobNew, JobWrite, LeaseNew, LeaseWrite, LineWrite, LinkWrite, Move, Published, ReadyNew, Renamed,
        RunNew, RunWrite, SessionRenewed, SessionWrite, Staged, TallyWrite, TickChanged, TickNew,
    },
};

/// The records that are written, by kind: see `write_2`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Writes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sessions_gone: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) owners_gone: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<SessionWrite>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) links: Option<Vec<LinkWrite>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sessions: Vec<SessionRenewed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) leases_gone: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) leases: Vec<LeaseWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs: Vec<RunWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tallies: Vec<TallyWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) jobs_new: Vec<JobNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) moves: Vec<Move>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) renamed_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) renamed: Vec<Renamed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) jobs: Vec<JobWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ticks_changed: Vec<TickChanged>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ticks: Vec<TickNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs_new: Vec<RunNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) leases_new: Vec<LeaseNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<FailureNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures_cut: Vec<FailuresCut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures_gone: Vec<FailuresGone>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead: Vec<DeadNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead_gone: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cells_gone: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cells: Vec<CellWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cells_renamed: Vec<Renamed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) staged: Vec<Staged>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineWrite>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bodies: Vec<BodyNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ready: Vec<ReadyNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    delayed: Vec<DelayedNew>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chunks_gone: Vec<ChunkGone>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) published: Vec<Published>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dropped: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) restood: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    /// Runs that have ended, as far as the operation itself knows: for the answer of a lane.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) over: Vec<i64>,
    #[serde(skip)]
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Chunks that are ready, by the queue that they belong in.
    #[serde(skip)]
    by_line: BTreeMap<(i64, QueueKey), Vec<ReadyNew>>,
    /// How many items of which bodies have ended.
    #[serde(skip)]
    ends: BTreeMap<i64, i64>,
}

/// A stage as Postgres keeps it.
pub(crate) fn stage_number(stage: Stage) -> i16 {
    match stage {
        Stage::Fill => 0,
        Stage::Work => 1,
        Stage::Finish => 2,
    }
}

impl Writes {
    /// Keeps bytes that a record refers to, and returns their place.
    pub(crate) fn blob(&mut self, bytes: Vec<u8>) -> usize {
        self.blobs.push(bytes);
        self.blobs.len()
    }

    /// Stores a payload that is new.
    pub(crate) fn body(&mut self, header: &Header, body: &Body) -> Done<Payload> {
        let items = self.blob(body.as_bytes().to_vec());
        let (start, count, header) =
            (header.start.cast_signed(), body.count(), serde_json::to_string(header)?);
        self.bodies.push(BodyNew { start, count, header, items });
        Ok(Payload::New(self.bodies.len()))
    }

    /// Stores items that wait for a slot.
    pub(crate) fn ready(&mut self, job: i64, piece: &Piece) -> Done<()> {
        let key = QueueKey::of(&piece.header);
        let chunk = ready(piece)?;
        self.by_line.entry((job, key)).or_default().push(chunk);
        Ok(())
    }

    /// Stores items that this version cannot read, where a program looks for them that can. What has lost its body is
    /// dropped.
    pub(crate) fn shelve(&mut self, row: &PieceRow) {
        let Some(header) = row.text() else { return };
        let key = QueueKey { kind: QueueKind::Newer, run: 0, builds: String::new() };
        let chunk = ReadyNew {
            line: None,
            line_of: None,
            rank: row.due.unwrap_or_default(),
            number: row.number,
            start: row.start,
            count: row.count.cast_unsigned(),
            format: i16::MAX,
            stage: stage_number(Stage::Work),
            tracked: false,
            suspect: false,
            body: row.body,
            body_of: None,
            at: row.at.cast_unsigned(),
            header: Some(header.clone()),
        };
        self.by_line.entry((row.job, key)).or_default().push(chunk);
    }

    /// Stores items in a queue that nobody else knows.
    pub(crate) fn ready_in(&mut self, line: i64, piece: &Piece) -> Done<()> {
        self.ready.push(ReadyNew { line: Some(line), ..ready(piece)? });
        Ok(())
    }

    /// Stores items that wait for their time.
    pub(crate) fn delayed(&mut self, job: i64, piece: &Piece) -> Done<()> {
        let Piece { header, part } = piece;
        self.delayed.push(DelayedNew {
            job,
            due: header.due.0,
            number: header.number.cast_signed(),
            start: header.start.cast_signed(),
            count: part.count,
            body: part.payload.stored(),
            body_of: part.payload.place_among_new(),
            at: part.at,
            header: piece.own_header()?,
            since: header.waits_since.map(|since| since.0),
        });
        Ok(())
    }

    /// So many more items of a body have ended.
    pub(crate) fn has_ended(&mut self, payload: Payload, items: u32) {
        if let Some(body) = payload.stored() {
            *self.ends.entry(body).or_default() += i64::from(items);
        }
    }

    /// Brings all into the form in which it is sent; `None` if there is nothing to write.
    pub(crate) fn sent(mut self) -> Done<Option<(String, Vec<Vec<u8>>)>> {
        // What goes back while its job gets another name goes where the job goes.
        let home = |job: i64| self.moves.iter().fold(job, |job, to| if to.from == job { to.to } else { job });
        for delayed in &mut self.delayed {
            delayed.job = home(delayed.job);
        }
        for dead in &mut self.dead {
            dead.job = home(dead.job);
        }
        let mut by_line = BTreeMap::<(i64, QueueKey), Vec<ReadyNew>>::new();
        for ((job, key), chunks) in std::mem::take(&mut self.by_line) {
            by_line.entry((home(job), key)).or_default().extend(chunks);
        }
        // All take lines in one order.
        for ((job, key), chunks) in by_line {
            let first = chunks.iter().map(|chunk| (chunk.rank, chunk.number, chunk.start)).min();
            let (rank, number, start) = first.unwrap_or_default();
            let QueueKey { kind, run, builds } = key;
            let kind = kind as i16;
            self.lines.push(LineWrite { job, kind, run: run.cast_signed(), builds, rank, number, start });
            let line_of = Some(self.lines.len());
            self.ready.extend(chunks.into_iter().map(|chunk| ReadyNew { line_of, ..chunk }));
        }
        if !self.ends.is_empty() {
            let (bodies, items) = std::mem::take(&mut self.ends).into_iter().unzip();
            self.ended = Some(Ended { bodies, items });
        }
        let text = serde_json::to_string(&self)?;
        Ok((text != "{}").then_some((text, self.blobs)))
    }
}

fn ready(piece: &Piece) -> Done<ReadyNew> {
    let Piece { header, part } = piece;
    Ok(ReadyNew {
        line: None,
        line_of: None,
        rank: header.rank(),
        number: header.number.cast_signed(),
        start: header.start.cast_signed(),
        count: part.count,
        format: i16::try_from(header.format).unwrap_or(i16::MAX),
        stage: stage_number(header.stage),
        tracked: header.tracked,
        suspect: header.suspect,
        body: part.payload.stored(),
        body_of: part.payload.place_among_new(),
        at: part.at,
        header: piece.own_header()?,
    })
}
