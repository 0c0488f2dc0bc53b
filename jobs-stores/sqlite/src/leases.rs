//! Leases: who holds which items, and which of them are settled.

use std::ops::Range;

use jobs_core::{Chunk, Header, Lease, Millis, OpenItems, Stage, Token};
use rusqlite::Row;

use crate::{
    chunks::{Part, Piece},
    fault::Done,
    step::Step,
};

#[derive(Debug)]
pub(crate) struct Held {
    /// The session's number in the file.
    pub(crate) session: i64,
    pub(crate) job: i64,
    pub(crate) header: Header,
    pub(crate) part: Part,
    pub(crate) granted_at: Millis,
    /// Which of them are still to be settled.
    pub(crate) items: OpenItems,
}

impl Held {
    /// As [`OpenItems::settle`].
    pub(crate) fn settle(&mut self, from: u32, to: u32) -> Vec<Range<u32>> {
        self.items.settle(from, to)
    }

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

const INSERT: &str =
    "INSERT INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?10, NULL)";

/// A lease as it is stored: its header is still to be read.
#[derive(Debug)]
struct Stored {
    token: Token,
    session: i64,
    job: i64,
    start: u64,
    part: Part,
    header: Option<String>,
    granted_at: Millis,
    settled: Option<Vec<u8>>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let header: Option<String> = row.get(7)?;
    let part = Part { own: header.is_none(), body: row.get(5)?, at: row.get(6)?, count: row.get(4)? };
    Ok(Stored {
        token: Token(row.get::<_, i64>(1)?.cast_unsigned()),
        session: row.get(0)?,
        job: row.get(2)?,
        start: row.get::<_, i64>(3)?.cast_unsigned(),
        part,
        header,
        granted_at: Millis(row.get(8)?),
        settled: row.get(9)?,
    })
}

impl Step<'_> {
    /// A lease of a session.
    pub(crate) fn held(&mut self, session: i64, token: Token) -> Done<Option<&mut Held>> {
        if !self.cache.held.contains_key(&token) {
            let sql = "SELECT session, token, job, start, count, body, at, header, granted_at, settled
                       FROM lease WHERE session = ?1 AND token = ?2";
            let Some(stored) = self.one(sql, (session, token.0.cast_signed()), read)? else {
                return Ok(None);
            };
            self.know(stored)?;
        }
        Ok(self.cache.held.get_mut(&token).filter(|held| held.session == session))
    }

    /// The lease of a fill item.
    pub(crate) fn held_fill(&mut self, token: Token) -> Done<Option<&mut Held>> {
        if !self.cache.held.contains_key(&token) {
            let sql = "SELECT session, token, job, start, count, body, at, header, granted_at, settled
                       FROM lease WHERE token = ?1 AND stage = 0";
            let Some(stored) = self.one(sql, [token.0.cast_signed()], read)? else { return Ok(None) };
            self.know(stored)?;
        }
        Ok(self.cache.held.get_mut(&token).filter(|held| held.header.stage == Stage::Fill))
    }

    fn know(&mut self, stored: Stored) -> Done<()> {
        let Stored { token, session, job, start, part, header, granted_at, settled } = stored;
        let header = self.header(job, part.body, header.as_deref(), start)?;
        let items = OpenItems::from_bytes(part.count, settled.as_deref());
        let held = Held { session, job, header, part, granted_at, items };
        self.cache.held.insert(token, held);
        Ok(())
    }

    /// The tokens of a session, in their order.
    pub(crate) fn tokens(&mut self, session: i64) -> Done<Vec<Token>> {
        self.write_leases()?;
        let sql = "SELECT token FROM lease WHERE session = ?1 ORDER BY token";
        self.all(sql, [session], |row| row.get(0).map(|token: i64| Token(token.cast_unsigned())))
    }

