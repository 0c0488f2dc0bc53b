//! Deleting, little by little, what was dropped in one piece: what a query staged that failed, and what waited of a run
//! that was cancelled.

use sqlx::Row;

use crate::{
    fault::Done,
    step::{Step, count, sql},
};

const SWEEP: &str = "
    WITH first AS MATERIALIZED (
        SELECT rank, number, start, id FROM ready WHERE line = $1 ORDER BY rank, number, start, id LIMIT $2)
    DELETE FROM ready USING first WHERE ready.line = $1 AND ready.rank = first.rank AND ready.number = first.number
        AND ready.start = first.start AND ready.id = first.id
    RETURNING ready.body, ready.count";

impl Step {
    /// Deletes at most `limit` chunks of what was dropped, and says whether any may be left.
    pub(crate) async fn sweep(&mut self, limit: i64) -> Done<bool> {
        let sql = "SELECT id FROM line WHERE ns = $1 AND kind = 6 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
        let Some(row) = self.one(sql!(sql, self.ns)).await? else { return Ok(false) };
        let line: i64 = row.try_get(0)?;
        let rows = self.all(sql!(SWEEP, line, limit)).await?;
        if rows.is_empty() {
            self.execute(sql!("DELETE FROM line WHERE id = $1", line)).await?;
        }
        for row in rows {
            self.has_ended(row.try_get("body")?, count(&row, "count")?);
        }
        self.flush().await?;
        Ok(true)
    }
}
