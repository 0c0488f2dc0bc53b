//! What a query found: staged or published page by page, until the fill item is settled.

use jobs_core::{
    Append, Appended, Header, RunId, Token,
    ledger::{FillEnd, Filling},
};

use crate::{
    fault::Done,
    rows::{RunRow, run_id},
    step::Step,
};

impl Step<'_> {
    pub(crate) fn append(&mut self, append: &Append) -> Done<Appended> {
        let Some(held) = self.held_fill(append.token)? else { return self.appended_before(append) };
        let session = held.session;
        let job = held.job;
        let fill_item = held.header.clone();
        let Some(id) = fill_item.run() else { return Ok(Appended::Lost) };
        let Some(row) = self.change_run(id)? else { return Ok(Appended::Lost) };
        let former = row.run.fill_under(append.token);
        let judged = row.run.judge(append);
        if former != FillEnd::Nothing {
            self.end_staging(job, id, former)?;
        }
        let first = match judged {
            Filling::Answered(Some(answer)) => return Ok(answer),
            Filling::Answered(None) => return self.appended(id),
            Filling::Next(first) => first,
        };
        let mut header = fill_item.of_found(&append.item_type, first, self.now);
        match append.page {
            None => self.stage(job, id, &mut header, append)?,
            Some(_) => self.page(job, &mut header, append)?,
        }
        if append.page.is_some() && !append.last {
            self.progressed(append.token)?;
        }
        let Some(row) = self.change_run(id)? else { return Ok(Appended::Lost) };
        let end = row.run.take_in(append, header.start - first);
        if !append.last {
            return self.appended(id);
        }
        self.end_staging(job, id, end)?;
        let answer = self.appended(id)?;
        self.take_back(session, append.token)?;
        Ok(answer)
    }

    /// Stores items in the run's hidden line.
    fn stage(&mut self, job: i64, run: RunId, header: &mut Header, append: &Append) -> Done<()> {
        if append.bodies.is_empty() {
            return Ok(());
        }
        let staged = self.run(run)?.and_then(|run| run.run.record.fill.as_ref()?.place);
        let line = match staged {
            Some(line) => line,
            None => self.staging_line(job, run)?,
        };
        for body in append.bodies.iter().filter(|body| body.count() > 0) {
            self.insert_body(Some(line), job, header, body)?;
            header.start += u64::from(body.count());
        }
        if staged.is_none()
            && let Some(row) = self.change_run(run)?
            && let Some(fill) = &mut row.run.record.fill
        {
            fill.place = Some(line);
        }
        Ok(())
    }

    /// Stores items that are ready at once.
    fn page(&mut self, job: i64, header: &mut Header, append: &Append) -> Done<()> {
        for body in append.bodies.iter().filter(|body| body.count() > 0) {
            self.store_new(job, header, body)?;
            header.start += u64::from(body.count());
        }
        Ok(())
    }

    /// A stored page is progress.
    fn progressed(&mut self, token: Token) -> Done<()> {
        if let Some(held) = self.held_fill(token)?
            && held.header.begin_anew()
        {
            self.dirty_leases.insert(token);
        }
        Ok(())
    }

    /// The answer to an append under a lease that has ended: a repeat is answered as the first was.
    fn appended_before(&mut self, append: &Append) -> Done<Appended> {
        self.write_runs()?;
        let sql = "SELECT id FROM run WHERE filled = ?1";
        let Some(id) = self.one(sql, [append.token.0.cast_signed()], run_id)? else {
            return Ok(Appended::Lost);
        };
        match self.run(id)?.is_some_and(|row| row.run.was_stored(append)) {
            true => self.appended(id),
            false => Ok(Appended::Lost),
        }
    }

    fn appended(&mut self, id: RunId) -> Done<Appended> {
        let Some(RunRow { job, .. }) = self.run(id)? else { return Ok(Appended::Lost) };
        let job = *job;
        let ready = self.ready(job)?;
        Ok(self.run(id)?.map_or(Appended::Lost, |row| row.run.stored(ready)))
    }
}
