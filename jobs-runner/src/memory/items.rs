//! What becomes of items: settled by attempts, given back, dead.

use std::{ops::Range, sync::Arc};

use jobs_core::{
    Body, Chunk, DeadItem, End, Failure, FailureKind, Header, ItemId, Lease, Millis, RunId, SessionId,
    Settle, Settled, Settlement, Stage,
    ledger::{self, Fate, Tally, Turn, fate},
};

use super::{budget::Budget, state::State};

/// An item that the store ended, as a reap reports it.
pub(super) type Killed = (Arc<str>, Option<RunId>, ItemId, Failure);

impl State {
    pub(super) fn settle(&mut self, settle: Settle, now: Millis) -> Settled {
        let Some(session) = self.sessions.get(&settle.session) else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Settled { lost, ..Settled::default() };
        };
        let last = session.lanes.get(&settle.lane);
        match Turn::of(last.map(|(n, _)| *n), settle.n) {
            Turn::Next => {}
            Turn::Repeat => return self.answered_again(settle.session, settle.lane),
            Turn::Late => return Settled::default(),
        }
        let mut answer = Settled::default();
        let mut effects = settle.effects;
        effects.sort_by_key(|(of, _)| *of);
        let mut effects = effects.into_iter().peekable();
        for (index, settlement) in settle.settlements.into_iter().enumerate() {
            let applied = self.settle_one(settle.session, settlement, &mut answer, now);
            while let Some((of, effect)) = effects.next_if(|(of, _)| *of <= index) {
                if applied && of == index {
                    self.effect(effect, now);
                }
            }
        }
        self.promote(now);
        answer.leases = self.grant(settle.session, &settle.want, &mut answer.ended, now);
        answer.next_due = ledger::next_due(&answer.leases, self.next_due(settle.session), now);
        if let Some(session) = self.sessions.get_mut(&settle.session) {
            session.lanes.insert(settle.lane, (settle.n, answer.clone()));
        }
        answer
    }

    /// The last answer of a lane, with those of its leases that are still held.
    fn answered_again(&self, id: SessionId, lane: u32) -> Settled {
        let lane = self.sessions.get(&id).and_then(|session| session.lanes.get(&lane));
        let mut answer = lane.map(|(_, answer)| answer.clone()).unwrap_or_default();
        let held = |lease: Lease| {
            let held = self.leases.get(&lease.token).filter(|held| held.session == id)?;
            // Its job may have another name by now.
            Some(Lease { chunk: held.chunk.clone(), ..lease })
        };
        answer.leases = answer.leases.into_iter().filter_map(held).collect();
        answer
    }

    /// Settles some items of a lease. Returns whether any of them was still to be settled.
    fn settle_one(
        &mut self,
        session: SessionId,
        settlement: Settlement,
        answer: &mut Settled,
        now: Millis,
    ) -> bool {
        let Settlement { token, from, to, end } = settlement;
        let Some(held) = self.leases.get_mut(&token).filter(|held| held.session == session) else {
            if !answer.lost.contains(&token) {
                answer.lost.push(token);
            }
            return false;
        };
        let stretches = held.items.settle(from, to);
        let (chunk, over) = (held.chunk.clone(), held.items.left() == 0);
        let applied = !stretches.is_empty();
        for Range { start, end: stop } in stretches {
            let mut header = Header { start: chunk.header.start + u64::from(start), ..chunk.header.clone() };
            if let (End::Undecodable(message), Some(session)) = (&end, self.sessions.get(&session)) {
                header.not_decoded(&session.state.node.build, message, now);
            }
            let body = || chunk.body.range(start, stop);
            self.end(header, stop - start, body, end.clone(), &mut answer.ended, now);
        }
        if over {
            self.forget(token);
        }
        applied
    }

    /// Makes ready what has waited for its time: as much as one step may.
    fn promote(&mut self, now: Millis) {
        let mut budget = Budget::of_a_step();
        while let Some((_, id)) = self.due.first().filter(|(due, _)| *due <= now).cloned()
            && budget.take()
        {
            let key = self.jobs.get(&id).and_then(|job| job.delayed.first());
            if let Some(chunk) = key.and_then(|key| self.undelay(&id, &key)) {
                self.store(chunk, now);
            }
        }
    }

    /// When the next item of a job that the session links is due.
    fn next_due(&self, session: SessionId) -> Option<Millis> {
        let session = self.sessions.get(&session)?;
        self.due.iter().find(|(_, job)| session.links.contains_key(job)).map(|(due, _)| *due)
    }

    /// Ends an attempt of all items of a chunk, which no lease covers any more.
    pub(super) fn end_all(&mut self, chunk: Chunk, end: End, over: &mut Vec<RunId>, now: Millis) {
        let Chunk { header, body } = chunk;
        self.end(header, body.count(), || body, end, over, now);
    }

    /// Ends an attempt of `n` items, which no lease covers any more. Their payload is looked at only if they go on
    /// or are dead.
    fn end(
        &mut self,
        header: Header,
        n: u32,
        body: impl FnOnce() -> Body,
        end: End,
        over: &mut Vec<RunId>,
        now: Millis,
    ) {
        let run = header.run();
        let cancelled = run.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.state.is_cancelled());
        let (end, fate) = fate(header.clone(), end, cancelled, now);
        if let End::Retry { failure, .. } | End::Dead(failure) = &end
            && header.stage == Stage::Work
        {
            self.failed(&header, n, failure);
        }
        if let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) {
            let mut tally = Tally::default();
            tally.end(&header, n, &end);
            run.state.add(tally);
            if header.stage == Stage::Fill {
                run.fill_ended(&end);
            }
        }
        match fate {
            Fate::Stored { header, .. } => self.store(Chunk { header: *header, body: body() }, now),
            Fate::Dead => self.keep_dead(&Chunk { header, body: body() }, now),
            Fate::Ended { failed_before: true } => self.forget_failures(&header, n),
            Fate::Ended { failed_before: false } => {}
        }
        if let Some(run) = run
            && self.review(run)
            && over.last() != Some(&run)
        {
            over.push(run);
        }
    }

    fn failed(&mut self, header: &Header, n: u32, failure: &Failure) {
        for item in (0..n).map(|index| header.item(index)) {
            let failures = self.job(&header.job).failures.entry(item).or_default();
            if failures.len() == DeadItem::MAX_ATTEMPTS {
                failures.remove(0);
            }
            failures.push(failure.clone());
        }
    }

    fn forget_failures(&mut self, header: &Header, n: u32) {
        let job = self.job(&header.job);
        for index in 0..n {
            job.failures.remove(&header.item(index));
        }
    }

    /// Ends an item that nobody can decode, or that kills its nodes.
    pub(super) fn kill(
        &mut self,
        chunk: Chunk,
        kind: FailureKind,
        message: String,
        node: &str,
        over: &mut Vec<RunId>,
        now: Millis,
    ) -> Killed {
        let failure = Failure::of_store(kind, message, &chunk.header, node, now);
        let reported = (chunk.header.job.clone(), chunk.header.run(), chunk.header.item(0), failure.clone());
        self.end_all(chunk, End::Dead(Box::new(failure)), over, now);
        reported
    }
}
