//! Runs: made, filled, completed, cancelled, removed; and dead items.

use std::sync::Arc;

use jobs_core::{
    Append, Appended, Body, Cancellation, Cause, Chunk, Complete, Completion, End, Fire, Firing, Header,
    ItemId, Lease, Link, Millis, Pass, Passing, Pruned, PutCell, Requeue, Requeued, RunId, SessionId, Stage,
    Trigger,
    ledger::{self, Decision, Filling, Known, Made, REPEATED, Room, decide, discard_cell, is_live, over},
    requeued_chunks,
};

use crate::state::{Run, State};

impl State {
    pub(crate) fn fire(
        &mut self,
        session: Option<SessionId>,
        fire: &Fire,
        room: &mut Room<'_>,
        now: Millis,
    ) -> Firing {
        let (schedule, request) = match &fire.cause {
            Cause::Tick { schedule, .. } => (Some(schedule), None),
            Cause::Manual { request, .. } => (None, Some(*request)),
        };
        let busy = self.runs.iter().find(|(_, run)| run.job == fire.job && run.state.is_busy());
        let mut known = Known {
            requested: request.and_then(|request| self.requested(request)),
            paused: self.pauses(now).of(&fire.job, now),
            busy: busy.map(|(id, _)| *id),
            schedule: schedule.and_then(|schedule| self.cursors.get_mut(schedule)),
        };
        match decide(fire, &mut known, session, now) {
            Decision::Again(run) => return Firing::Fired { run, lease: self.first_lease(run, session) },
            Decision::Refused(firing, verdicts) => {
                if let Some(schedule) = schedule {
                    self.record(schedule, verdicts);
                }
                return firing;
            }
            Decision::Makes => {}
        }
        let run = RunId::new(self.number(now).0);
        let cursor = schedule.and_then(|schedule| self.cursors.get_mut(schedule));
        let Made { run: state, first, request, verdicts } = Made::by(fire, run, cursor, session, now);
        if let Some(schedule) = schedule {
            self.record(schedule, verdicts);
        }
        self.links.entry(fire.job.clone()).or_insert_with(|| Link::new(fire.job.clone()));
        self.runs.insert(run, Run { job: fire.job.clone(), request, state, staged: Vec::new() });
        self.waiting.push(Chunk { header: first, body: Body::unit() });
        let lease = session.and_then(|session| self.grant_first(run, session, room, now));
        if let (Some(made), Some(session), Some(lease)) = (self.runs.get_mut(&run), session, &lease) {
            made.state.record.first = Some((session, lease.token));
        }
        Firing::Fired { run, lease }
    }

    fn requested(&self, request: u64) -> Option<RunId> {
        self.runs.iter().find(|(_, run)| run.request == Some(request)).map(|(id, _)| *id)
    }

    /// The lease that came with the answer to a fire.
    fn first_lease(&self, run: RunId, session: Option<SessionId>) -> Option<Lease> {
        let state = &self.runs.get(&run)?.state;
        let (_, token) = state.record.first.filter(|(by, _)| Some(*by) == session)?;
        let chunk = self.leases.get(&token)?.chunk.clone();
        Some(Lease { token, chunk, cursor: state.cursor.clone() })
    }

    pub(crate) fn pass(&mut self, pass: Pass, now: Millis) -> Passing {
        let passing = ledger::pass(&pass, self.cursors.get_mut(&pass.schedule), now);
        if passing == Passing::Passed {
            self.record(&pass.schedule, pass.passed);
        }
        passing
    }

    pub(crate) fn append(&mut self, append: &Append, now: Millis) -> Appended {
        let Some(held) = self.leases.get(&append.token) else {
            let run = self.runs.values().find(|run| run.state.was_stored(append));
            return run.map_or(Appended::Lost, |run| self.appended(run));
        };
        let header = held.chunk.header.clone();
        let Some(run) = header.run().filter(|_| header.stage == Stage::Fill) else { return Appended::Lost };
        let Some(filling) = self.runs.get_mut(&run) else { return Appended::Lost };
        match filling.state.judge(append) {
            Filling::Answered(Some(answer)) => return answer,
            Filling::Answered(None) => {}
            Filling::Next(first) => {
                let mut start = first;
                for body in append.bodies.iter().filter(|body| body.count() > 0).cloned() {
                    let header = header.of_found(&append.item_type, start, now);
                    start += u64::from(body.count());
                    filling.staged.push(Chunk { header, body });
                }
                let end = filling.state.take_in(append, start - first);
                let paged = append.page.is_some().then(|| std::mem::take(&mut filling.staged));
                let shown = paged.unwrap_or_else(|| filling.finish_staged(end));
                self.waiting.extend(shown);
                if append.last {
                    self.leases.remove(&append.token);
                } else if let (Some(held), true) = (self.leases.get_mut(&append.token), append.page.is_some())
                {
                    held.chunk.header.begin_anew();
                }
            }
        }
        self.runs.get(&run).map_or(Appended::Lost, |run| self.appended(run))
    }

