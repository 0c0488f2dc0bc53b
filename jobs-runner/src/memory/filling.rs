//! What a query found: staged or published page by page, until the fill item is settled.

use jobs_core::{Append, Appended, Chunk, End, Header, Millis, RunId, Stage};

use super::{queue::Line, run::Fill, state::State};

impl State {
    pub(super) fn append(&mut self, append: Append, now: Millis) -> Appended {
        let Some(held) = self.leases.get(&append.token) else { return self.appended_last(&append) };
        let header = held.chunk.header.clone();
        let run = header.run().and_then(|run| self.runs.get_mut(&run)).filter(|run| !run.cancelled);
        let (Some(run), Stage::Fill) = (run, header.stage) else { return Appended::Lost };
        let Some(fill) = &mut run.fill else { return Appended::Lost };
        fill.under(append.token);
        if append.seq > fill.seq {
            return Appended::OutOfOrder { expected: fill.seq };
        }
        if append.seq < fill.seq {
            let id = run.id;
            return self.appended(id);
        }
        fill.seq += 1;

        let first = run.counts.total + fill.staged_items;
        let mut start = first;
        let chunks = append.bodies.into_iter().filter(|body| body.count() > 0).map(|body| {
            let chunk = Chunk { header: header.of_found(&append.item_type, start, now), body };
            start += u64::from(chunk.count());
            chunk
        });
        let staged = append.page.is_none();
        let published = if staged {
            fill.staged.extend(chunks);
            if append.last { std::mem::take(&mut fill.staged) } else { Default::default() }
        } else {
            chunks.collect()
        };
        fill.staged_items = if append.last || !staged { 0 } else { start - run.counts.total };
        if let Some(cursor) = append.page {
            fill.cursor = cursor;
            if let Some(held) = self.leases.get_mut(&append.token) {
                held.chunk.header.begin_anew();
            }
        }
        if append.last || !staged {
            run.counts.total = start;
            let found: u64 = published.iter().map(|chunk: &Chunk| u64::from(chunk.count())).sum();
            run.fresh += found;
        }
        if append.last {
            run.fill = None;
            run.filled = Some((append.token, append.seq));
        }
        let id = run.id;
        if !published.is_empty() {
            self.marks.work += 1;
            self.job(&header.job).queues.entry(Line::Work).or_default().publish(published);
            self.stand(&header.job, &Line::Work);
        }
        let answer = self.appended(id);
        if append.last {
            self.filled.insert(append.token, id);
            self.forget(append.token);
            self.review(id);
        }
        answer
    }

    /// The answer to an append under a lease that is no more: a repeat is answered as the first was.
    fn appended_last(&self, append: &Append) -> Appended {
        let run = self.filled.get(&append.token).and_then(|run| self.runs.get(run));
        match run.filter(|run| run.filled.is_some_and(|(_, last)| append.seq <= last)) {
            Some(run) => self.appended(run.id),
            None => Appended::Lost,
        }
    }

    fn appended(&self, run: RunId) -> Appended {
        let Some(run) = self.runs.get(&run) else { return Appended::Lost };
        let ready = self.jobs.get(&run.job).map_or(0, super::job::Job::ready);
        let staged = run.fill.as_ref().map_or(0, |fill| fill.staged_items);
        Appended::Stored { ready, total: run.counts.total + staged }
    }

    /// What the end of an attempt of the fill item means for its run.
    pub(super) fn filled(&mut self, header: &Header, end: &End) {
        let Some(run) = header.run().and_then(|run| self.runs.get_mut(&run)) else { return };
        match end {
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) => {
                // What was staged is dropped; what was published page by page stays, with the cursor.
                if let Some(fill) = &mut run.fill {
                    let cursor = fill.cursor.take();
                    *fill = Fill { cursor, ..Fill::default() };
                }
            }
            End::Dead(_) => {
                run.query_failed = true;
                run.fill = None;
            }
            _ => run.fill = None,
        }
    }
}
