//! Leasing: which ready items a session gets.

use std::{ops::Bound, sync::Arc};

use jobs_core::{
    Chunk, End, Lease, Millis, RunId, SessionId, Stage, Token, Want,
    ledger::{InFlight, Pauses, Room, share},
};

use super::{
    budget::Budget,
    lease::Held,
    state::{Head, State},
};

impl State {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie. What is
    /// met of cancelled runs ends.
    pub(super) fn grant(
        &mut self,
        session: SessionId,
        want: &Want,
        over: &mut Vec<RunId>,
        now: Millis,
    ) -> Vec<Lease> {
        // What it held would not be counted: it has to be renewed first.
        if !self.sessions.get(&session).is_some_and(|session| session.is_alive(now)) {
            return Vec::new();
        }
        let mut granting = Granting { room: Room::new(want), pauses: self.pauses(now) };
        let (mut budget, mut leases) = (Budget::of_a_step(), Vec::new());
        let mut from: Option<Head> = None;
        while granting.room.is_open() {
            let after = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let Some(head) = self.heads.range((after, Bound::Unbounded)).next().cloned() else { break };
            if self.is_cancelled(&head) {
                if !budget.take() {
                    break;
                }
                self.end_first(&head, over, now);
                continue;
            }
            match self.grant_from(&head, session, None, &mut granting, now) {
                Some(lease) => leases.push(lease),
                // Nothing of this queue for this session now; what follows it may still be had.
                None => from = Some(head),
            }
        }
        leases
    }

    /// Whether the first chunk of a queue is of a run that was cancelled.
    fn is_cancelled(&self, head: &Head) -> bool {
        let first = self.jobs.get(&head.job).and_then(|job| job.queues.get(&head.key)?.first());
        first.and_then(|chunk| chunk.header.run()).is_some_and(|run| self.cancelling.contains(&run))
    }

    /// Ends the first chunk of a queue as cancelled.
    fn end_first(&mut self, head: &Head, over: &mut Vec<RunId>, now: Millis) {
        let queue = self.jobs.get_mut(&head.job).and_then(|job| job.queues.get_mut(&head.key));
        let chunk = queue.and_then(|queue| queue.take(u32::MAX));
        self.stand(&head.job, &head.key);
        if let Some(chunk) = chunk {
            self.end_all(chunk, End::Cancelled, over, now);
        }
    }

    /// Leases the first item of a run that was just made, if there is room and nothing of the job is before it.
    pub(super) fn grant_first(
        &mut self,
        job: &Arc<str>,
        run: RunId,
        session: SessionId,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Option<Lease> {
        self.sessions.get(&session).filter(|session| session.is_alive(now))?;
        let heads: Vec<Head> = self.jobs.get(job)?.heads.values().cloned().collect();
        heads.iter().find_map(|head| self.grant_from(head, session, Some(run), granting, now))
    }

    /// Leases from the front of a queue: all that may be had of its first chunk. With `only`, of that run.
    fn grant_from(
        &mut self,
        head: &Head,
        session: SessionId,
        only: Option<RunId>,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Option<Lease> {
        let holder = self.sessions.get(&session)?;
        let link = holder.links.get(&head.job)?;
        if head.key.excludes(&holder.state.node.build) || granting.pauses.of(&head.job, now).is_some() {
            return None;
        }
        let first = self.jobs.get(&head.job)?.queues.get(&head.key)?.first()?;
        if only.is_some() && first.header.run() != only {
            return None;
        }
        let place = jobs_core::ledger::Head::of(&first.header, first.count());
        if place.suspect && holder.leases.iter().any(|token| self.holds_suspect(*token)) {
            return None;
        }
        let in_flight =
            if place.is_limited(link) { self.in_flight(&head.job, now) } else { InFlight::default() };
        let n = share(&mut granting.room, link, &place, in_flight);
        if n == 0 {
            return None;
        }
        granting.room.take(link, place.stage, n);
        let chunk = self.jobs.get_mut(&head.job)?.queues.get_mut(&head.key)?.take(n)?;
        self.stand(&head.job, &head.key);
        self.end_turn(&head.job, head.rank);
        Some(self.lease(session, chunk, now))
    }

    fn holds_suspect(&self, token: Token) -> bool {
        self.leases.get(&token).is_some_and(|held| held.chunk.header.suspect)
    }

    fn lease(&mut self, session: SessionId, chunk: Chunk, now: Millis) -> Lease {
        let token = self.number(now);
        let mut cursor = None;
        if let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) {
            run.state.record.begun = true;
            if chunk.header.stage == Stage::Fill {
                run.fill_under(token);
                cursor.clone_from(&run.state.cursor);
            }
        }
        if let Some(job) = self.jobs.get_mut(&chunk.header.job) {
            job.leases.insert(token);
        }
        if let Some(holder) = self.sessions.get_mut(&session) {
            holder.leases.insert(token);
        }
        self.leases.insert(token, Held::new(session, chunk.clone(), now));
        Lease { token, chunk, cursor }
    }
}

/// The room of a session in one call, and what is paused in it.
pub(super) struct Granting<'a> {
    pub(super) room: Room<'a>,
    pub(super) pauses: Pauses,
}
