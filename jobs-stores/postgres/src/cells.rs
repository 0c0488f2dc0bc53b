//! Cells: versioned named values.

use std::sync::Arc;

use jobs_core::{Cell, Effect, Millis, PAUSES, PutCell, SessionId, pause_cells};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    step::{Step, most, sql, unsigned},
};

const GET: &str = "
    SELECT name, version, value, expires_at, owner FROM cell
    WHERE ns = $1 AND name = $2 AND (expires_at IS NULL OR expires_at > $3)";
const LIST: &str = "
    SELECT name, version, value, expires_at, owner FROM cell
    WHERE ns = $1 AND name >= $2 AND ($3::text IS NULL OR name < $3) AND (expires_at IS NULL OR expires_at > $4)
    ORDER BY name";
const PUT: &str = "
    INSERT INTO cell (ns, name, version, value, expires_at, owner) VALUES ($1, $2, number_1($3), $4, $5, $6)
    ON CONFLICT (ns, name) DO UPDATE
    SET version = excluded.version, value = excluded.value, expires_at = excluded.expires_at, owner = excluded.owner
    RETURNING version";
const DROP_EXPIRED: &str = "
    DELETE FROM cell WHERE ns = $1 AND name = ANY (ARRAY(
        SELECT name FROM cell WHERE ns = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3))";
const RENAME: &str = "
    UPDATE cell SET name = $3 WHERE ns = $1 AND name = $2
    AND NOT EXISTS (SELECT FROM cell AS there WHERE there.ns = $1 AND there.name = $3)";

fn read(row: &PgRow) -> Done<(String, Cell)> {
    let cell = Cell {
        version: unsigned(row, "version")?,
        value: serde_json::from_str(row.try_get("value")?)?,
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(Millis),
        owner: row.try_get::<Option<i64>, _>("owner")?.map(|owner| SessionId(owner.cast_unsigned())),
    };
    Ok((row.try_get("name")?, cell))
}

