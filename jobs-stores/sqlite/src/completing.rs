//! Ends of runs: completed, or cancelled.

use jobs_core::{Body, Completion, End, Header, RunId, RunReport};

use crate::{chunks::Stored, fault::Done, runs::Run, step::Step};

impl Step<'_> {
    pub(crate) fn complete(&mut self, id: RunId, finish: bool) -> Done<Completion> {
        let Some(run) = self.run(id)? else { return Ok(Completion::Unknown) };
        let job = run.job;
        if run.record().over.is_some() {
            return Ok(Completion::Already(Box::new(self.report(id)?)));
        }
        if !run.has_ended() {
            return Ok(Completion::Open);
        }
        let (finished, now) = (self.id()?, self.now);
        if let Some(run) = self.run_mut(id)? {
            run.end(finished, now);
        }
        self.job_mut(job)?.finished += 1;
        self.marks.runs += 1;
        let report = self.report(id)?;
        if finish {
            self.store_finish(&report, job)?;
        }
        Ok(Completion::Completed(Box::new(report)))
    }

    fn report(&mut self, id: RunId) -> Done<RunReport> {
        let job = self.run(id)?.map(|run| run.job).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let name = self.job_name(job)?;
        let report = self.run(id)?.map(|run| run.report(&name));
        Ok(report.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }

    fn store_finish(&mut self, report: &RunReport, job: i64) -> Done<()> {
        let body = Body::one(report)?;
        let job_of = self.job(job)?;
        let (name, priority) = (job_of.name.clone(), job_of.link.priority);
        let header = Header::of_finish(report, &name, priority, self.now);
        self.store_new(job, &header, &body)
    }

    /// Cancels a run: `None` if there is none, `false` if it is over.
    pub(crate) fn cancel(&mut self, id: RunId) -> Done<Option<bool>> {
        let Some(run) = self.run_mut(id)? else { return Ok(None) };
        if run.record().over.is_some() || run.has_ended() {
            return Ok(Some(false));
        }
        run.record_mut().cancelled = true;
        let job = run.job;
        self.unstage_cancelled(id)?;
        for stored in self.waiting_of(job, id)? {
            let piece = self.piece(&stored)?;
            self.take_out(&stored)?;
            self.end(job, piece, &End::Cancelled, &mut Vec::new())?;
        }
        if let Some(line) = self.line_of_run(job, id)? {
            self.cancel_line(line, id)?;
        }
        for line in self.lines_of(job)? {
            self.recount(line.id, job)?;
        }
        self.find_next_due(job)?;
        self.marks.control += 1;
        Ok(Some(true))
    }

    /// What was found so far is dropped; the fill item ends when it is settled.
    fn unstage_cancelled(&mut self, id: RunId) -> Done<()> {
        let lease = self.run(id)?.and_then(|run| run.record().fill.as_ref()?.lease);
        self.unstage(id)?;
        if let Some(run) = self.run_mut(id)?
            && let Some(fill) = &mut run.record_mut().fill
        {
            fill.lease = lease;
        }
        Ok(())
    }

    /// What waits of a run, but for what its query found and nobody has touched.
    fn waiting_of(&mut self, job: i64, run: RunId) -> Done<Vec<Stored>> {
        let number = run.number().cast_signed();
        let own = self.line_of_run(job, run)?.unwrap_or(0);
        let delayed = "SELECT id, job, start, count, body, at, header FROM chunk
                       WHERE job = ?1 AND line IS NULL AND number = ?2 ORDER BY due";
        let mut waiting = self.all(delayed, (job, number), Stored::read)?;
        let touched = "SELECT id, job, start, count, body, at, header FROM chunk
                       WHERE line = ?1 AND line > 0 AND number = ?2 AND (?1 <> ?3 OR header IS NOT NULL)";
        for line in self.lines_of(job)? {
            waiting.extend(self.all(touched, (line.id, number, own), Stored::read)?);
        }
        Ok(waiting)
    }

    /// Ends all that stands in the line of a run, whatever there is, in one small step: it is counted, and deleted
    /// little by little.
    fn cancel_line(&mut self, line: i64, id: RunId) -> Done<()> {
        let sql = "SELECT coalesce(sum(count), 0) FROM chunk WHERE line = ?1 AND line > 0";
        let items = self.one(sql, [line], |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned();
        if let Some(run) = self.run_mut(id)? {
            cancel_items(run, items);
        }
        self.drop_line(line)
    }
}

/// Items that nobody has touched: their first attempt was still to come.
fn cancel_items(run: &mut Run, items: u64) {
    run.counts.cancelled += items;
    run.fresh = run.fresh.saturating_sub(items);
}
