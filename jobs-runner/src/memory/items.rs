//! What becomes of items: settled by attempts, given back, dead.

use std::{ops::Range, sync::Arc};

use jobs_core::{
    Body, Chunk, DeadItem, End, ErrorGroup, Failure, FailureKind, Header, ItemId, Lease, Millis, RunId,
    SessionId, Settle, Settled, Stage, count,
};

use super::state::State;

impl State {
    pub(super) fn settle(&mut self, settle: Settle, now: Millis) -> Settled {
        let Some(session) = self.sessions.get(&settle.session) else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|s| s.token).collect();
            return Settled { lost, ..Settled::default() };
        };
        if let Some((n, answer)) = session.lanes.get(&settle.lane).filter(|(n, _)| *n >= settle.n) {
            let mut answer = if *n == settle.n { answer.clone() } else { Settled::default() };
            let held =
                |lease: &Lease| self.leases.get(&lease.token).is_some_and(|h| h.session == settle.session);
            answer.leases.retain(held);
            return answer;
        }
        let build = session.node.build.clone();
        let mut answer = Settled::default();
        let mut effects = settle.effects;
        effects.sort_by_key(|(of, _)| *of);
        let mut effects = effects.into_iter().peekable();
        for (index, settlement) in settle.settlements.into_iter().enumerate() {
            let token = settlement.token;
            let held = self.leases.get_mut(&token).filter(|held| held.session == settle.session);
            let Some(held) = held else {
                if !answer.lost.contains(&token) {
                    answer.lost.push(token);
                }
                continue;
            };
            let stretches = held.settle(settlement.from, settlement.to);
            let (chunk, over) = (held.chunk.clone(), held.open() == 0);
            let applied = !stretches.is_empty();
            for Range { start, end } in stretches {
                let mut header =
                    Header { start: chunk.header.start + u64::from(start), ..chunk.header.clone() };
                if let End::Undecodable(message) = &settlement.end {
                    header.not_decoded(&build, message, now);
                }
                let body = || chunk.body.range(start, end);
                self.end(header, end - start, body, settlement.end.clone(), &mut answer.ended, now);
            }
            if over {
                self.forget(token);
            }
            while let Some((of, effect)) = effects.next_if(|(of, _)| *of <= index) {
                if applied && of == index {
                    self.effect(effect, now);
                }
            }
        }
        self.promote(now);
        answer.leases = self.grant(settle.session, &settle.want, now);
        answer.next_due = self.next_due(settle.session);
        if let Some(session) = self.sessions.get_mut(&settle.session) {
            session.lanes.insert(settle.lane, (settle.n, answer.clone()));
        }
        answer
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
        let cancelled = run.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.cancelled);
        let end = match end {
            // Nothing of a cancelled run is tried again.
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) if cancelled => {
                End::Cancelled
            }
            end => end,
        };
        if let End::Retry { failure, .. } | End::Dead(failure) = &end {
            self.failed(&header, n, failure);
        }
        match header.stage {
            Stage::Work => {
                if let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) {
                    count(&mut run.counts, &mut run.fresh, &header, u64::from(n), &end);
                }
            }
            Stage::Fill => self.filled(&header, &end),
            Stage::Finish => {}
        }
        let settled =
            |header: Header, due| Header { due, fresh: false, suspect: false, undecodable: None, ..header };
        match end {
            End::Retry { at, .. } => {
                let header = Header { attempt: header.attempt + 1, ..settled(header, at) };
                self.store(Chunk { header, body: body() }, now);
            }
            End::Snooze { at } => self.store(Chunk { header: settled(header, at), body: body() }, now),
            End::Back | End::Undecodable(_) => self.store(Chunk { header, body: body() }, now),
            End::Dead(_) if header.stage == Stage::Work => self.bury(&Chunk { header, body: body() }, now),
            _ if header.attempt > 0 || header.crashes > 0 => self.forget_failures(&header, n),
            _ => {}
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
            if let Some(run) = header.run().and_then(|run| self.runs.get_mut(&run)) {
                ErrorGroup::count_in(&mut run.errors, item, failure);
            }
            if header.stage == Stage::Work {
                let failures = self.job(&header.job).failures.entry(item).or_default();
                if failures.len() == DeadItem::MAX_ATTEMPTS {
                    failures.remove(0);
                }
                failures.push(failure.clone());
            }
        }
    }

    fn forget_failures(&mut self, header: &Header, n: u32) {
        let job = self.job(&header.job);
        for index in 0..n {
            job.failures.remove(&header.item(index));
        }
    }

    /// Kills an item that nobody can decode, or that kills its nodes.
    pub(super) fn kill(
        &mut self,
        chunk: Chunk,
        kind: FailureKind,
        message: String,
        node: &str,
        over: &mut Vec<RunId>,
        now: Millis,
    ) -> (Arc<str>, Option<RunId>, ItemId, Failure) {
        let mut failure = Failure::new(kind, message, now.timestamp());
        failure.attempt = chunk.header.attempt + 1;
        failure.node = node.to_owned();
        let told = (chunk.header.job.clone(), chunk.header.run(), chunk.header.item(0), failure.clone());
        self.end_all(chunk, End::Dead(Box::new(failure)), over, now);
        told
    }
}
