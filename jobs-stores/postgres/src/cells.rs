//! Cells: versioned named values.

use jobs_core::{Cell, Millis, PAUSES, PutCell, SessionId, ledger};
use serde::Deserialize;

use crate::{
    facts::readable,
    fault::Done,
    records::CellWrite,
    step::{Step, sql},
};

const GET: &str = "
    SELECT 'cell', row_to_json(c)::text, NULL::bytea, NULL::bytea FROM cell AS c
    WHERE ns = $1 AND name = $2 AND (expires_at IS NULL OR expires_at > $3)";
const LIST: &str = "
    SELECT 'cell', row_to_json(c)::text, NULL::bytea, NULL::bytea FROM cell AS c
    WHERE ns = $1 AND name >= $2 AND ($3::text IS NULL OR name < $3) AND (expires_at IS NULL OR expires_at > $4)
    ORDER BY name";
const PUT_IF: &str = "SELECT * FROM put_if_2($1, $2, $3, $4, $5, $6, $7)";

/// A cell as the database keeps it.
#[derive(Deserialize)]
pub(crate) struct CellRow {
    name: String,
    version: u64,
    value: String,
    expires_at: Option<i64>,
    owner: Option<i64>,
}

impl CellRow {
    /// The cell with its name; `None` if its value cannot be read.
    pub(crate) fn cell(self) -> Option<(String, Cell)> {
        let cell = Cell {
            version: self.version,
            value: readable(&self.value)?,
            expires_at: self.expires_at.map(Millis),
            owner: self.owner.map(|owner| SessionId(owner.cast_unsigned())),
        };
        Some((self.name, cell))
    }
}

/// The pauses among all cells that hold some.
pub(crate) fn pauses(rows: Vec<CellRow>) -> ledger::Pauses {
    ledger::Pauses(rows.into_iter().filter_map(CellRow::cell).collect())
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

impl Step {
    /// One cell.
    pub(crate) async fn get(&mut self, name: &str) -> Done<Option<Cell>> {
        let mut facts = self.load(sql!(GET, self.ns, name, self.now.0)).await?;
        Ok(facts.one::<CellRow>("cell").and_then(CellRow::cell).map(|(_, cell)| cell))
    }

    /// The cells whose names begin with `prefix`, in the order of their names.
    pub(crate) async fn list(&mut self, prefix: &str) -> Done<Vec<(String, Cell)>> {
        let mut facts = self.load(sql!(LIST, self.ns, prefix, behind(prefix), self.now.0)).await?;
        Ok(facts.read::<CellRow>("cell").into_iter().filter_map(CellRow::cell).collect())
    }

    /// Writes a cell if its version is still that one: compared and set in one statement, whoever else writes it.
    pub(crate) async fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: &PutCell,
    ) -> Done<Result<u64, Option<Cell>>> {
        let value = put.value.as_ref().map(serde_json::to_string).transpose()?;
        let expires_at = put.expires_in.map(|wait| (self.now + wait).0);
        let owner = put.owner.map(|owner| owner.0.cast_signed());
        let now = self.now.0;
        let put = sql!(PUT_IF, self.ns, name, expected.cast_signed(), value, expires_at, owner, now);
        let mut facts = self.load(put).await?;
        match facts.one::<u64>("version") {
            Some(version) => {
                self.steers(name);
                Ok(Ok(version))
            }
            None => Ok(Err(facts.one::<CellRow>("cell").and_then(CellRow::cell).map(|(_, cell)| cell))),
        }
    }

    /// Only what steers wakes others.
    fn steers(&mut self, name: &str) {
        self.marks.control += u64::from(name.starts_with(PAUSES));
    }

    /// Writes a cell whatever its version, unless the session that it would go with has ended.
    pub(crate) fn put_cell(&mut self, name: &str, put: &PutCell) -> Done<()> {
        self.steers(name);
        // Of several that one operation writes, the last one counts.
        self.writes.cells.retain(|cell| cell.name != name);
        self.writes.cells_gone.retain(|gone| gone != name);
        match &put.value {
            None => self.writes.cells_gone.push(name.to_owned()),
            Some(value) => self.writes.cells.push(CellWrite {
                name: name.to_owned(),
                value: serde_json::to_string(value)?,
                expires_at: put.expires_in.map(|wait| (self.now + wait).0),
                owner: put.owner.map(|owner| owner.0.cast_signed()),
            }),
        }
        Ok(())
    }
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
