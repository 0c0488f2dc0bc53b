//! Chunks: neighbouring items that wait. Their payload stands in a body that is written once; a chunk says which of its
//! items, so that leasing some of them rewrites nothing.
//!
//! The chunk that came with a body has the body's number. It stays when nothing of it waits any more, and counts how
//! many items of the body have not ended: with the last of them both go.

use jobs_core::{
    Body, FORMAT, Header, RunId,
    ledger::{QueueKey, QueueKind},
    notice,
};
use rusqlite::Row;

use crate::{
    bodies::{Bodies, Found},
    fault::Done,
    pieces::{Part, Piece},
    rows::{limit, parsed, text},
    step::Step,
};

/// A chunk as it is stored: its header is still to be read.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) start: u64,
    pub(crate) part: Part,
    header: Option<String>,
    /// The number of its run.
    number: i64,
    rank: i64,
    /// The line that it stands in; none while it waits for its time.
    pub(crate) line: Option<i64>,
}

impl Stored {
    pub(crate) const COLUMNS: &str = "id, job, start, count, body, at, header, number, rank, line";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let own = matches!(row.get_ref(6)?, rusqlite::types::ValueRef::Null);
        Ok(Self {
            id: row.get(0)?,
            job: row.get(1)?,
            start: row.get::<_, i64>(2)?.cast_unsigned(),
            part: Part { own, body: row.get(4)?, at: row.get(5)?, count: row.get(3)? },
            header: if own { None } else { Some(text(row, 6)?) },
            number: row.get(7)?,
            rank: row.get(8)?,
            line: row.get(9)?,
        })
    }

    fn is_primary(&self) -> bool {
        self.part.body == Some(self.id)
    }

    pub(crate) fn run(&self) -> RunId {
        RunId::new(self.number.cast_unsigned())
    }
}

/// The most chunks that are passed over in a line because they cannot be read.
const IN_FRONT: i64 = 100;

const FIRST: &str = "SELECT id, job, start, count, body, at, header, number, rank, line FROM chunk
                     WHERE line = ?1 AND line > 0 ORDER BY rank, number, place LIMIT ?2";
const INSERT: &str =
    "INSERT INTO chunk (id, line, job, number, rank, due, place, start, count, body, at, header, open)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12)";
/// Items are leased off the front: the rest of what came with a body keeps its place.
const SHORTEN: &str = "UPDATE chunk SET start = start + ?2, at = at + ?2, count = count - ?2 WHERE id = ?1";
const MOVE_ON: &str =
    "UPDATE chunk SET start = start + ?2, at = at + ?2, count = count - ?2, place = start + ?2
                       WHERE id = ?1";

