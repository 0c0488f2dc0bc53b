//! What a query found: staged or published page by page, until the fill item is settled.

use jobs_core::{Append, Appended, Body, Header, ledger};

use crate::{
    fault::Done,
    items::Held,
    pieces::{Part, Piece},
    records::{Published, Staged},
    runs::key,
    step::{Step, sql},
};

const LOAD: &str = "SELECT * FROM fill_2($1, $2)";

impl Step {
    pub(crate) async fn append(&mut self, append: &Append) -> Done<Appended> {
        let mut facts = self.load(sql!(LOAD, self.ns, append.token.0.cast_signed())).await?;
        let ready: u64 = facts.one("ready").unwrap_or_default();
        let line: i64 = facts.one("line").unwrap_or_default();
        let answer = match Held::all(&mut facts).0.pop() {
            Some(held) => self.append_held(append, held, ready, line)?,
            // A repeat is answered as the first was, though the lease is settled.
            None => match self.runs.values().next() {
                Some(of) if of.run.was_stored(append) => of.run.stored(ready),
                _ => Appended::Lost,
            },
        };
        self.write().await?;
        Ok(answer)
    }

    fn append_held(&mut self, append: &Append, mut held: Held, ready: u64, line: i64) -> Done<Appended> {
        let Some(id) = held.piece.header.run() else { return Ok(Appended::Lost) };
        let Some(of) = self.runs.get_mut(&id) else { return Ok(Appended::Lost) };
        let dropped = of.run.fill_under(append.token);
        of.changed |= dropped != ledger::FillEnd::Nothing;
        let first = match of.run.judge(append) {
            ledger::Filling::Answered(Some(answer)) => return Ok(answer),
            ledger::Filling::Answered(None) => return Ok(of.run.stored(ready)),
            ledger::Filling::Next(first) => first,
        };
        of.changed = true;
        self.drop_staged(dropped);
        let header = held.piece.header.of_found(&append.item_type, first, self.now);
        let bodies: Vec<&Body> = append.bodies.iter().filter(|body| body.count() > 0).collect();
        let found: u64 = bodies.iter().map(|body| u64::from(body.count())).sum();
        let pieces = self.pieces(&header, &bodies)?;
        if append.page.is_none() {
            self.stage(&held, &pieces, line)?;
        } else {
            pieces.iter().try_for_each(|piece| self.store(held.job, piece))?;
        }
        if append.page.is_some() && !append.last && held.piece.header.begin_anew() {
            // A stored page is progress.
            held.piece.part.own = false;
            let written = held.written()?;
            self.writes.leases.push(written);
        }
        let Some(of) = self.runs.get_mut(&id) else { return Ok(Appended::Lost) };
        let end = of.run.take_in(append, found);
        let total = of.run.counts.total + of.run.record.fill.as_ref().map_or(0, |fill| fill.staged);
        let mut shown = if append.page.is_some() { found } else { 0 };
        match end {
            ledger::FillEnd::Publish(fill) => {
                shown = fill.staged;
                if let Some(line) = fill.place {
                    self.writes.published.push(Published { line, job: held.job, run: key(id) });
                    self.marks.work += 1;
                }
            }
            end => self.drop_staged(end),
        }
        if append.last {
            self.writes.leases_gone.push(append.token.0.cast_signed());
            self.writes.has_ended(held.piece.part.payload, held.piece.part.count);
        }
        Ok(Appended::Stored { ready: ready + shown, total })
    }

    /// New payloads, one after the other.
    pub(crate) fn pieces(&mut self, header: &Header, bodies: &[&Body]) -> Done<Vec<Piece>> {
        let mut header = header.clone();
        let mut pieces = Vec::with_capacity(bodies.len());
        for body in bodies {
            let payload = self.writes.body(&header, body)?;
            let part = Part { own: true, payload, at: 0, count: body.count() };
            pieces.push(Piece { header: header.clone(), part });
            header.start += u64::from(body.count());
        }
        Ok(pieces)
    }

    /// Stores items in the run's hidden queue; `line`: the number that it gets if there is none.
    fn stage(&mut self, held: &Held, pieces: &[Piece], line: i64) -> Done<()> {
        let Some(of) = held.piece.header.run().and_then(|id| self.runs.get_mut(&id)) else { return Ok(()) };
        let run = key(of.run.id);
        let Some(fill) = of.run.record.fill.as_mut().filter(|_| !pieces.is_empty()) else { return Ok(()) };
        let place = *fill.place.get_or_insert_with(|| {
            self.writes.staged.push(Staged { id: line, job: held.job, run });
            line
        });
        pieces.iter().try_for_each(|piece| self.writes.ready_in(place, piece))
    }
}
