//! What a query found: staged or published page by page, until the fill item is settled.

use jobs_core::{Append, Appended, Body, End, Header, RunId, Token};

use crate::{
    chunks::place,
    fault::{Done, Fault},
    leases::Held,
    runs::Fill,
    step::{Step, sql},
};

impl Step {
    pub(crate) async fn append(&mut self, append: &Append) -> Done<Appended> {
        let Some((mut held, ready)) = self.held_fill(append.token).await? else {
            return self.appended_before(append).await;
        };
        let Some(id) = held.header.run() else { return Ok(Appended::Lost) };
        self.begin_filling(id, append.token).await?;
        let Some(run) = self.run(id).await?.filter(|run| !run.cancelled) else { return Ok(Appended::Lost) };
        let Some(fill) = run.record.fill.clone() else { return Ok(Appended::Lost) };
        if append.seq > fill.seq {
            return Ok(Appended::OutOfOrder { expected: fill.seq });
        }
        if append.seq < fill.seq {
            return Ok(Appended::Stored { ready, total: run.counts.total + fill.staged });
        }
        let first = run.counts.total + fill.staged;
        let header = held.header.of_found(&append.item_type, first, self.now);
        let bodies: Vec<Body> = append.bodies.iter().filter(|body| body.count() > 0).cloned().collect();
        let found: u64 = bodies.iter().map(|body| u64::from(body.count())).sum();
        match append.page {
            None => self.stage(&held, id, &header, &bodies, found).await?,
            Some(_) if found > 0 => self.store_new(held.job, &header, &bodies).await?,
            Some(_) => {}
        }
        if append.page.is_some() && !append.last && held.header.begin_anew() {
            // A stored page is progress.
            held.part.own = false;
            self.write_leases(held.session, &[&held]).await?;
        }
        let run = self.run_mut(id).await?.ok_or(Fault::Missing("a run that fills"))?;
        if let Some(fill) = &mut run.record.fill {
            fill.seq += 1;
        }
        if let Some(cursor) = &append.page {
            run.cursor.clone_from(cursor);
            run.counts.total += found;
            run.fresh += found;
        }
        if append.last {
            self.end_filling(&held, id, append, &header).await?;
            self.forget(&held).await?;
            self.has_ended(held.part.body, held.part.count);
        }
        let shown = match (&append.page, append.last) {
            (Some(_), _) => found,
            (None, true) => fill.staged + found,
            (None, false) => 0,
        };
        Ok(Appended::Stored { ready: ready + shown, total: first + found })
    }

    /// Stores items in the run's hidden line.
    async fn stage(
        &mut self,
        held: &Held,
        run: RunId,
        header: &Header,
        bodies: &[Body],
        found: u64,
    ) -> Done<()> {
        if bodies.is_empty() {
            return Ok(());
        }
        let staged = self.run(run).await?.and_then(|run| run.record.fill.as_ref()?.line);
        let line = match staged {
            Some(line) => line,
            None => self.new_staged(held.job, run).await?,
        };
        self.insert_bodies(line, header, bodies).await?;
        if let Some(run) = self.run_mut(run).await?
            && let Some(fill) = &mut run.record.fill
        {
            fill.line = Some(line);
            fill.staged += found;
        }
        Ok(())
    }

    /// Publishes what was staged: one row says so, whatever there is.
    async fn end_filling(&mut self, held: &Held, id: RunId, append: &Append, header: &Header) -> Done<()> {
        let Some(run) = self.run_mut(id).await? else { return Ok(()) };
        run.filled = Some(append.token);
        run.record.last_append = append.seq;
        let Some(Fill { line, staged, .. }) = run.record.fill.take() else { return Ok(()) };
        run.counts.total += staged;
        run.fresh += staged;
        match line {
            Some(line) if staged > 0 => self.publish(line, held.job, id, place(header)).await,
            Some(line) => self.drop_line(line).await,
            None => Ok(()),
        }
    }

    /// The answer to an append under a lease that is no more: a repeat is answered as the first was.
    async fn appended_before(&mut self, append: &Append) -> Done<Appended> {
        let sql = "SELECT id FROM run WHERE filled = $1 AND ns = $2";
        let Some(row) = self.one(sql!(sql, append.token.0.cast_signed(), self.ns)).await? else {
            return Ok(Appended::Lost);
        };
        let id = crate::runs::run_id(&row)?;
        match self.run(id).await?.filter(|run| append.seq <= run.record.last_append) {
            Some(_) => self.appended(id).await,
            None => Ok(Appended::Lost),
        }
    }

    async fn appended(&mut self, id: RunId) -> Done<Appended> {
        let Some(run) = self.run(id).await? else { return Ok(Appended::Lost) };
        let staged = run.record.fill.as_ref().map_or(0, |fill| fill.staged);
        let (job, total) = (run.job, run.counts.total + staged);
        Ok(Appended::Stored { ready: self.ready(job).await?, total })
    }

    /// A lease begins to append: what another one staged is dropped, so nothing is doubled. Gives where a query that is
    /// called page by page goes on.
    pub(crate) async fn begin_filling(&mut self, run: RunId, token: Token) -> Done<Option<Vec<u8>>> {
        let Some(of_run) = self.run(run).await? else { return Ok(None) };
        let cursor = of_run.cursor.clone();
        if of_run.record.fill.as_ref().is_some_and(|fill| fill.lease != Some(token)) {
            self.unstage(run).await?;
            if let Some(run) = self.run_mut(run).await?
                && let Some(fill) = &mut run.record.fill
            {
                fill.lease = Some(token);
            }
        }
        Ok(cursor)
    }

    /// Drops what was staged; what was published page by page stays, with the cursor.
    pub(crate) async fn unstage(&mut self, run: RunId) -> Done<()> {
        let Some(run) = self.run_mut(run).await? else { return Ok(()) };
        let Some(fill) = &mut run.record.fill else { return Ok(()) };
        match std::mem::take(fill).line {
            Some(line) => self.drop_line(line).await,
            None => Ok(()),
        }
    }

    /// What the end of an attempt of the fill item means for its run.
    pub(crate) async fn filled(&mut self, header: &Header, end: &End) -> Done<()> {
        let Some(id) = header.run() else { return Ok(()) };
        self.unstage(id).await?;
        // Whether that is the end of the run is seen with all that was counted of it.
        let Some(run) = self.folded(id).await? else { return Ok(()) };
        match end {
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) => {}
            End::Dead(_) => {
                run.record.query_failed = true;
                run.record.fill = None;
            }
            _ => run.record.fill = None,
        }
        Ok(())
    }
}