    /// Leases a piece to a session.
    pub(crate) fn lease(&mut self, session: i64, job: i64, piece: Piece) -> Done<Lease> {
        let token = self.number()?;
        let Piece { header, part } = piece;
        let limited = self.job(job)?.limited;
        let mut cursor = None;
        if let Some(run) = header.run() {
            if self.run(run)?.is_some_and(|run| !run.record().begun)
                && let Some(run) = self.run_mut(run)?
            {
                run.record_mut().begun = true;
            }
            if header.stage == Stage::Fill {
                self.fill_under(run, token)?;
                cursor = self.run(run)?.and_then(|run| run.cursor.clone());
            }
        }
        let json = if part.own { None } else { Some(serde_json::to_string(&header)?) };
        self.conn.prepare_cached(INSERT)?.execute(rusqlite::params![
            session,
            token.0.cast_signed(),
            job,
            header.number.cast_signed(),
            stage(header.stage),
            header.tracked,
            header.suspect,
            limited,
            header.start.cast_signed(),
            part.count,
            part.body,
            part.at,
            json,
            self.now.0,
        ])?;
        let body = self.body(&part)?;
        let chunk = Chunk { header: header.clone(), body };
        let (granted_at, items) = (self.now, OpenItems::all(part.count));
        let held = Held { session, job, header, part, granted_at, items };
        self.cache.held.insert(token, held);
        Ok(Lease { token, chunk, cursor })
    }

    /// A lease that is known, as it was granted.
    pub(crate) fn lease_again(&mut self, token: Token) -> Done<Option<Lease>> {
        let Some(held) = self.cache.held.get(&token) else { return Ok(None) };
        let (part, header) = (held.part, held.header.clone());
        let cursor = match header.run().filter(|_| header.stage == Stage::Fill) {
            Some(run) => self.run(run)?.and_then(|run| run.cursor.clone()),
            None => None,
        };
        let body = self.body(&part)?;
        Ok(Some(Lease { token, chunk: Chunk { header, body }, cursor }))
    }

    /// Writes the leases that were changed: those of which all items are settled are gone.
    pub(crate) fn write_leases(&mut self) -> Done<()> {
        for token in std::mem::take(&mut self.dirty_leases) {
            let Some(held) = self.cache.held.get(&token) else { continue };
            let key = (held.session, token.0.cast_signed());
            if held.items.left() == 0 {
                self.execute("DELETE FROM lease WHERE session = ?1 AND token = ?2", key)?;
                self.cache.held.remove(&token);
                continue;
            }
            let (open, settled) = (held.items.left(), held.items.to_bytes());
            let header = if held.part.own { None } else { Some(serde_json::to_string(&held.header)?) };
            let sql = "UPDATE lease SET open = ?3, settled = ?4, header = ?5, suspect = ?6
                       WHERE session = ?1 AND token = ?2";
            self.execute(sql, (key.0, key.1, open, settled, header, held.header.suspect))?;
        }
        Ok(())
    }

    /// Forgets a lease that is lost or given back.
    pub(crate) fn forget(&mut self, session: i64, token: Token) -> Done<Option<Held>> {
        if self.held(session, token)?.is_none() {
            return Ok(None);
        }
        self.dirty_leases.remove(&token);
        let sql = "DELETE FROM lease WHERE session = ?1 AND token = ?2";
        self.execute(sql, (session, token.0.cast_signed()))?;
        Ok(self.cache.held.remove(&token))
    }

    /// Items of a job in flight over all live sessions. Only of a job that was ever limited: only its leases are
    /// found by job.
    pub(crate) fn in_flight(&mut self, job: i64, of_runs: bool) -> Done<u32> {
        self.write_leases()?;
        let sql = "SELECT coalesce(sum(open), 0) FROM lease JOIN session ON session.id = lease.session
                   WHERE job = ?1 AND limited = 1 AND stage = 1 AND until >= ?2 AND (?3 = 0 OR tracked = 0)";
        Ok(self.one(sql, (job, self.now.0, of_runs), |row| row.get(0))?.unwrap_or(0))
    }

    /// Whether a session holds a suspect.
    pub(crate) fn holds_suspect(&mut self, session: i64) -> Done<bool> {
        self.write_leases()?;
        self.is_any("SELECT 1 FROM lease WHERE session = ?1 AND suspect = 1", [session])
    }
}

pub(crate) fn stage(stage: Stage) -> i64 {
    match stage {
        Stage::Fill => 0,
        Stage::Work => 1,
        Stage::Finish => 2,
    }
}
