//! Chunks: neighbouring items that wait. Their payload stands in a body that is written once; a chunk says which of its
//! items, so that leasing some of them rewrites nothing.
//!
//! The chunk that came with a body has the body's number. It stays when nothing of it waits any more, and counts how
//! many items of the body have not ended: with the last of them both go.

use jobs_core::{Body, Header, Millis};
use rusqlite::Row;

use crate::{fault::Done, lines::Line, step::Step};

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

/// A chunk as it is stored: its header is still to be read.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) start: u64,
    pub(crate) part: Part,
    header: Option<String>,
}

const FIRST: &str = "SELECT id, job, start, count, body, at, header FROM chunk
                     WHERE line = ?1 AND line > 0 ORDER BY rank, number, place LIMIT 1";
const INSERT: &str = "INSERT INTO chunk VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12)";

impl Stored {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let header: Option<String> = row.get(6)?;
        Ok(Self {
            id: row.get(0)?,
            job: row.get(1)?,
            start: row.get::<_, i64>(2)?.cast_unsigned(),
            part: Part { own: header.is_none(), body: row.get(4)?, at: row.get(5)?, count: row.get(3)? },
            header,
        })
    }

    fn is_primary(&self) -> bool {
        self.part.body == Some(self.id)
    }
}

impl Step<'_> {
    /// The first chunk of a line.
    pub(crate) fn first_chunk(&mut self, line: i64) -> Done<Option<Stored>> {
        self.one(FIRST, [line], Stored::read)
    }

    /// A chunk with its header.
    pub(crate) fn piece(&mut self, stored: &Stored) -> Done<Piece> {
        let header = self.header(stored.job, stored.part.body, stored.header.as_deref(), stored.start)?;
        Ok(Piece { header, part: stored.part })
    }

    /// The header that says `text`, or that of the body. The job may have another name by now.
    pub(crate) fn header(
        &mut self,
        job: i64,
        body: Option<i64>,
        text: Option<&str>,
        start: u64,
    ) -> Done<Header> {
        let header = match (text, body) {
            (Some(text), _) => Some(serde_json::from_str::<Header>(text)?),
            (None, Some(body)) => self.cache.bodies.header(self.conn, body)?,
            (None, None) => None,
        };
        let mut header = header.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        header.job = self.job_name(job)?;
        header.start = start;
        Ok(header)
    }

    /// The payload of some items.
    pub(crate) fn body(&mut self, part: &Part) -> Done<Body> {
        let Some(body) = part.body else { return Ok(Body::unit()) };
        let slice = self.cache.bodies.slice(self.conn, body, part.at, part.count)?;
        Ok(slice.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
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

    fn waits(&mut self, job: i64, due: Millis) -> Done<()> {
        let job_of = self.job(job)?;
        if job_of.next_due.is_none_or(|next| due < next) {
            self.job_mut(job)?.next_due = Some(due);
            self.cache.due.remove(&self.ns);
        }
        Ok(())
    }

    /// Makes ready what has waited for its time.
    pub(crate) fn promote(&mut self) -> Done<()> {
        while self.next_due()?.is_some_and(|due| due <= self.now) {
            self.write_jobs()?;
            let sql = "SELECT id FROM job WHERE ns = ?1 AND next_due <= ?2";
            for job in self.all(sql, (self.ns, self.now.0), |row| row.get(0))? {
                self.promote_of(job)?;
            }
            self.cache.due.remove(&self.ns);
        }
        Ok(())
    }

    fn promote_of(&mut self, job: i64) -> Done<()> {
        self.marks.work += 1;
        let sql = "SELECT id, job, start, count, body, at, header FROM chunk
                   WHERE job = ?1 AND line IS NULL AND due <= ?2 ORDER BY due";
        for stored in self.all(sql, (job, self.now.0), Stored::read)? {
            let Piece { header, part } = self.piece(&stored)?;
            let line = self.line_for(job, &header)?;
            self.execute("UPDATE chunk SET line = ?2 WHERE id = ?1", (stored.id, line))?;
            self.joined(line, job, (header.rank(), header.number.cast_signed()), part.count)?;
        }
        self.find_next_due(job)
    }

    /// Looks when the first chunk of a job is due that waits for its time.
    pub(crate) fn find_next_due(&mut self, job: i64) -> Done<()> {
        let sql = "SELECT min(due) FROM chunk WHERE job = ?1 AND line IS NULL";
        let due = self.one(sql, [job], |row| row.get::<_, Option<i64>>(0))?.flatten();
        self.job_mut(job)?.next_due = due.map(Millis);
        self.cache.due.remove(&self.ns);
        Ok(())
    }

    /// When the first chunk of all is due that waits for its time.
    pub(crate) fn next_due(&mut self) -> Done<Option<Millis>> {
        if let Some(due) = self.cache.due.get(&self.ns) {
            return Ok(*due);
        }
        self.write_jobs()?;
        let sql = "SELECT min(next_due) FROM job WHERE ns = ?1 AND next_due IS NOT NULL";
        let due = self.one(sql, [self.ns], |row| row.get::<_, Option<i64>>(0))?.flatten().map(Millis);
        self.cache.due.insert(self.ns, due);
        Ok(due)
    }

    /// Takes the first `n` items of the first chunk of a line, and leaves the rest.
    pub(crate) fn take(&mut self, line: &Line, stored: &Stored, n: u32) -> Done<()> {
        let exhausted = n == stored.part.count;
        match (exhausted, stored.is_primary()) {
            (true, true) => {
                self.execute("UPDATE chunk SET line = 0, count = 0 WHERE id = ?1", [stored.id])?
            }
            (true, false) => self.execute("DELETE FROM chunk WHERE id = ?1", [stored.id])?,
            (false, true) => {
                let sql =
                    "UPDATE chunk SET start = start + ?2, at = at + ?2, count = count - ?2 WHERE id = ?1";
                self.execute(sql, (stored.id, n))?
            }
            (false, false) => {
                let sql = "UPDATE chunk SET start = start + ?2, at = at + ?2, count = count - ?2, place = start + ?2
                           WHERE id = ?1";
                self.execute(sql, (stored.id, n))?
            }
        };
        self.taken(line, n, exhausted)
    }

    /// Takes a chunk out of wherever it waits. The line, if it stood in one, is still to be counted.
    pub(crate) fn take_out(&mut self, stored: &Stored) -> Done<()> {
        if stored.is_primary() {
            self.execute("UPDATE chunk SET line = 0, count = 0 WHERE id = ?1", [stored.id])?;
        } else {
            self.execute("DELETE FROM chunk WHERE id = ?1", [stored.id])?;
        }
        Ok(())
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
pub(crate) fn end_items(
    conn: &rusqlite::Connection,
    bodies: &mut crate::bodies::Bodies,
    body: i64,
    items: u32,
) -> Done<()> {
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
