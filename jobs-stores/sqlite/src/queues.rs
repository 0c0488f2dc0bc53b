//! Ready queues, in the tables `line` and `head`. All chunks of a line may be leased to the same sessions, so the first of
//! each speaks for it.
//!
//! Every run has a line of its own for what its query found. While that is staged the line is hidden, and the last
//! append shows it: one row changes, whatever stands in the line. Of the lines of a job that differ by their run alone,
//! the first stands in `head`, and looking for work reads only that: triggers keep it right.

use jobs_core::{
    Header, RunId,
    ledger::{Fill, FillEnd, QueueKey, QueueKind},
};

use crate::{fault::Done, rows::run_key, step::Step};

/// The most lines whose items are counted when somebody asks how many items of a job are ready.
const COUNTED: i64 = 1_000;

/// Where the first chunk of a line stands: its rank, and the number of its run.
pub(crate) type Stand = (i64, i64);

impl Step<'_> {
    /// How many items of a job are ready, in as many lines as are counted.
    pub(crate) fn ready(&self, job: i64) -> Done<u64> {
        let sql = "SELECT coalesce(sum(items), 0) FROM
                   (SELECT items FROM line WHERE job = ?1 AND rank IS NOT NULL LIMIT ?2)";
        Ok(self.one(sql, (job, COUNTED), |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned())
    }

    /// The line that a chunk belongs in; one that is not there is made, and stands nowhere yet.
    pub(crate) fn line_for(&mut self, job: i64, header: &Header) -> Done<i64> {
        self.line_of(job, &QueueKey::of(header))
    }

    /// The line of this key; one that is not there is made, and stands nowhere yet.
    pub(crate) fn line_of(&mut self, job: i64, key: &QueueKey) -> Done<i64> {
        match self.find_line(job, key)? {
            Some(id) => Ok(id),
            None => self.new_line(job, key),
        }
    }

    fn find_line(&self, job: i64, QueueKey { kind, run, builds }: &QueueKey) -> Done<Option<i64>> {
        let sql = "SELECT id FROM line WHERE job = ?1 AND kind = ?2 AND run = ?3 AND builds = ?4";
        self.one(sql, (job, *kind as i64, run.cast_signed(), builds), |row| row.get(0))
    }

    /// A line in which nothing stands.
    fn new_line(&mut self, job: i64, QueueKey { kind, run, builds }: &QueueKey) -> Done<i64> {
        let id = self.id()?;
        let sql = "INSERT INTO line (id, ns, job, kind, run, builds, rank, number, turn, items)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL, 0, 0)";
        self.execute(sql, (id, self.ns, job, *kind as i64, run.cast_signed(), builds))?;
        Ok(id)
    }

    /// The line of what a run's query found.
    pub(crate) fn line_of_run(&self, job: i64, run: RunId) -> Done<Option<i64>> {
        self.find_line(job, &of_run(QueueKind::Work, run))
    }

    /// The hidden line of what a run's query finds.
    pub(crate) fn staging_line(&mut self, job: i64, run: RunId) -> Done<i64> {
        self.line_of(job, &of_run(QueueKind::Staged, run))
    }

    /// More items stand in a line: at its head, if they come before all others.
    pub(crate) fn joined(&mut self, line: i64, job: i64, at: Stand, items: u32) -> Done<()> {
        let sql = "UPDATE line SET items = items + ?2 WHERE id = ?1 RETURNING rank, number";
        let head = self.one(sql, (line, items), |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        match head {
            Some((Some(rank), Some(number))) if (rank, number) <= at => Ok(()),
            _ => self.stand(line, job, at),
        }
    }

    /// Puts a line where its first chunk stands.
    fn stand(&mut self, line: i64, job: i64, (rank, number): Stand) -> Done<()> {
        // The lines of a job that tie have one turn, so that among them the older run comes first.
        let sql = "SELECT turn FROM line WHERE job = ?1 AND rank = ?2 LIMIT 1";
        let turn = match self.one(sql, (job, rank), |row| row.get(0))? {
            Some(turn) => turn,
            None => self.id()?,
        };
        let sql = "UPDATE line SET rank = ?2, number = ?3, turn = ?4 WHERE id = ?1";
        self.execute(sql, (line, rank, number, turn))?;
        Ok(())
    }

    /// Items were taken out of a line that stood there. `exhausted`: whole chunks.
    pub(crate) fn taken(
        &mut self,
        line: i64,
        job: i64,
        stood: Option<Stand>,
        items: u32,
        exhausted: bool,
    ) -> Done<()> {
        self.execute("UPDATE line SET items = items - ?2 WHERE id = ?1", (line, items))?;
        if exhausted { self.restand(line, job, stood) } else { Ok(()) }
    }

    /// A job was served. Only of jobs that tie does it matter which was served last.
    pub(crate) fn served(&mut self, job: i64, rank: i64) -> Done<()> {
        let tie = "SELECT 1 FROM line WHERE ns = ?1 AND rank = ?2 AND job <> ?3";
        if self.is_any(tie, (self.ns, rank, job))? {
            let turn = self.id()?;
            self.execute("UPDATE line SET turn = ?3 WHERE job = ?1 AND rank = ?2", (job, rank, turn))?;
        }
        Ok(())
    }

    /// Puts a line where its first chunk stands now; one that is empty is deleted.
    pub(crate) fn restand(&mut self, line: i64, job: i64, stood: Option<Stand>) -> Done<()> {
        let sql = "SELECT rank, number FROM chunk WHERE line = ?1 AND line > 0 ORDER BY rank, number, place LIMIT 1";
        match self.one(sql, [line], |row| Ok((row.get(0)?, row.get(1)?)))? {
            Some(stands) if stood == Some(stands) => Ok(()),
            Some(stands) => self.stand(line, job, stands),
            None => {
                self.execute("DELETE FROM line WHERE id = ?1", [line])?;
                Ok(())
            }
        }
    }

    /// So many items joined a line, and may stand before all others.
    pub(crate) fn moved_in(&mut self, line: i64, job: i64, items: i64) -> Done<()> {
        self.execute("UPDATE line SET items = items + ?2 WHERE id = ?1", (line, items))?;
        self.restand(line, job, None)
    }

    /// Does with what a query staged what the ledger says.
    pub(crate) fn end_staging(&mut self, job: i64, run: RunId, end: FillEnd) -> Done<()> {
        match end {
            FillEnd::Nothing => Ok(()),
            FillEnd::Drop(Fill { place: Some(line), .. }) => self.drop_line(line),
            FillEnd::Drop(_) => Ok(()),
            FillEnd::Publish(Fill { place: Some(line), staged, .. }) => {
                self.publish(line, job, run, staged.cast_signed())
            }
            FillEnd::Publish(_) => Ok(()),
        }
    }

    /// Shows what a query found: it is leased from now on.
    fn publish(&mut self, line: i64, job: i64, run: RunId, items: i64) -> Done<()> {
        self.marks.work += 1;
        match self.line_of_run(job, run)? {
            None => {
                let sql = "UPDATE line SET kind = ?2, items = ?3 WHERE id = ?1";
                self.execute(sql, (line, QueueKind::Work as i64, items))?;
                // What was found first comes first.
                self.restand(line, job, None)
            }
            // Some of it was published page by page before.
            Some(shown) => {
                self.execute("UPDATE chunk SET line = ?2 WHERE line = ?1 AND line > 0", (line, shown))?;
                self.execute("DELETE FROM line WHERE id = ?1", [line])?;
                self.moved_in(shown, job, items)
            }
        }
    }

    /// Drops all that stands in a line, in one small step; it is deleted little by little.
    pub(crate) fn drop_line(&mut self, line: i64) -> Done<()> {
        let sql =
            "UPDATE line SET kind = ?2, run = id, builds = '', rank = NULL, number = NULL WHERE id = ?1";
        self.execute(sql, (line, QueueKind::Dropped as i64))?;
        self.cache.set_dirty(true);
        Ok(())
    }

    /// Drops what a run has staged, and nobody knows where: its record is gone.
    pub(crate) fn drop_staged_of(&mut self, job: i64, run: RunId) -> Done<()> {
        match self.find_line(job, &of_run(QueueKind::Staged, run))? {
            Some(line) => self.drop_line(line),
            None => Ok(()),
        }
    }
}

fn of_run(kind: QueueKind, run: RunId) -> QueueKey {
    QueueKey { kind, run: run_key(run).cast_unsigned(), builds: String::new() }
}
