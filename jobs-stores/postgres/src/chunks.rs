//! Chunks: neighbouring items that wait. Their payload stands in a body that is written once; a chunk says which of its
//! items, so that leasing some of them rewrites nothing. What waits for a slot stands in `ready`, and what waits for its
//! time in `delayed`; both are inserted and deleted, and never updated.

use std::collections::BTreeMap;

use jobs_core::{Body, FORMAT, Header};
use sqlx::{Row, postgres::PgRow};

use crate::{
    columns::{Columns, format},
    fault::{Done, Fault},
    leases::stage,
    lines::Key,
    step::{Step, count, sql, unsigned},
};

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

/// A piece that is to be stored.
#[derive(Debug)]
pub(crate) struct New {
    job: i64,
    piece: Piece,
}

const INSERT_READY: &str = "
    INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[],
                         $7::smallint[], $8::boolean[], $9::boolean[], $10::bigint[], $11::integer[], $12::text[])";
const INSERT_DELAYED: &str = "
    INSERT INTO delayed (ns, job, due, number, start, count, body, at, header)
    SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::bigint[],
                             $8::integer[], $9::text[])";
const INSERT_BODIES: &str = "
    WITH stored AS (
        INSERT INTO body (start, count, header, items)
        SELECT start, count, $1, items FROM unnest($2::bigint[], $3::integer[], $4::bytea[]) AS b (start, count, items)
        RETURNING id, start, count)
    INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at)
    SELECT $5, $6, $7, start, count, $8, $9, $10, $11, id, 0 FROM stored";
const INSERT_BODY_DELAYED: &str = "
    WITH stored AS (INSERT INTO body (start, count, header, items) VALUES ($1, $2, $3, $4) RETURNING id)
    INSERT INTO delayed (ns, job, due, number, start, count, body, at) SELECT $5, $6, $7, $8, $1, $2, id, 0 FROM stored";
impl Step {
    /// A chunk with its header: of its own, or else of its body. The job may have another name by now.
    pub(crate) async fn read_piece(&mut self, job: i64, row: &PgRow) -> Done<Piece> {
        let own: Option<String> = row.try_get("header")?;
        let of_body: Option<String> = row.try_get("of_body")?;
        let part = Part {
            own: own.is_none(),
            body: row.try_get("body")?,
            at: count(row, "at")?,
            count: count(row, "count")?,
        };
        let header = self.header(job, own.or(of_body), unsigned(row, "start")?).await?;
        Ok(Piece { header, part })
    }

    /// The header that a text says.
    pub(crate) async fn header(&mut self, job: i64, text: Option<String>, start: u64) -> Done<Header> {
        let text = text.ok_or(Fault::Missing("the header of a chunk"))?;
        let mut header: Header = serde_json::from_str(&text)?;
        header.job = self.job_name(job).await?;
        header.start = start;
        Ok(header)
    }

    /// Stores items: ready, or waiting for their time. It is written with [`flush`](Self::flush).
    pub(crate) fn store(&mut self, job: i64, piece: Piece) {
        self.marks.work += 1;
        self.new.push(New { job, piece });
    }

    /// Stores items with bodies that are not stored yet, one after the other.
    pub(crate) async fn store_new(&mut self, job: i64, header: &Header, bodies: &[Body]) -> Done<()> {
        self.marks.work += 1;
        if header.due <= self.now {
            let line = self.line_for(job, header).await?;
            return self.insert_bodies(line, header, bodies).await;
        }
        let text = serde_json::to_string(header)?;
        let mut start = header.start;
        for body in bodies {
            let values = sql!(
                INSERT_BODY_DELAYED,
                start.cast_signed(),
                body.count().cast_signed(),
                &text,
                body.as_bytes(),
                self.ns,
                job,
                header.due.0,
                header.number.cast_signed()
            );
            self.execute(values).await?;
            start += u64::from(body.count());
        }
        Ok(())
    }

    /// Stores bodies with their chunks in a line.
    pub(crate) async fn insert_bodies(&mut self, line: i64, header: &Header, bodies: &[Body]) -> Done<()> {
        let mut start = header.start;
        let (mut starts, mut counts, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for body in bodies {
            starts.push(start.cast_signed());
            counts.push(body.count().cast_signed());
            items.push(body.as_bytes());
            start += u64::from(body.count());
        }
        let values = sql!(
            INSERT_BODIES,
            serde_json::to_string(header)?,
            starts,
            counts,
            items,
            line,
            header.rank(),
            header.number.cast_signed(),
            format(header),
            stage(header.stage),
            header.tracked,
            header.suspect
        );
        self.execute(values).await?;
        Ok(())
    }

    /// Writes what is to be stored.
    pub(crate) async fn write_new(&mut self) -> Done<()> {
        let new = std::mem::take(&mut self.new);
        let (delayed, ready): (Vec<New>, Vec<New>) =
            new.into_iter().partition(|new| new.piece.header.due > self.now);
        self.insert_delayed(delayed).await?;
        self.insert_ready(ready).await
    }

    async fn insert_delayed(&mut self, new: Vec<New>) -> Done<()> {
        if new.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        for New { job, piece } in &new {
            columns.push(*job, piece)?;
        }
        self.delayed = true;
        let Columns { of, dues, numbers, starts, counts, bodies, at, headers, .. } = columns;
        self.execute(sql!(INSERT_DELAYED, self.ns, of, dues, numbers, starts, counts, bodies, at, headers))
            .await?;
        Ok(())
    }

    async fn insert_ready(&mut self, new: Vec<New>) -> Done<()> {
        let mut by_line = BTreeMap::<(i64, Key), Vec<Piece>>::new();
        for New { job, piece } in new {
            by_line.entry((job, Key::of(&piece.header)?)).or_default().push(piece);
        }
        let mut columns = Columns::default();
        for ((job, key), pieces) in by_line {
            let first = pieces.iter().map(|piece| place(&piece.header)).min().unwrap_or_default();
            let line = self.line(job, &key, first).await?;
            for piece in &pieces {
                columns.push(line, piece)?;
            }
        }
        if columns.of.is_empty() {
            return Ok(());
        }
        let Columns {
            of,
            ranks,
            numbers,
            starts,
            counts,
            formats,
            stages,
            tracked,
            suspects,
            bodies,
            at,
            headers,
            ..
        } = columns;
        let values = sql!(
            INSERT_READY,
            of,
            ranks,
            numbers,
            starts,
            counts,
            formats,
            stages,
            tracked,
            suspects,
            bodies,
            at,
            headers
        );
        self.execute(values).await?;
        Ok(())
    }

    /// So many more items of a body have ended.
    pub(crate) fn has_ended(&mut self, body: Option<i64>, items: u32) {
        if let Some(body) = body {
            *self.ended.entry(body).or_default() += items.cast_signed();
        }
    }

    /// Counts how many items of which bodies have ended, and deletes the bodies of which all have.
    pub(crate) async fn write_ended(&mut self) -> Done<()> {
        let ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return Ok(());
        }
        let (bodies, ends): (Vec<i64>, Vec<i32>) = ended.into_iter().unzip();
        self.execute(sql!("SELECT end_items_1($1, $2)", bodies, ends)).await?;
        Ok(())
    }
}

/// Where items stand among those of their line.
pub(crate) fn place(header: &Header) -> (i64, i64) {
    (header.rank(), header.number.cast_signed())
}

/// The newest format that this version reads.
pub(crate) fn newest() -> i16 {
    i16::try_from(FORMAT).unwrap_or(i16::MAX)
}
