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

#[derive(Debug, Serialize)]
pub(crate) struct SessionWrite {
    pub(crate) session: i64,
    pub(crate) lease: i64,
    pub(crate) until: i64,
    pub(crate) connected_at: i64,
    pub(crate) node: String,
    pub(crate) node_name: String,
    pub(crate) build: String,
    pub(crate) past: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LinkWrite {
    pub(crate) job: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) link: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionRenewed {
    pub(crate) id: i64,
    pub(crate) until: i64,
    pub(crate) connected_at: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LeaseWrite {
    pub(crate) token: i64,
    pub(crate) open: u32,
    pub(crate) settled: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) suspect: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunWrite {
    pub(crate) id: i64,
    pub(crate) total: u64,
    pub(crate) ok: u64,
    pub(crate) retries: u64,
    pub(crate) dead: u64,
    pub(crate) discarded: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) fresh: u64,
    pub(crate) filling: bool,
    pub(crate) busy: bool,
    pub(crate) ended: bool,
    pub(crate) filled: Option<i64>,
    pub(crate) page: Option<usize>,
    pub(crate) is_cancelled: bool,
    pub(crate) sweep: bool,
    pub(crate) begun: bool,
    pub(crate) over: bool,
    pub(crate) record: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct TallyWrite {
    pub(crate) run: i64,
    pub(crate) ok: u64,
    pub(crate) retries: u64,
    pub(crate) dead: u64,
    pub(crate) discarded: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) fresh: u64,
    pub(crate) errors: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobNew {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) keep_runs: u32,
    pub(crate) keep_ticks: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Move {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) ticks: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Renamed {
    pub(crate) was: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct JobWrite {
    pub(crate) id: i64,
    pub(crate) link: Option<String>,
    pub(crate) keep_runs: Option<u32>,
    pub(crate) keep_ticks: Option<u32>,
    pub(crate) schedule: Option<String>,
    pub(crate) ticks: usize,
    pub(crate) finished: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct TickChanged {
    pub(crate) job: i64,
    pub(crate) n: i64,
    pub(crate) info: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct TickNew {
    pub(crate) job: i64,
    pub(crate) info: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunNew {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) request: Option<i64>,
    pub(crate) total: u64,
    pub(crate) fresh: u64,
    pub(crate) filling: bool,
    pub(crate) busy: bool,
    pub(crate) begun: bool,
    pub(crate) record: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LeaseNew {
    pub(crate) session: i64,
    pub(crate) token: i64,
    pub(crate) job: i64,
    pub(crate) number: i64,
    pub(crate) stage: i16,
    pub(crate) header: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailureNew {
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) failure: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailuresCut {
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) keep: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailuresGone {
    pub(crate) number: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeadNew {
    pub(crate) job: i64,
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) header: String,
    pub(crate) payload: usize,
    pub(crate) attempts: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct CellWrite {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) expires_at: Option<i64>,
    pub(crate) owner: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Staged {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) run: i64,
}

#[derive(Debug, Serialize)]
struct LineWrite {
    job: i64,
    kind: i16,
    run: i64,
    builds: String,
    rank: i64,
    number: i64,
    start: i64,
}

#[derive(Debug, Serialize)]
struct BodyNew {
    start: i64,
    count: u32,
    header: String,
    items: usize,
}

#[derive(Debug, Serialize)]
struct ReadyNew {
    line: Option<i64>,
    line_of: Option<usize>,
    rank: i64,
    number: i64,
    start: i64,
    count: u32,
    format: i16,
    stage: i16,
    tracked: bool,
    suspect: bool,
    body: Option<i64>,
    body_of: Option<usize>,
    at: u32,
    header: Option<String>,
}

#[derive(Debug, Serialize)]
struct DelayedNew {
    job: i64,
    due: i64,
    number: i64,
    start: i64,
    count: u32,
    body: Option<i64>,
    body_of: Option<usize>,
    at: u32,
    header: Option<String>,
    since: Option<i64>,
}

/// A chunk that is deleted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ChunkGone {
    pub(crate) line: i64,
    pub(crate) rank: i64,
    pub(crate) number: i64,
    pub(crate) start: i64,
    pub(crate) id: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) line: i64,
    pub(crate) job: i64,
    pub(crate) run: i64,
    pub(crate) rank: i64,
    pub(crate) number: i64,
}

#[derive(Debug, Serialize)]
struct Ended {
    bodies: Vec<i64>,
    items: Vec<i64>,
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
        let (start, count, header) = (header.start.cast_signed(), body.count(), serde_json::to_string(header)?);
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

    /// Stores items that this version cannot read, where a program looks for them that can.
    pub(crate) fn shelve(&mut self, row: &PieceRow) {
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
            header: row.header.clone(),
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
            body_of: part.payload.new(),
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
        // All take lines in one order.
        for ((job, key), chunks) in std::mem::take(&mut self.by_line) {
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
        body_of: part.payload.new(),
        at: part.at,
        header: piece.own_header()?,
    })
}