impl Step<'_> {
    /// The first chunk of a line that this version can read, and that belongs to a run that it can read. The others are
    /// left alone: a newer version has written them, and will lease them.
    pub(crate) fn first_chunk(&mut self, line: i64) -> Done<Found<(Stored, Piece)>> {
        let Some(first) = self.one(FIRST, (line, 1), Stored::read)? else { return Ok(Found::Missing) };
        if let Found::There(piece) = self.readable(&first)? {
            return Ok(Found::There((first, piece)));
        }
        for stored in self.all(FIRST, (line, IN_FRONT), Stored::read)? {
            match self.readable(&stored)? {
                Found::There(piece) => return Ok(Found::There((stored, piece))),
                Found::Missing => self.drop_chunk(&stored)?,
                Found::Unreadable => {}
            }
        }
        Ok(Found::Unreadable)
    }

    /// A chunk with its header, if this version can read it. What it cannot read is reported once.
    fn readable(&mut self, stored: &Stored) -> Done<Found<Piece>> {
        if self.cache.unreadable.contains(&stored.id) {
            return Ok(Found::Unreadable);
        }
        let found = match self.piece(stored)? {
            Found::There(piece) => match piece.header.run() {
                Some(run) if self.is_unreadable(run)? => Found::Unreadable,
                _ => Found::There(piece),
            },
            other => other,
        };
        if matches!(found, Found::Unreadable) {
            self.cache.unreadable.insert(stored.id);
        }
        Ok(found)
    }

    /// A chunk with its header. A newer version may have written what cannot be read.
    pub(crate) fn piece(&mut self, stored: &Stored) -> Done<Found<Piece>> {
        let part = stored.part;
        Ok(match self.header(stored.job, part.body, stored.header.as_deref(), stored.start)? {
            Found::There(header) if header.format <= FORMAT => Found::There(Piece { header, part }),
            Found::There(_) | Found::Unreadable => Found::Unreadable,
            Found::Missing => Found::Missing,
        })
    }

    /// The header that says `text`, or that of the body. The job may have another name by now.
    pub(crate) fn header(
        &mut self,
        job: i64,
        body: Option<i64>,
        text: Option<&str>,
        start: u64,
    ) -> Done<Found<Header>> {
        let Some(name) = self.job_name(job)? else { return Ok(Found::Missing) };
        let header = match (text, body) {
            (Some(text), _) => match parsed("the header of a chunk", text) {
                Some(header) => Found::There(header),
                None => Found::Unreadable,
            },
            (None, Some(body)) => self.cache.bodies.header(self.conn, body)?,
            (None, None) => Found::Missing,
        };
        Ok(match header {
            Found::There(header) => Found::There(Header { job: name, start, ..header }),
            other => other,
        })
    }

    /// The payload of some items; `None` if their body is gone.
    pub(crate) fn body(&mut self, part: &Part) -> Done<Option<Body>> {
        match part.body {
            Some(body) => self.cache.bodies.slice(self.conn, body, part.at, part.count),
            None => Ok(Some(Body::unit())),
        }
    }

    /// Stores a body with its chunk: in a line, or until its time has come.
    pub(crate) fn insert_body(
        &mut self,
        line: Option<i64>,
        job: i64,
        header: &Header,
        body: &Body,
    ) -> Done<()> {
        let id = self.id()?;
        self.cache.bodies.insert(self.conn, id, header, body)?;
        let part = Part { own: true, body: Some(id), at: 0, count: body.count() };
        self.insert_chunk(id, line, job, header, &part)
    }

    fn insert_chunk(
        &mut self,
        id: i64,
        line: Option<i64>,
        job: i64,
        header: &Header,
        part: &Part,
    ) -> Done<()> {
        let json = if part.own { None } else { Some(serde_json::to_string(header)?) };
        let open = if part.body == Some(id) { part.count } else { 0 };
        self.execute(
            INSERT,
            (
                id,
                line,
                job,
                header.number.cast_signed(),
                header.rank(),
                header.due.0,
                header.start.cast_signed(),
                part.count,
                part.body,
                part.at,
                json,
                open,
            ),
        )?;
        Ok(())
    }

    /// Stores items: ready, or waiting for their time.
    pub(crate) fn store(&mut self, job: i64, piece: &Piece) -> Done<()> {
        self.marks.work += 1;
        let Piece { header, part } = piece;
        let line = self.place_for(job, header, part.count)?;
        if let Some(body) = part.body {
            // What comes back stands again where it stood: before the rest of its chunk.
            self.execute("UPDATE chunk SET place = start WHERE id = ?1 AND place <> start", [body])?;
        }
        let id = self.id()?;
        self.insert_chunk(id, line, job, header, part)
    }

    /// Stores items with a body that is not stored yet.
    pub(crate) fn store_new(&mut self, job: i64, header: &Header, body: &Body) -> Done<()> {
        self.marks.work += 1;
        let line = self.place_for(job, header, body.count())?;
        self.insert_body(line, job, header, body)
    }

    /// The line that items go to; none if they wait for their time.
    fn place_for(&mut self, job: i64, header: &Header, items: u32) -> Done<Option<i64>> {
        if header.due > self.now {
            self.waits(job, header.due)?;
            return Ok(None);
        }
        let line = self.line_for(job, header)?;
        self.joined(line, job, (header.rank(), header.number.cast_signed()), items)?;
        Ok(Some(line))
    }

    /// Takes the first `n` items of a chunk out of its line, and leaves the rest.
    pub(crate) fn take(&mut self, stored: &Stored, n: u32) -> Done<()> {
        let exhausted = n >= stored.part.count;
        match (exhausted, stored.is_primary()) {
            (true, _) => self.take_out(stored)?,
            (false, true) => drop(self.execute(SHORTEN, (stored.id, n))?),
            (false, false) => drop(self.execute(MOVE_ON, (stored.id, n))?),
        }
        let Some(line) = stored.line else { return Ok(()) };
        self.taken(line, stored.job, Some((stored.rank, stored.number)), n, exhausted)
    }

    /// Takes a chunk out of wherever it waits. The line, if it stood in one, is still to be counted.
    fn take_out(&mut self, stored: &Stored) -> Done<()> {
        if stored.is_primary() {
            self.execute("UPDATE chunk SET line = 0, count = 0 WHERE id = ?1", [stored.id])?;
        } else {
            self.execute("DELETE FROM chunk WHERE id = ?1", [stored.id])?;
        }
        Ok(())
    }

    /// Puts a chunk where nobody looks for work: what was put there is looked at again by every reap.
    pub(crate) fn set_aside(&mut self, stored: &Stored) -> Done<()> {
        let line = self.aside_line(stored.job)?;
        // What is touched is found by its run, whatever line it stands in.
        let sql = "UPDATE chunk SET line = ?2,
                                    header = coalesce(header, (SELECT header FROM body WHERE body.id = chunk.body))
                   WHERE id = ?1";
        self.execute(sql, (stored.id, line))?;
        self.joined(line, stored.job, (stored.rank, stored.number), stored.part.count)
    }

    /// Puts chunks back into their lines that were put aside by a version that could not read them, if this one can. The
    /// most that is looked at are so many as this step may still touch.
    pub(crate) fn look_at_aside(&mut self) -> Done<()> {
        let sql =
            "SELECT chunk.id, chunk.job, start, count, body, at, header, chunk.number, chunk.rank, chunk.line
                   FROM line JOIN chunk ON chunk.line = line.id AND chunk.line > 0
                   WHERE line.ns = ?1 AND line.kind = 4 LIMIT ?2";
        for stored in self.all(sql, (self.ns, IN_FRONT.min(limit(self.left))), Stored::read)? {
            let Found::There(Piece { header, part }) = self.readable(&stored)? else { continue };
            self.left = self.left.saturating_sub(1);
            let line = self.line_for(stored.job, &header)?;
            self.execute("UPDATE chunk SET line = ?2 WHERE id = ?1", (stored.id, line))?;
            self.joined(line, stored.job, (header.rank(), header.number.cast_signed()), part.count)?;
            if let Some(aside) = stored.line {
                self.taken(aside, stored.job, None, part.count, true)?;
            }
        }
        Ok(())
    }

    /// The line of what is for newer versions.
    pub(crate) fn aside_line(&mut self, job: i64) -> Done<i64> {
        self.line_of(job, &QueueKey { kind: QueueKind::Newer, run: 0, builds: String::new() })
    }

    /// Drops a chunk of which the body or the job is gone.
    pub(crate) fn drop_chunk(&mut self, stored: &Stored) -> Done<()> {
        let Part { body, count, .. } = stored.part;
        let run = stored.run();
        let text = format!(
            "{count} items of the run {run} are dropped: their payload or their job is not in the store any more"
        );
        notice::warn("sqlite-dropped", text);
        self.take(stored, count)?;
        self.has_ended(body, count);
        self.lose(run, count)
    }

    /// So many more items of a body have ended.
    pub(crate) fn has_ended(&mut self, body: Option<i64>, items: u32) {
        if let Some(body) = body {
            *self.ended.entry(body).or_default() += items;
        }
    }

    /// Counts how many items of which bodies have ended, and deletes the bodies of which all have.
    pub(crate) fn write_ended(&mut self) -> Done<()> {
        for (body, items) in std::mem::take(&mut self.ended) {
            end_items(self.conn, &mut self.cache.bodies, body, items)?;
        }
        Ok(())
    }
}

/// Counts that items of a body have ended; with the last, it goes.
pub(crate) fn end_items(conn: &rusqlite::Connection, bodies: &mut Bodies, body: i64, items: u32) -> Done<()> {
    let open = {
        let mut update =
            conn.prepare_cached("UPDATE chunk SET open = open - ?2 WHERE id = ?1 RETURNING open")?;
        let mut rows = update.query((body, items))?;
        let open = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
        // It is done only when it was run to its end.
        while rows.next()?.is_some() {}
        open
    };
    if open.is_some_and(|open| open <= 0) {
        conn.prepare_cached("DELETE FROM chunk WHERE id = ?1")?.execute([body])?;
        bodies.delete(conn, body)?;
    }
    Ok(())
}