    fn appended(&self, run: &Run) -> Appended {
        let of_job = self.waiting.iter().filter(|chunk| chunk.header.job == run.job);
        let ready = of_job.filter(|chunk| chunk.header.waits_since.is_none());
        run.state.stored(ready.map(|chunk| u64::from(chunk.count())).sum())
    }

    pub(crate) fn complete(&mut self, Complete { run: id, finish }: Complete, now: Millis) -> Completion {
        let Some(run) = self.runs.get_mut(&id) else { return Completion::Unknown };
        if run.state.record.over.is_some() {
            return Completion::Already(Box::new(run.state.report(&run.job)));
        }
        if !run.state.has_ended() {
            return Completion::Open;
        }
        run.state.end(now);
        self.ended.push(id);
        let report = run.state.report(&run.job);
        if let (true, Ok(body)) = (finish, Body::one(&report)) {
            let priority = self.links.get(&run.job).map_or(0, |link| link.priority);
            let header = Header::of_finish(&report, &run.job, priority, now);
            self.waiting.push(Chunk { header, body });
        }
        Completion::Completed(Box::new(report))
    }

    pub(crate) fn cancel(&mut self, id: RunId, now: Millis) -> Cancellation {
        let Some(run) = self.runs.get_mut(&id) else { return Cancellation::Unknown };
        if run.state.record.over.is_some() || run.state.has_ended() {
            return Cancellation::Over;
        }
        run.state.record.cancelled = true;
        let dropped = run.state.drop_staged();
        run.finish_staged(dropped);
        let (of_run, left) =
            std::mem::take(&mut self.waiting).into_iter().partition(|chunk| chunk.header.run() == Some(id));
        self.waiting = left;
        for chunk in of_run {
            self.end(chunk, End::Cancelled, &mut Vec::new(), now);
        }
        Cancellation::Cancelled { more: false }
    }

    pub(crate) fn requeue(&mut self, requeue: Requeue, now: Millis) -> Option<Requeued> {
        if let Some(run) = self.requested(requeue.request) {
            return Some(Requeued { run, items: self.runs.get(&run)?.state.counts.total });
        }
        let named =
            |chunk: &Chunk| chunk.header.job == requeue.job && requeue.items.contains(&chunk.header.item(0));
        let (again, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.dead).into_iter().partition(|(chunk, ..)| named(chunk));
        self.dead = left;
        if again.is_empty() {
            return None;
        }
        let (run, items) = (RunId::new(self.number(now).0), again.len() as u64);
        let items_of =
            again.iter().flat_map(|(chunk, ..)| chunk.body.items().map(|item| (&chunk.header, item)));
        self.waiting.extend(requeued_chunks(items_of, run, &requeue.job, now));
        let mut state = ledger::Run::new(run, Trigger::Requeued, now, items);
        state.record.note = requeue.note;
        let (job, request) = (requeue.job, Some(requeue.request));
        self.runs.insert(run, Run { job, request, state, staged: Vec::new() });
        Some(Requeued { run, items })
    }

    pub(crate) fn discard(&mut self, request: u64, items: &[ItemId], now: Millis) -> u64 {
        let name = discard_cell(request);
        if let Some(count) = self.get(&name, now).and_then(|cell| cell.value.as_u64()) {
            return count;
        }
        let before = self.dead.len();
        self.dead.retain(|(chunk, ..)| !items.contains(&chunk.header.item(0)));
        let count = (before - self.dead.len()) as u64;
        self.put(&name, PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None }, now);
        count
    }

    /// Removes all that is past what its job keeps.
    pub(crate) fn prune(&mut self, now: Millis) -> Pruned {
        let size = |state: &Self| {
            let ticks: usize = state.ticks.values().map(Vec::len).sum();
            state.cells.len() + ticks + state.runs.len() + state.dead.len()
        };
        let before = size(self);
        self.cells.retain(|_, cell| is_live(cell, now));
        let links = self.links.clone();
        for Link { job, keep_runs, keep_ticks, keep_dead, .. } in links.values() {
            // Those that ended first go first.
            let is_of_job = |id: &&RunId| self.runs.get(id).is_some_and(|run| run.job == *job);
            let ended: Vec<RunId> = self.ended.iter().filter(is_of_job).copied().collect();
            for run in ended.iter().take(over(ended.len() as u64, *keep_runs)) {
                self.runs.remove(run);
            }
            let ticks: &mut Vec<_> = self.ticks.entry(Arc::clone(job)).or_default();
            ticks.drain(..over(ticks.len() as u64, *keep_ticks));
            self.dead.retain(|(chunk, _, at)| chunk.header.job != *job || now.since(*at) <= *keep_dead);
        }
        Pruned { removed: before - size(self), more: false }
    }
}
