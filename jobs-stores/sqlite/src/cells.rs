//! Cells: versioned named values.

use std::rc::Rc;

use jobs_core::{Cell, Effect, Millis, PAUSES, PutCell, SessionId, pause_cells};
use rusqlite::{Connection, Row};

use crate::{fault::Done, runs::unreadable, step::Step};

const GET: &str = "SELECT name, version, value, expires_at, owner FROM cell
                   WHERE ns = ?1 AND name = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
const LIST: &str = "SELECT name, version, value, expires_at, owner FROM cell
                    WHERE ns = ?1 AND name >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY name";
const PUT: &str = "INSERT INTO cell VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (ns, name) DO UPDATE SET version = ?3, value = ?4, expires_at = ?5, owner = ?6";

fn read(row: &Row<'_>) -> rusqlite::Result<(String, Cell)> {
    let value: String = row.get(2)?;
    let cell = Cell {
        version: row.get::<_, i64>(1)?.cast_unsigned(),
        value: serde_json::from_str(&value).map_err(|error| unreadable(2, error))?,
        expires_at: row.get::<_, Option<i64>>(3)?.map(Millis),
        owner: row.get::<_, Option<i64>>(4)?.map(|owner| SessionId(owner.cast_unsigned())),
    };
    Ok((row.get(0)?, cell))
}

/// One cell.
pub(crate) fn get(conn: &Connection, ns: i64, name: &str, now: Millis) -> Done<Option<Cell>> {
    let mut select = conn.prepare_cached(GET)?;
    let mut rows = select.query_map((ns, name, now.0), read)?;
    Ok(rows.next().transpose()?.map(|(_, cell)| cell))
}

/// The cells whose names begin with `prefix`, in the order of their names.
pub(crate) fn list(conn: &Connection, ns: i64, prefix: &str, now: Millis) -> Done<Vec<(String, Cell)>> {
    let mut select = conn.prepare_cached(LIST)?;
    let mut rows = select.query((ns, prefix, now.0))?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        // They stand in the order of their bytes, so those that begin so stand together.
        if !row.get_ref(0)?.as_bytes().is_ok_and(|name| name.starts_with(prefix.as_bytes())) {
            break;
        }
        listed.push(read(row)?);
    }
    Ok(listed)
}

/// What the cell of a pause notes.
pub(crate) fn note(cell: &Cell) -> String {
    cell.value.get("note").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

impl Step<'_> {
    pub(crate) fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: &PutCell,
    ) -> Done<Result<u64, Option<Cell>>> {
        let there = get(self.conn, self.ns, name, self.now)?;
        if there.as_ref().map_or(0, |cell| cell.version) != expected {
            return Ok(Err(there));
        }
        Ok(self.put(name, put)?.ok_or(there))
    }

    /// Writes a cell whatever its version; `None` if the session that it would go with is no more.
    pub(crate) fn put(&mut self, name: &str, put: &PutCell) -> Done<Option<u64>> {
        if name.starts_with(PAUSES) {
            self.cache.pauses.remove(&self.ns);
        }
        let Some(value) = &put.value else {
            self.remove_cell(name)?;
            self.marks.control += 1;
            return Ok(Some(0));
        };
        if let Some(owner) = put.owner
            && self.session(owner)?.is_none()
        {
            return Ok(None);
        }
        // A number of the source: a version that was used is not used again, whatever became of the cell.
        let version = self.number()?.0;
        let expires_at = put.expires_in.map(|wait| (self.now + wait).0);
        let owner = put.owner.map(|owner| owner.0.cast_signed());
        let value = serde_json::to_string(value)?;
        self.execute(PUT, (self.ns, name, version.cast_signed(), value, expires_at, owner))?;
        self.marks.control += 1;
        Ok(Some(version))
    }

    pub(crate) fn effect(&mut self, effect: &Effect) -> Done<()> {
        match effect {
            Effect::PutCell { name, put } => self.put(name, put).map(drop),
        }
    }

    fn remove_cell(&mut self, name: &str) -> Done<()> {
        self.execute("DELETE FROM cell WHERE ns = ?1 AND name = ?2", (self.ns, name))?;
        Ok(())
    }

    /// Removes the cells that go with a session.
    pub(crate) fn drop_owned(&mut self, session: SessionId) -> Done<()> {
        self.execute("DELETE FROM cell WHERE ns = ?1 AND owner = ?2", (self.ns, session.0.cast_signed()))?;
        self.cache.pauses.remove(&self.ns);
        Ok(())
    }

    /// Removes at most `limit` cells that have expired, and says how many.
    pub(crate) fn drop_expired(&mut self, limit: usize) -> Done<usize> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "DELETE FROM cell WHERE ns = ?1 AND name IN
                   (SELECT name FROM cell WHERE ns = ?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3)";
        self.execute(sql, (self.ns, self.now.0, limit))
    }

    /// The pauses, whether they have expired or not: names of cells, and the cells.
    fn pauses(&mut self) -> Done<Rc<Vec<(String, Cell)>>> {
        if let Some(known) = self.cache.pauses.get(&self.ns) {
            return Ok(known.clone());
        }
        let pauses = Rc::new(list(self.conn, self.ns, PAUSES, Millis::MIN)?);
        self.cache.pauses.insert(self.ns, pauses.clone());
        Ok(pauses)
    }

    /// The patterns that are paused, with their notes.
    pub(crate) fn all_paused(&mut self) -> Done<Vec<(String, String)>> {
        let (pauses, now) = (self.pauses()?, self.now);
        let live = pauses.iter().filter(|(_, cell)| is_live(cell, now));
        Ok(live.map(|(name, cell)| (name[PAUSES.len()..].to_owned(), note(cell))).collect())
    }

    /// The note of the pause that covers a job.
    pub(crate) fn paused(&mut self, job: &str) -> Done<Option<String>> {
        let (pauses, now) = (self.pauses()?, self.now);
        if pauses.is_empty() {
            return Ok(None);
        }
        let of = |wanted: &String| pauses.iter().find(|(name, cell)| name == wanted && is_live(cell, now));
        Ok(pause_cells(job).iter().find_map(of).map(|(_, cell)| note(cell)))
    }

    /// A job that is paused stays paused under its new name; a pause that the new name has wins.
    pub(crate) fn rename_pause(&mut self, was: &str, name: &str) -> Done<()> {
        let sql = "UPDATE OR IGNORE cell SET name = ?3 WHERE ns = ?1 AND name = ?2";
        self.execute(sql, (self.ns, was, name))?;
        self.remove_cell(was)?;
        self.cache.pauses.remove(&self.ns);
        Ok(())
    }
}

fn is_live(cell: &Cell, now: Millis) -> bool {
    cell.expires_at.is_none_or(|at| now < at)
}
