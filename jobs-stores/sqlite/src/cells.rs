//! Cells: versioned named values.

use std::rc::Rc;

use jobs_core::{
    Cell, Millis, PAUSES, PutCell, SessionId,
    ledger::{Pauses, fits},
};
use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::{
    fault::Done,
    rows::{limit, parsed, text},
    step::Step,
};

const GET: &str = "SELECT name, version, value, expires_at, owner FROM cell
                   WHERE ns = ?1 AND name = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
const LIST: &str = "SELECT name, version, value, expires_at, owner FROM cell
                    WHERE ns = ?1 AND name >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY name";
const PUT: &str = "INSERT INTO cell (ns, name, version, value, expires_at, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (ns, name) DO UPDATE SET version = ?3, value = ?4, expires_at = ?5, owner = ?6";

/// A cell with its name. One whose value cannot be read is there all the same, without a value: a pause pauses, and who
/// knows its version may write it.
fn read(row: &Row<'_>) -> rusqlite::Result<(String, Cell)> {
    let name = text(row, 0)?;
    let cell = Cell {
        version: row.get::<_, i64>(1)?.cast_unsigned(),
        value: parsed(format_args!("the cell {name}"), &text(row, 2)?).unwrap_or(Value::Null),
        expires_at: row.get::<_, Option<i64>>(3)?.map(Millis),
        owner: row.get::<_, Option<i64>>(4)?.map(|owner| SessionId(owner.cast_unsigned())),
    };
    Ok((name, cell))
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

impl Step<'_> {
    pub(crate) fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: &PutCell,
    ) -> Done<Result<u64, Option<Cell>>> {
        let there = get(self.conn, self.ns, name, self.now)?;
        if !fits(there.as_ref(), expected) {
            return Ok(Err(there));
        }
        Ok(self.put(name, put)?.ok_or(there))
    }

    /// Writes a cell whatever its version; `None` if the session that it would go with is no more.
    pub(crate) fn put(&mut self, name: &str, put: &PutCell) -> Done<Option<u64>> {
        let steers = name.starts_with(PAUSES);
        if steers {
            self.cache.pauses.remove(&self.ns);
        }
        let Some(value) = &put.value else {
            self.remove_cell(name)?;
            self.marks.control += u64::from(steers);
            return Ok(Some(0));
        };
        if let Some(owner) = put.owner
            && self.session(owner)?.is_none_or(|session| session.state.has_left())
        {
            return Ok(None);
        }
        // A number of the source: a version that was used is not used again, whatever became of the cell.
        let version = self.number()?.0;
        let expires_at = put.expires_in.map(|wait| (self.now + wait).0);
        let owner = put.owner.map(|owner| owner.0.cast_signed());
        let value = serde_json::to_string(value)?;
        self.execute(PUT, (self.ns, name, version.cast_signed(), value, expires_at, owner))?;
        self.marks.control += u64::from(steers);
        Ok(Some(version))
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

    /// Removes at most `most` cells that have expired, and says how many.
    pub(crate) fn drop_expired(&mut self, most: usize) -> Done<usize> {
        let sql = "DELETE FROM cell WHERE ns = ?1 AND name IN
                   (SELECT name FROM cell WHERE ns = ?1 AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3)";
        let dropped = self.execute(sql, (self.ns, self.now.0, limit(most)))?;
        if dropped > 0 {
            self.cache.pauses.remove(&self.ns);
        }
        Ok(dropped)
    }

    /// The pauses, whether they have expired or not.
    pub(crate) fn pauses(&mut self) -> Done<Rc<Pauses>> {
        if let Some(known) = self.cache.pauses.get(&self.ns) {
            return Ok(known.clone());
        }
        let pauses = Rc::new(Pauses(list(self.conn, self.ns, PAUSES, Millis::MIN)?));
        self.cache.pauses.insert(self.ns, pauses.clone());
        Ok(pauses)
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
