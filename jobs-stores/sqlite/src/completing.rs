//! Ends of runs: completed, or cancelled.

use jobs_core::{
    Body, Cancellation, Complete, Completion, End, Header, RunId, RunReport, STEP_RECORDS, ledger::Tally,
};

use crate::{
    bodies::Found,
    chunks::Stored,
    fault::Done,
    rows::{RunRow, limit, run_key},
    step::Step,
};

impl Step<'_> {
    pub(crate) fn complete(&mut self, runs: &[Complete]) -> Done<Vec<Completion>> {
        runs.iter().map(|complete| self.complete_one(*complete)).collect()
    }

    fn complete_one(&mut self, Complete { run: id, finish }: Complete) -> Done<Completion> {
        let Some(RunRow { run, job, .. }) = self.run(id)? else { return Ok(Completion::Unknown) };
        let job = *job;
        let is_over = run.record.over.is_some();
        if !is_over && !run.has_ended() {
            return Ok(Completion::Open);
        }
        if !is_over {
            let number = self.id()?;
            let now = self.now;
            if let Some(row) = self.change_run(id)? {
                row.run.end(now);
                row.finished = Some(number);
            }
            if let Some(job) = self.job_mut(job)? {
                job.finished += 1;
            }
            self.marks.runs += 1;
        }
        let name = self.job_name(job)?.unwrap_or_default();
        let Some(RunRow { run, .. }) = self.run(id)? else { return Ok(Completion::Unknown) };
        let report = Box::new(run.report(&name));
        if is_over {
            return Ok(Completion::Already(report));
        }
        if finish {
            self.store_finish(&report, job)?;
        }
        Ok(Completion::Completed(report))
    }

    fn store_finish(&mut self, report: &RunReport, job: i64) -> Done<()> {
        let body = Body::one(report)?;
        let Some(row) = self.job(job)? else { return Ok(()) };
        let name = row.name.clone();
        let priority = row.link.priority;
        let header = Header::of_finish(report, &name, priority, self.now);
        self.store_new(job, &header, &body)
    }

    pub(crate) fn cancel(&mut self, id: RunId) -> Done<Cancellation> {
        let again = self.is_any("SELECT 1 FROM cancelling WHERE run = ?1", [run_key(id)])?;
        let Some(row) = self.count_run(id)? else { return Ok(Cancellation::Unknown) };
        if row.run.record.over.is_some() || (row.run.has_ended() && !again) {
            return Ok(Cancellation::Over);
        }
        row.changed = true;
        row.run.record.cancelled = true;
        let job = row.job;
        let staged = row.run.drop_staged();
        self.end_staging(job, id, staged)?;
        self.marks.control += 1;
        let more = self.end_waiting(id, &mut Vec::new())?;
        if more && !again {
            let sql = "INSERT INTO cancelling (run, ns) VALUES (?1, ?2)";
            self.execute(sql, (run_key(id), self.ns))?;
        }
        if !more && again {
            self.execute("DELETE FROM cancelling WHERE run = ?1", [run_key(id)])?;
        }
        Ok(Cancellation::Cancelled { more })
    }

    /// Goes on with runs that are cancelled and of which something still waits.
    pub(crate) fn go_on_cancelling(&mut self, over: &mut Vec<RunId>) -> Done<()> {
        let sql = "SELECT run FROM cancelling WHERE ns = ?1 ORDER BY run LIMIT ?2";
        for run in self.all(sql, (self.ns, limit(STEP_RECORDS)), crate::rows::run_id)? {
            if self.end_waiting(run, over)? {
                break;
            }
            self.execute("DELETE FROM cancelling WHERE run = ?1", [run_key(run)])?;
        }
        Ok(())
    }

    /// Ends what waits of a cancelled run, as much as the step may, and says whether there is more.
    fn end_waiting(&mut self, id: RunId, over: &mut Vec<RunId>) -> Done<bool> {
        let Some(RunRow { job, run, .. }) = self.run(id)? else { return Ok(false) };
        if !run.is_cancelled() {
            return Ok(false);
        }
        let job = *job;
        let columns = Stored::COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM chunk WHERE number = ?1 AND header IS NOT NULL AND count > 0
             ORDER BY start LIMIT ?2"
        );
        let touched = self.all(&sql, (run_key(id), limit(self.left + 1)), Stored::read)?;
        let (mut more, mut ended) = (false, false);
        for stored in &touched {
            if !self.may_touch() {
                // Where all belongs to a newer version, there is nothing to go on with.
                more = ended;
                break;
            }
            match self.piece(stored)? {
                Found::There(piece) => {
                    self.take(stored, stored.part.count)?;
                    self.end(stored.job, piece, End::Cancelled, over)?;
                    ended = true;
                }
                Found::Missing => {
                    self.drop_chunk(stored)?;
                    ended = true;
                }
                Found::Unreadable => {}
            }
        }
        if touched.iter().any(|stored| stored.line.is_none()) {
            self.find_next_due(job)?;
        }
        if !more {
            self.end_untouched(job, id, over)?;
        }
        Ok(more)
    }

    /// Ends what the query of a run found and nobody has touched, whatever there is, in one small step: the line knows how
    /// many items they are, and they are deleted little by little.
    fn end_untouched(&mut self, job: i64, id: RunId, over: &mut Vec<RunId>) -> Done<()> {
        let Some(line) = self.line_of_run(job, id)? else { return Ok(()) };
        let items = self.one("SELECT items FROM line WHERE id = ?1", [line], |row| row.get::<_, i64>(0))?;
        let mut tally = Tally::default();
        tally.cancel_untouched(items.unwrap_or(0).max(0).cast_unsigned());
        self.add(id, tally)?;
        self.drop_line(line)?;
        self.note(Some(id), over)
    }
}
