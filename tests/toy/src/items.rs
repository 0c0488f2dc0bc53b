//! How items end.

use std::sync::Arc;

use jobs_core::{
    Chunk, Effect, End, Failure, FailureKind, Header, Millis, Reaped, RunId, SessionId, Settle, Settled,
    Settlement,
    ledger::{self, Fate, FillEnd, Tally, Turn, fate},
};

use crate::state::{Run, State};

impl State {
    pub(crate) fn settle(&mut self, settle: Settle, now: Millis) -> Settled {
        let Some(session) = self.sessions.get(&settle.session) else {
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Settled { lost, ..Settled::default() };
        };
        match (session.lanes.get(&settle.lane), settle.n) {
            (Some((last, answer)), n) if Turn::of(Some(*last), n) == Turn::Repeat => {
                let mut answer = answer.clone();
                answer.leases.retain(|lease| self.leases.contains_key(&lease.token));
                return answer;
            }
            (last, n) if Turn::of(last.map(|(last, _)| *last), n) == Turn::Late => return Settled::default(),
            _ => {}
        }
        let mut answer = Settled::default();
        for (index, settlement) in settle.settlements.into_iter().enumerate() {
            if self.settle_one(settle.session, settlement, &mut answer, now) {
                for (_, Effect::PutCell { name, put }) in settle.effects.iter().filter(|(of, _)| *of == index)
                {
                    self.put(name, put.clone(), now);
                }
            }
        }
        // What is due waits no longer.
        for chunk in self.waiting.iter_mut().filter(|chunk| chunk.header.due <= now) {
            chunk.header.waits_since = None;
        }
        answer.leases = self.grant(settle.session, &settle.want, now);
        answer.next_due = ledger::next_due(&answer.leases, self.next_due(settle.session), now);
        if let Some(session) = self.sessions.get_mut(&settle.session) {
            session.lanes.insert(settle.lane, (settle.n, answer.clone()));
        }
        answer
    }

    fn next_due(&self, session: SessionId) -> Option<Millis> {
        let session = self.sessions.get(&session)?;
        let waits = self.waiting.iter().filter(|chunk| chunk.header.waits_since.is_some());
        waits.filter(|chunk| session.link(&chunk.header.job).is_some()).map(|chunk| chunk.header.due).min()
    }

    /// Settles some items of a lease. Returns whether any of them was still to be settled.
    fn settle_one(&mut self, session: SessionId, one: Settlement, answer: &mut Settled, now: Millis) -> bool {
        let Settlement { token, from, to, end } = one;
        let Some(held) = self.leases.get_mut(&token).filter(|held| held.session == session) else {
            answer.lost.push(token);
            return false;
        };
        let stretches = held.open.settle(from, to);
        let (chunk, over) = (held.chunk.clone(), held.open.left() == 0);
        if over {
            self.leases.remove(&token);
        }
        for range in &stretches {
            let mut part = chunk.range(range.start, range.end);
            if let (End::Undecodable(message), Some(session)) = (&end, self.sessions.get(&session)) {
                part.header.not_decoded(&session.state.node.build, message, now);
            }
            self.end(part, end.clone(), &mut answer.ended, now);
        }
        !stretches.is_empty()
    }

    /// Ends an attempt of items that no lease covers any more.
    pub(crate) fn end(&mut self, chunk: Chunk, end: End, over: &mut Vec<RunId>, now: Millis) {
        let Chunk { header, body } = chunk;
        let (n, id) = (body.count(), header.run());
        let run = id.and_then(|run| self.runs.get_mut(&run));
        let cancelled = run.as_ref().is_some_and(|run| run.state.is_cancelled());
        let (end, fate) = fate(header.clone(), end, cancelled, now);
        if let Some(run) = run {
            let mut tally = Tally::default();
            tally.end(&header, n, &end);
            run.state.add(tally);
            if header.stage == jobs_core::Stage::Fill {
                let filled = run.state.fill_ended(&end);
                run.finish_staged(filled);
            }
            if run.state.has_ended() {
                over.extend(id);
            }
        }
        if let (End::Retry { failure, .. } | End::Dead(failure), jobs_core::Stage::Work) =
            (&end, header.stage)
        {
            (0..n).for_each(|index| self.failed(header.item(index), failure));
        }
        match fate {
            Fate::Stored { header, .. } => self.waiting.push(Chunk { header: *header, body }),
            Fate::Dead => self.keep_dead(&Chunk { header, body }, now),
            Fate::Ended { failed_before: true } => (0..n).for_each(|index| {
                self.failures.remove(&header.item(index));
            }),
            Fate::Ended { failed_before: false } => {}
        }
    }

    /// Ends an item that nobody can decode, or that kills its nodes.
    pub(crate) fn kill(
        &mut self,
        chunk: Chunk,
        kind: FailureKind,
        message: String,
        node: &str,
        reaped: &mut Reaped,
        now: Millis,
    ) {
        let header: &Header = &chunk.header;
        let failure = Failure::of_store(kind, message, header, node, now);
        let (job, run, item): (Arc<str>, _, _) = (header.job.clone(), header.run(), header.item(0));
        reaped.dead.push((job, run, item, failure.clone()));
        self.end(chunk, End::Dead(Box::new(failure)), &mut reaped.ended, now);
    }
}

impl Run {
    /// What becomes of what is staged. Returns what is to be shown.
    pub(crate) fn finish_staged(&mut self, end: FillEnd) -> Vec<Chunk> {
        match end {
            FillEnd::Nothing => Vec::new(),
            FillEnd::Drop(_) => {
                self.staged.clear();
                Vec::new()
            }
            FillEnd::Publish(_) => std::mem::take(&mut self.staged),
        }
    }
}
