//! What waits for its time.

use jobs_core::Millis;
use sqlx::Row;

use crate::{
    fault::Done,
    step::{Step, most, sql},
};

/// So many chunks are made ready in one statement.
const PROMOTED: i64 = 1_000;

const PROMOTE: &str = "
    WITH due AS (
        DELETE FROM delayed WHERE id = ANY (ARRAY(
            SELECT id FROM delayed WHERE ns = $1 AND due <= $2 ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED))
        RETURNING id, job, start, count, body, at, header)
    SELECT job, due.start, due.count, body, at, due.header, body.header AS of_body
    FROM due LEFT JOIN body ON body.id = due.body ORDER BY due.id";
const NEXT_DUE: &str = "
    SELECT due FROM delayed JOIN job ON job.id = delayed.job JOIN link ON link.session = $2 AND link.job = job.name
    WHERE delayed.ns = $1 ORDER BY due LIMIT 1";

impl Step {
    /// Makes ready what has waited for its time.
    pub(crate) async fn promote(&mut self) -> Done<()> {
        loop {
            let rows = self.all(sql!(PROMOTE, self.ns, self.now.0, PROMOTED)).await?;
            let last = most(rows.len()) < PROMOTED;
            for row in rows {
                let job = row.try_get("job")?;
                let piece = self.read_piece(job, &row).await?;
                self.store(job, piece);
            }
            self.flush().await?;
            if last {
                return Ok(());
            }
        }
    }

    /// When the first chunk of the jobs that a session links is due that waits for its time.
    pub(crate) async fn next_due(&mut self, session: i64) -> Done<Option<Millis>> {
        let due = self.one(sql!(NEXT_DUE, self.ns, session)).await?;
        due.map(|row| Ok(Millis(row.try_get(0)?))).transpose()
    }
}
