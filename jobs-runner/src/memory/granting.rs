//! Leasing: which ready items a session gets.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use jobs_core::{Chunk, Header, Lease, Link, Millis, Room, RunId, SessionId, Stage, Token, Want};

use super::{
    lease::Held,
    queue::Line,
    state::{Head, State},
};

impl State {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
    pub(super) fn grant(&mut self, session: SessionId, want: &Want, now: Millis) -> Vec<Lease> {
        // What it held would not be counted: it has to be renewed first.
        if !self.sessions.get(&session).is_some_and(|session| session.is_alive(now)) {
            return Vec::new();
        }
        let mut granting = Granting::new(want);
        let mut leases = Vec::new();
        let mut from: Option<Head> = None;
        while granting.room.is_open() {
            let after = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let Some(head) = self.heads.range((after, Bound::Unbounded)).next().cloned() else { break };
            match self.grant_from(&head, session, None, &mut granting, now) {
                Some(lease) => leases.push(lease),
                // Nothing of this queue for this session now; what follows it may still be had.
                None => from = Some(head),
            }
        }
        leases
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
        if head.line.excludes(&holder.node.build) || granting.is_paused(self, &head.job, now) {
            return None;
        }
        let first = self.jobs.get(&head.job)?.queues.get(&head.line)?.first()?;
        let Header { stage, tracked, suspect, .. } = first.header;
        if only.is_some() && first.header.run() != only {
            return None;
        }
        if suspect && holder.leases.iter().any(|token| self.holds_suspect(*token)) {
            return None;
        }
        let (alike, over_all) = match stage {
            Stage::Work if suspect => (1, self.room_over_all(link, tracked, now)),
            Stage::Work => (first.count(), self.room_over_all(link, tracked, now)),
            Stage::Fill | Stage::Finish => (1, u32::MAX),
        };
        let n = granting.room.left(link, stage).min(alike).min(over_all);
        if n == 0 {
            return None;
        }
        granting.room.take(link, stage, n);
        let chunk = self.jobs.get_mut(&head.job)?.queues.get_mut(&head.line)?.take(n)?;
        self.served(&head.job, &head.line);
        Some(self.lease(session, chunk, now))
    }

    /// How many more items of a job may be in flight over all sessions.
    fn room_over_all(&self, link: &Link, tracked: bool, now: Millis) -> u32 {
        let in_flight = |counted: &dyn Fn(&Header) -> bool| {
            self.in_flight(&link.job, now, |header| header.stage == Stage::Work && counted(header))
        };
        let limit = link.global_concurrency.map(|limit| limit.saturating_sub(in_flight(&|_| true)));
        // Only runs are exclusive; what was enqueued one by one is not.
        let alone = (link.exclusive() && !tracked).then(|| 1_u32.saturating_sub(in_flight(&|h| !h.tracked)));
        limit.into_iter().chain(alone).min().unwrap_or(u32::MAX)
    }

    fn holds_suspect(&self, token: Token) -> bool {
        self.leases.get(&token).is_some_and(|held| held.chunk.header.suspect)
    }

    fn lease(&mut self, session: SessionId, chunk: Chunk, now: Millis) -> Lease {
        let token = self.number(now);
        let mut cursor = None;
        if let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) {
            run.begun = true;
            if chunk.header.stage == Stage::Fill
                && let Some(fill) = &mut run.fill
            {
                fill.under(token);
                cursor.clone_from(&fill.cursor);
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

    /// Puts a queue behind all that tie with it.
    fn served(&mut self, id: &Arc<str>, line: &Line) {
        self.served += 1;
        if let Some(head) = self.jobs.get_mut(id).and_then(|job| job.heads.remove(line)) {
            self.heads.remove(&head);
        }
        self.stand(id, line);
    }
}

/// The room of a session in one call, and which jobs were found to be paused in it.
pub(super) struct Granting<'a> {
    room: Room<'a>,
    paused: BTreeMap<Arc<str>, bool>,
}

impl<'a> Granting<'a> {
    pub(super) fn new(want: &'a Want) -> Self {
        Self { room: Room::new(want), paused: BTreeMap::new() }
    }

    fn is_paused(&mut self, state: &State, job: &Arc<str>, now: Millis) -> bool {
        match self.paused.get(job) {
            Some(paused) => *paused,
            None => {
                let paused = state.paused(job, now).is_some();
                self.paused.insert(job.clone(), paused);
                paused
            }
        }
    }
}