/// The first text that is behind all that begin with `prefix`, in the order of bytes; none if there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // There is nothing between the two halves of a surrogate pair.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// What the cell of a pause notes.
fn note(cell: &Cell) -> String {
    cell.value.get("note").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

impl Step {
    /// One cell.
    pub(crate) async fn get(&mut self, name: &str) -> Done<Option<Cell>> {
        let row = self.one(sql!(GET, self.ns, name, self.now.0)).await?;
        row.map(|row| Ok(read(&row)?.1)).transpose()
    }

    /// The cells whose names begin with `prefix`, in the order of their names.
    pub(crate) async fn list(&mut self, prefix: &str) -> Done<Vec<(String, Cell)>> {
        self.list_at(prefix, self.now).await
    }

    async fn list_at(&mut self, prefix: &str, now: Millis) -> Done<Vec<(String, Cell)>> {
        let rows = self.all(sql!(LIST, self.ns, prefix, behind(prefix), now.0)).await?;
        rows.iter().map(read).collect()
    }

    /// Writes a cell if its version is still that one. The caller holds the cell.
    pub(crate) async fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: &PutCell,
    ) -> Done<Result<u64, Option<Cell>>> {
        let there = self.get(name).await?;
        if there.as_ref().map_or(0, |cell| cell.version) != expected {
            return Ok(Err(there));
        }
        Ok(self.put(name, put).await?.ok_or(there))
    }

    /// Writes a cell whatever its version; `None` if the session that it would go with is no more.
    pub(crate) async fn put(&mut self, name: &str, put: &PutCell) -> Done<Option<u64>> {
        if name.starts_with(PAUSES) {
            self.pauses = None;
        }
        self.marks.control += 1;
        let Some(value) = &put.value else {
            self.remove_cell(name).await?;
            return Ok(Some(0));
        };
        if let Some(owner) = put.owner {
            // Held, so that it does not go meanwhile and leave the cell behind.
            let sql = "SELECT FROM session WHERE ns = $1 AND session = $2 FOR KEY SHARE";
            if !self.is_any(sql!(sql, self.ns, owner.0.cast_signed())).await? {
                self.marks.control -= 1;
                return Ok(None);
            }
        }
        // A number of the source: a version that was used is not used again, whatever became of the cell.
        let expires_at = put.expires_in.map(|wait| (self.now + wait).0);
        let owner = put.owner.map(|owner| owner.0.cast_signed());
        let value = serde_json::to_string(value)?;
        let version: i64 = self.value(sql!(PUT, self.ns, name, self.now.0, value, expires_at, owner)).await?;
        Ok(Some(version.cast_unsigned()))
    }

    pub(crate) async fn effect(&mut self, effect: &Effect) -> Done<()> {
        match effect {
            Effect::PutCell { name, put } => self.put(name, put).await.map(drop),
        }
    }

    async fn remove_cell(&mut self, name: &str) -> Done<()> {
        self.execute(sql!("DELETE FROM cell WHERE ns = $1 AND name = $2", self.ns, name)).await?;
        Ok(())
    }

    /// Removes the cells that go with a session.
    pub(crate) async fn drop_owned(&mut self, session: SessionId) -> Done<()> {
        let sql = "DELETE FROM cell WHERE ns = $1 AND owner = $2";
        self.execute(sql!(sql, self.ns, session.0.cast_signed())).await?;
        self.pauses = None;
        Ok(())
    }

    /// Removes at most `limit` cells that have expired, and says how many.
    pub(crate) async fn drop_expired(&mut self, limit: usize) -> Done<usize> {
        let dropped = self.execute(sql!(DROP_EXPIRED, self.ns, self.now.0, most(limit))).await?;
        Ok(usize::try_from(dropped).unwrap_or(limit))
    }

    /// The pauses, whether they have expired or not: names of cells, and the cells.
    async fn pauses(&mut self) -> Done<Arc<Vec<(String, Cell)>>> {
        if let Some(known) = &self.pauses {
            return Ok(known.clone());
        }
        let pauses = Arc::new(self.list_at(PAUSES, Millis::MIN).await?);
        self.pauses = Some(pauses.clone());
        Ok(pauses)
    }

    /// The patterns that are paused, with their notes.
    pub(crate) async fn all_paused(&mut self) -> Done<Vec<(String, String)>> {
        let (pauses, now) = (self.pauses().await?, self.now);
        let live = pauses.iter().filter(|(_, cell)| is_live(cell, now));
        Ok(live.map(|(name, cell)| (name[PAUSES.len()..].to_owned(), note(cell))).collect())
    }

    /// The note of the pause that covers a job.
    pub(crate) async fn paused(&mut self, job: &str) -> Done<Option<String>> {
        let (pauses, now) = (self.pauses().await?, self.now);
        if pauses.is_empty() {
            return Ok(None);
        }
        let of = |wanted: &String| pauses.iter().find(|(name, cell)| name == wanted && is_live(cell, now));
        Ok(pause_cells(job).iter().find_map(of).map(|(_, cell)| note(cell)))
    }

    /// A job that is paused stays paused under its new name; a pause that the new name has wins.
    pub(crate) async fn rename_pause(&mut self, was: &str, name: &str) -> Done<()> {
        self.execute(sql!(RENAME, self.ns, was, name)).await?;
        self.remove_cell(was).await?;
        self.pauses = None;
        Ok(())
    }
}

fn is_live(cell: &Cell, now: Millis) -> bool {
    cell.expires_at.is_none_or(|at| now < at)
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn what_begins_alike_ends_before_the_next() {
        for (prefix, next) in [
            ("pause/", Some("pause0")),
            ("", None),
            ("a\u{10ffff}", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
        ] {
            assert_eq!(behind(prefix).as_deref(), next, "{prefix:?}");
        }
    }
}
