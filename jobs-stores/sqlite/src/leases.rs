//! Leases: who holds which items, and which of them are settled.

use jobs_core::{
    Body, Chunk, Lease, Millis, RunId, Stage, Token,
    ledger::{InFlight, OpenItems},
    notice,
};
use rusqlite::Row;

use crate::{
    bodies::Found,
    fault::Done,
    pieces::{LeaseRow, Part, Piece},
    rows::{limit, text},
    step::Step,
};

const INSERT: &str =
    "INSERT INTO lease (session, token, job, number, stage, tracked, suspect, limited, start, count,
                                         body, at, header, granted_at, open, settled)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?10, NULL)";
const IN_FLIGHT: &str = "SELECT coalesce(sum(open), 0), coalesce(sum(iif(tracked = 0, open, 0)), 0)
                         FROM lease JOIN session ON session.id = lease.session
                         WHERE job = ?1 AND limited = 1 AND stage = 1 AND until >= ?2";
/// A lease becomes a chunk again, as it is.
const PUT_ASIDE: &str =
    "INSERT INTO chunk (id, line, job, number, rank, due, place, start, count, body, at, header, open)
                         SELECT ?3, ?4, job, number, 0, 0, start, start, count, body, at,
                                coalesce(header, (SELECT header FROM body WHERE body.id = lease.body)), 0
                         FROM lease WHERE session = ?1 AND token = ?2";

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
    number: i64,
    stage: i64,
}

const COLUMNS: &str =
    "session, token, job, start, count, body, at, header, granted_at, settled, number, stage";

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let own = matches!(row.get_ref(7)?, rusqlite::types::ValueRef::Null);
    Ok(Stored {
        token: token(row, 1)?,
        session: row.get(0)?,
        job: row.get(2)?,
        start: row.get::<_, i64>(3)?.cast_unsigned(),
        part: Part { own, body: row.get(5)?, at: row.get(6)?, count: row.get(4)? },
        header: if own { None } else { Some(text(row, 7)?) },
        granted_at: Millis(row.get(8)?),
        settled: row.get(9)?,
        number: row.get(10)?,
        stage: row.get(11)?,
    })
}

fn token(row: &Row<'_>, column: usize) -> rusqlite::Result<Token> {
    row.get(column).map(|token: i64| Token(token.cast_unsigned()))
}

fn key(token: Token) -> i64 {
    token.0.cast_signed()
}

