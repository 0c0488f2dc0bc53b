//! What a query found: staged or published page by page, until the fill item is settled.

use std::collections::VecDeque;

use jobs_core::{
    Append, Appended, Chunk, End, Millis, RunId, Stage, Token,
    ledger::{FillEnd, Filling, QueueKey, QueueKind},
};

use super::{run::Run, state::State};

impl Run {
    /// Begins to fill under a lease: what another lease staged is dropped.
    pub(super) fn fill_under(&mut self, token: Token) {
        let end = self.state.fill_under(token);
        self.finish_staged(end);
    }

    /// The end of an attempt of its fill item.
    pub(super) fn fill_ended(&mut self, end: &End) {
        let end = self.state.fill_ended(end);
        self.finish_staged(end);
    }

    /// Drops what is staged, because the run is cancelled.
    pub(super) fn drop_staged(&mut self) {
        let end = self.state.drop_staged();
        self.finish_staged(end);
    }

    /// What becomes of what is staged; returns what is to be shown.
    fn finish_staged(&mut self, end: FillEnd) -> VecDeque<Chunk> {
        match end {
            FillEnd::Nothing => VecDeque::new(),
            FillEnd::Drop(_) => {
                self.staged.clear();
                VecDeque::new()
            }
            FillEnd::Publish(_) => std::mem::take(&mut self.staged),
        }
    }
}

impl State {
    pub(super) fn append(&mut self, append: Append, now: Millis) -> Appended {
        let Some(held) = self.leases.get(&append.token) else { return self.appended_last(&append) };
        let header = held.chunk.header.clone();
        let run = header.run().and_then(|run| self.runs.get_mut(&run));
        let (Some(run), Stage::Fill) = (run, header.stage) else { return Appended::Lost };
        let id = run.state.id;
        run.fill_under(append.token);
        let first = match run.state.judge(&append) {
            Filling::Next(first) => first,
            Filling::Answered(Some(answer)) => return answer,
            Filling::Answered(None) => return self.appended(id),
        };
        let mut start = first;
        let bodies = append.bodies.iter().filter(|body| body.count() > 0).cloned();
        let chunks: VecDeque<Chunk> = bodies
            .map(|body| {
                let chunk = Chunk { header: header.of_found(&append.item_type, start, now), body };
                start += u64::from(chunk.count());
                chunk
            })
            .collect();
        let end = run.state.take_in(&append, start - first);
        let shown = if append.page.is_some() {
            chunks
        } else {
            run.staged.extend(chunks);
            run.finish_staged(end)
        };
        if append.page.is_some()
            && let Some(held) = self.leases.get_mut(&append.token)
        {
            // A stored page is progress.
            held.chunk.header.begin_anew();
        }
        if !shown.is_empty() {
            self.marks.work += 1;
            let key = QueueKey { kind: QueueKind::Work, run: 0, builds: String::new() };
            self.job(&header.job).queues.entry(key.clone()).or_default().publish(shown);
            self.stand(&header.job, &key);
        }
        let answer = self.appended(id);
        if append.last {
            self.filled.insert(append.token, id);
            self.forget(append.token);
            self.review(id);
        }
        answer
    }

    /// The answer to an append under a lease that has ended: a repeat is answered as the first was.
    fn appended_last(&self, append: &Append) -> Appended {
        let run = self.filled.get(&append.token).and_then(|run| self.runs.get(run));
        match run.filter(|run| run.state.was_stored(append)) {
            Some(run) => self.appended(run.state.id),
            None => Appended::Lost,
        }
    }

    fn appended(&self, run: RunId) -> Appended {
        let Some(run) = self.runs.get(&run) else { return Appended::Lost };
        run.state.stored(self.jobs.get(&run.job).map_or(0, super::job::Job::ready))
    }
}
