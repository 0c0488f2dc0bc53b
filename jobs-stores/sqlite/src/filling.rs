//! What a query found: staged or published page by page, until the fill item is settled.

use jobs_core::{Append, Appended, End, Header, RunId, Token};

use crate::{fault::Done, lines::Kind, runs::Fill, step::Step};

impl Step<'_> {
    pub(crate) fn append(&mut self, append: &Append) -> Done<Appended> {
        let Some(held) = self.held_fill(append.token)? else { return self.appended_before(append) };
        let (session, job, fill_item) = (held.session, held.job, held.header.clone());
        let Some(id) = fill_item.run() else { return Ok(Appended::Lost) };
        self.fill_under(id, append.token)?;
        let Some(run) = self.run_mut(id)?.filter(|run| !run.record().cancelled) else {
            return Ok(Appended::Lost);
        };
        let Some(fill) = run.record().fill.clone() else { return Ok(Appended::Lost) };
        if append.seq > fill.seq {
            return Ok(Appended::OutOfOrder { expected: fill.seq });
        }
        if append.seq < fill.seq {
            return self.appended(id);
        }
        let first = run.counts.total + fill.staged;
        let mut header = fill_item.of_found(&append.item_type, first, self.now);
        let found = match append.page {
            None => self.stage(job, id, &mut header, append)?,
            Some(_) => self.page(job, &mut header, append)?,
        };
        if let (Some(_), false) = (&append.page, append.last) {
            self.progressed(append.token)?;
        }
        let Some(run) = self.run_mut(id)? else { return Ok(Appended::Lost) };
        if let Some(fill) = &mut run.record_mut().fill {
            fill.seq += 1;
        }
        if let Some(cursor) = &append.page {
            run.cursor.clone_from(cursor);
            run.counts.total += found;
            run.fresh += found;
        }
        if !append.last {
            return self.appended(id);
        }
        self.end_filling(job, id, append, &header)?;
        let answer = self.appended(id)?;
        self.forget(session, append.token)?;
        Ok(answer)
    }

    /// Stores items in the run's hidden line, and says how many.
    fn stage(&mut self, job: i64, run: RunId, header: &mut Header, append: &Append) -> Done<u64> {
        let bodies = append.bodies.iter().filter(|body| body.count() > 0);
        let staged = self.run(run)?.and_then(|run| run.record().fill.as_ref()?.line);
        let line = match staged {
            Some(line) => line,
            None if append.bodies.is_empty() => return Ok(0),
            None => self.new_line(job, Kind::Staged, run.number().cast_signed(), "")?,
        };
        let first = header.start;
        for body in bodies {
            self.insert_body(Some(line), job, header, body)?;
            header.start += u64::from(body.count());
        }
        let found = header.start - first;
        if let Some(run) = self.run_mut(run)?
            && let Some(fill) = &mut run.record_mut().fill
        {
            fill.line = Some(line);
            fill.staged += found;
        }
        Ok(found)
    }

    /// Stores items that are ready at once, and says how many.
    fn page(&mut self, job: i64, header: &mut Header, append: &Append) -> Done<u64> {
        let first = header.start;
        for body in append.bodies.iter().filter(|body| body.count() > 0) {
            self.store_new(job, header, body)?;
            header.start += u64::from(body.count());
        }
        Ok(header.start - first)
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

    /// Publishes what was staged: one row says so, whatever there is.
    fn end_filling(&mut self, job: i64, id: RunId, append: &Append, header: &Header) -> Done<()> {
        let Some(run) = self.run_mut(id)? else { return Ok(()) };
        run.filled = Some(append.token);
        let record = run.record_mut();
        record.last_append = append.seq;
        let Some(Fill { line, staged, .. }) = record.fill.take() else { return Ok(()) };
        run.counts.total += staged;
        run.fresh += staged;
        match line {
            Some(line) if staged > 0 => {
                self.publish(line, job, id, (header.rank(), header.number.cast_signed()), staged)
            }
            Some(line) => self.drop_line(line),
            None => Ok(()),
        }
    }

    /// The answer to an append under a lease that is no more: a repeat is answered as the first was.
    fn appended_before(&mut self, append: &Append) -> Done<Appended> {
        self.write_runs()?;
        let sql = "SELECT id FROM run WHERE filled = ?1";
        let Some(id) = self.one(sql, [append.token.0.cast_signed()], crate::runs::run_id)? else {
            return Ok(Appended::Lost);
        };
        match self.run(id)?.filter(|run| append.seq <= run.record().last_append) {
            Some(_) => self.appended(id),
            None => Ok(Appended::Lost),
        }
    }

    fn appended(&mut self, id: RunId) -> Done<Appended> {
        let Some(run) = self.run(id)? else { return Ok(Appended::Lost) };
        let staged = run.record().fill.as_ref().map_or(0, |fill| fill.staged);
        let (job, total) = (run.job, run.counts.total + staged);
        Ok(Appended::Stored { ready: self.ready(job)?, total })
    }

    /// A lease begins to append: what another one staged is dropped, so nothing is doubled.
    pub(crate) fn fill_under(&mut self, run: RunId, token: Token) -> Done<()> {
        let other = |fill: &Fill| fill.lease != Some(token);
        if self.run(run)?.is_some_and(|run| run.record().fill.as_ref().is_some_and(other)) {
            self.unstage(run)?;
            if let Some(run) = self.run_mut(run)?
                && let Some(fill) = &mut run.record_mut().fill
            {
                fill.lease = Some(token);
            }
        }
        Ok(())
    }

    /// Drops what was staged; what was published page by page stays, with the cursor.
    pub(crate) fn unstage(&mut self, run: RunId) -> Done<()> {
        let Some(run) = self.run_mut(run)? else { return Ok(()) };
        let Some(fill) = &mut run.record_mut().fill else { return Ok(()) };
        match std::mem::take(fill).line {
            Some(line) => self.drop_line(line),
            None => Ok(()),
        }
    }

    /// What the end of an attempt of the fill item means for its run.
    pub(crate) fn filled(&mut self, header: &Header, end: &End) -> Done<()> {
        let Some(id) = header.run() else { return Ok(()) };
        self.unstage(id)?;
        let Some(run) = self.run_mut(id)? else { return Ok(()) };
        match end {
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) => {}
            End::Dead(_) => {
                run.record_mut().query_failed = true;
                run.record_mut().fill = None;
            }
            _ => run.record_mut().fill = None,
        }
        Ok(())
    }
}
