//! Chunks that wait for their time.

use jobs_core::{Millis, ledger::held_back};

use crate::{
    bodies::Found,
    chunks::Stored,
    fault::Done,
    pieces::Piece,
    rows::{JobRow, limit},
    step::Step,
};

/// The most jobs that are looked at for when the next item is due of those that a session links.
const LOOKED_AT: i64 = 100;
/// Chunks that were put to wait later than now: a clock of the future did it.
const OF_THE_FUTURE: &str = "SELECT chunk.id, job, start, count, body, at, header, number, rank, line FROM chunk
                             JOIN job ON job.id = chunk.job
                             WHERE line IS NULL
                                   AND CASE WHEN json_valid(header) THEN header ->> 'waits_since' END > ?1
                                   AND job.ns = ?2
                             ORDER BY CASE WHEN json_valid(header) THEN header ->> 'waits_since' END LIMIT ?3";

impl Step<'_> {
    /// A chunk of a job waits until then.
    pub(crate) fn waits(&mut self, job: i64, due: Millis) -> Done<()> {
        let sooner = |job: &mut JobRow| job.next_due.is_none_or(|next| due < next);
        if self.job(job)?.is_some_and(sooner)
            && let Some(row) = self.job_mut(job)?
        {
            row.next_due = Some(due);
            self.cache.due.remove(&self.ns);
        }
        Ok(())
    }

    /// Makes ready what has waited for its time, what is due first before the rest.
    pub(crate) fn promote(&mut self) -> Done<()> {
        while self.left > 0 && self.next_due()?.is_some_and(|due| due <= self.now) {
            self.write_jobs()?;
            let sql = "SELECT id FROM job WHERE ns = ?1 AND next_due <= ?2 ORDER BY next_due LIMIT ?3";
            for job in self.all(sql, (self.ns, self.now.0, limit(self.left)), |row| row.get(0))? {
                if !self.may_touch() {
                    return Ok(());
                }
                self.promote_of(job)?;
            }
        }
        Ok(())
    }

    fn promote_of(&mut self, job: i64) -> Done<()> {
        self.marks.work += 1;
        let columns = Stored::COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM chunk WHERE job = ?1 AND line IS NULL AND due <= ?2 ORDER BY due LIMIT ?3"
        );
        for stored in self.all(&sql, (job, self.now.0, limit(self.left)), Stored::read)? {
            self.left = self.left.saturating_sub(1);
            let Piece { header, part } = match self.piece(&stored)? {
                Found::There(piece) => piece,
                // Only whoever can read it knows where it belongs.
                Found::Unreadable => {
                    self.set_aside(&stored)?;
                    continue;
                }
                Found::Missing => {
                    self.drop_chunk(&stored)?;
                    continue;
                }
            };
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
        if let Some(row) = self.job_mut(job)? {
            row.next_due = due.map(Millis);
        }
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

    /// When the next item of a job that the session links is due, or earlier if many other jobs have items that are due
    /// before.
    pub(crate) fn next_due_of(&mut self, session: i64) -> Done<Option<Millis>> {
        if self.next_due()?.is_none() {
            return Ok(None);
        }
        self.write_jobs()?;
        let sql =
            "SELECT next_due, EXISTS (SELECT 1 FROM link WHERE link.session = ?2 AND link.job = job.name)
                   FROM job WHERE ns = ?1 AND next_due IS NOT NULL ORDER BY next_due LIMIT ?3";
        let mut select = self.conn.prepare_cached(sql)?;
        let mut rows = select.query((self.ns, session, LOOKED_AT))?;
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            looked_at += 1;
            if row.get(1)? || looked_at == LOOKED_AT {
                return Ok(Some(Millis(row.get(0)?)));
            }
        }
        Ok(None)
    }

    /// Sets the due times right of items that a clock of the future has put to wait: they wait no longer from now than
    /// they were meant to.
    pub(crate) fn set_waits_right(&mut self) -> Done<()> {
        let ahead = self.all(OF_THE_FUTURE, (self.now.0, self.ns, limit(self.left)), Stored::read)?;
        for stored in ahead {
            self.left = self.left.saturating_sub(1);
            let job = stored.job;
            let Found::There(Piece { mut header, .. }) = self.piece(&stored)? else { continue };
            let Some(due) = held_back(header.waits_since, header.due, self.now) else { continue };
            header.due = due;
            header.waits_since = Some(self.now);
            let sql = "UPDATE chunk SET due = ?2, rank = ?3, header = ?4 WHERE id = ?1";
            let json = serde_json::to_string(&header)?;
            self.execute(sql, (stored.id, due.0, header.rank(), json))?;
            self.waits(job, due)?;
        }
        Ok(())
    }
}