impl Step<'_> {
    /// A lease of a session.
    pub(crate) fn held(&mut self, session: i64, token: Token) -> Done<Option<&mut LeaseRow>> {
        if !self.cache.held.contains_key(&token) {
            let sql = format!("SELECT {COLUMNS} FROM lease WHERE session = ?1 AND token = ?2");
            let Some(stored) = self.one(&sql, (session, key(token)), read)? else { return Ok(None) };
            self.know(stored)?;
        }
        Ok(self.cache.held.get_mut(&token).filter(|held| held.session == session))
    }

    /// The lease of a fill item.
    pub(crate) fn held_fill(&mut self, token: Token) -> Done<Option<&mut LeaseRow>> {
        if !self.cache.held.contains_key(&token) {
            let sql = format!("SELECT {COLUMNS} FROM lease WHERE token = ?1 AND stage = 0");
            let Some(stored) = self.one(&sql, [key(token)], read)? else { return Ok(None) };
            self.know(stored)?;
        }
        Ok(self.cache.held.get_mut(&token).filter(|held| held.header.stage == Stage::Fill))
    }

    /// Remembers a lease. One whose header cannot be had is a lease no more: its items are put aside, or gone.
    fn know(&mut self, stored: Stored) -> Done<()> {
        let Stored { token, session, job, start, part, header, granted_at, settled, number, stage } = stored;
        match self.header(job, part.body, header.as_deref(), start)? {
            Found::There(header) => {
                let items = OpenItems::from_bytes(part.count, settled.as_deref());
                let held = LeaseRow { session, job, header, part, granted_at, items };
                self.cache.held.insert(token, held);
                return Ok(());
            }
            Found::Unreadable => {
                let line = self.aside_line(job)?;
                let chunk = self.id()?;
                self.execute(PUT_ASIDE, (session, key(token), chunk, line))?;
                self.joined(line, job, (0, number), part.count)?;
            }
            Found::Missing => {
                notice::warn("sqlite-dropped", format!("a lease of {} items is dropped: {WHY}", part.count));
                self.has_ended(part.body, part.count);
                if stage == 1 {
                    self.lose(RunId::new(number.cast_unsigned()), part.count)?;
                }
            }
        }
        self.execute("DELETE FROM lease WHERE session = ?1 AND token = ?2", (session, key(token)))?;
        Ok(())
    }

    /// The tokens of a session, the oldest first, at most so many.
    pub(crate) fn tokens(&mut self, session: i64, most: usize) -> Done<Vec<Token>> {
        self.write_leases()?;
        let sql = "SELECT token FROM lease WHERE session = ?1 ORDER BY token LIMIT ?2";
        self.all(sql, (session, limit(most)), |row| token(row, 0))
    }

    /// Leases a piece with its payload to a session.
    pub(crate) fn lease(&mut self, session: i64, job: i64, piece: Piece, body: Body) -> Done<Lease> {
        let token = self.number()?;
        let Piece { header, part } = piece;
        let limited = self.job(job)?.is_some_and(|job| job.limited);
        let cursor = match header.run() {
            Some(run) => self.begin_under(run, header.stage, token)?,
            None => None,
        };
        let json = if part.own { None } else { Some(serde_json::to_string(&header)?) };
        self.conn.prepare_cached(INSERT)?.execute(rusqlite::params![
            session,
            key(token),
            job,
            header.number.cast_signed(),
            stage_number(header.stage),
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
        let chunk = Chunk { header: header.clone(), body };
        let items = OpenItems::all(part.count);
        let held = LeaseRow { session, job, header, part, granted_at: self.now, items };
        self.cache.held.insert(token, held);
        Ok(Lease { token, chunk, cursor })
    }

    /// An item of a run is leased. Returns where its query begins, if it is called page by page.
    fn begin_under(&mut self, run: RunId, stage: Stage, token: Token) -> Done<Option<Vec<u8>>> {
        let Some(row) = self.run(run)? else { return Ok(None) };
        let job = row.job;
        if !row.run.record.begun
            && let Some(row) = self.change_run(run)?
        {
            row.run.record.begun = true;
        }
        if stage != Stage::Fill {
            return Ok(None);
        }
        let Some(row) = self.change_run(run)? else { return Ok(None) };
        let former = row.run.fill_under(token);
        let cursor = row.run.cursor.clone();
        self.end_staging(job, run, former)?;
        Ok(cursor)
    }

    /// A lease that is held, as it was granted.
    pub(crate) fn lease_again(&mut self, session: i64, token: Token) -> Done<Option<Lease>> {
        let Some(held) = self.held(session, token)? else { return Ok(None) };
        let part = held.part;
        let header = held.header.clone();
        let cursor = match header.run().filter(|_| header.stage == Stage::Fill) {
            Some(run) => self.run(run)?.and_then(|run| run.run.cursor.clone()),
            None => None,
        };
        let Some(body) = self.body(&part)? else { return Ok(None) };
        Ok(Some(Lease { token, chunk: Chunk { header, body }, cursor }))
    }

    /// Writes the leases that were changed: those of which all items are settled are gone.
    pub(crate) fn write_leases(&mut self) -> Done<()> {
        for token in std::mem::take(&mut self.dirty_leases) {
            let Some(held) = self.cache.held.get(&token) else { continue };
            let session = held.session;
            if held.items.left() == 0 {
                let sql = "DELETE FROM lease WHERE session = ?1 AND token = ?2";
                self.execute(sql, (session, key(token)))?;
                self.cache.held.remove(&token);
                continue;
            }
            let open = held.items.left();
            let settled = held.items.to_bytes();
            let header = if held.part.own { None } else { Some(serde_json::to_string(&held.header)?) };
            let sql = "UPDATE lease SET open = ?3, settled = ?4, header = ?5, suspect = ?6
                       WHERE session = ?1 AND token = ?2";
            self.execute(sql, (session, key(token), open, settled, header, held.header.suspect))?;
        }
        Ok(())
    }

    /// Takes a lease back that is lost or given back.
    pub(crate) fn take_back(&mut self, session: i64, token: Token) -> Done<Option<LeaseRow>> {
        if self.held(session, token)?.is_none() {
            return Ok(None);
        }
        self.dirty_leases.remove(&token);
        let sql = "DELETE FROM lease WHERE session = ?1 AND token = ?2";
        self.execute(sql, (session, key(token)))?;
        Ok(self.cache.held.remove(&token))
    }

    /// Items of a job in flight over all live sessions. Only of a job that was ever limited: only its leases are
    /// found by job.
    pub(crate) fn in_flight(&mut self, job: i64) -> Done<InFlight> {
        self.write_leases()?;
        let read =
            |row: &Row<'_>| Ok(InFlight { all: row.get::<_, u32>(0)?, of_runs: row.get::<_, u32>(1)? });
        Ok(self.one(IN_FLIGHT, (job, self.now.0), read)?.unwrap_or_default())
    }

    /// Whether a session holds a suspect.
    pub(crate) fn holds_suspect(&mut self, session: i64) -> Done<bool> {
        self.write_leases()?;
        self.is_any("SELECT 1 FROM lease WHERE session = ?1 AND suspect = 1", [session])
    }

    /// Sessions that hold something and are not there themselves: their rows were deleted by hand.
    pub(crate) fn lost_sessions(&self) -> Done<Vec<i64>> {
        let mut lost = Vec::new();
        let mut after = i64::MIN;
        let next = "SELECT session, EXISTS (SELECT 1 FROM session WHERE session.id = lease.session)
                    FROM lease WHERE lease.session > ?1 ORDER BY lease.session LIMIT 1";
        while let Some((session, is_there)) =
            self.one(next, [after], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))?
        {
            after = session;
            if !is_there {
                lost.push(session);
            }
        }
        Ok(lost)
    }
}

const WHY: &str = "their payload or their job is not in the store any more";

/// The stage of a lease, as it is stored.
fn stage_number(stage: Stage) -> i64 {
    match stage {
        Stage::Fill => 0,
        Stage::Work => 1,
        Stage::Finish => 2,
    }
}
