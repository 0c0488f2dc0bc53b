//! Leasing: which ready items a session gets.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use jobs_core::{Chunk, FORMAT, Header, JobWant, Lease, Millis, SessionId, Stage, Token, Want};

use super::{
    lease::Held,
    queue::Line,
    state::{Head, State},
};

/// What is left of a job's room in one call.
struct Room {
    slots: u32,
    per_slot: u32,
}

impl State {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
    pub(super) fn grant(&mut self, session: SessionId, want: &Want, now: Millis) -> Vec<Lease> {
        let mut granting = Granting::new(want);
        let mut leases = Vec::new();
        let mut from: Option<Head> = None;
        while granting.slots > 0 {
            let after = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let Some(head) = self.heads.range((after, Bound::Unbounded)).next().cloned() else { break };
            match self.grant_from(&head, session, &mut granting, now) {
                Some(lease) => leases.push(lease),
                // Nothing of this queue for this session now; what follows it may still be had.
                None => from = Some(head),
            }
        }
        leases
    }

    /// Leases the first item of a run that was just made, if there is room.
    pub(super) fn grant_first(
        &mut self,
        job: &Arc<str>,
        session: SessionId,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Option<Lease> {
        let heads = self.jobs.get(job).map(|job| job.heads.values().cloned().collect::<Vec<_>>())?;
        heads.iter().find_map(|head| self.grant_from(head, session, granting, now))
    }

    fn grant_from(
        &mut self,
        head: &Head,
        session: SessionId,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Option<Lease> {
        let holder = self.sessions.get(&session)?;
        let link = holder.links.get(&head.job)?;
        let build = holder.node.build.clone();
        if granting.slots == 0 || granting.is_paused(self, &head.job) {
            return None;
        }
        let fit = |header: &Header| {
            header.format <= FORMAT
                && header.undecodable.as_ref().is_none_or(|failed| !failed.builds.contains(&build))
        };
        let first = self.jobs.get(&head.job)?.queues.get(&head.line)?.first(fit)?;
        let (count, tracked, stage) = (first.count(), first.header.tracked, first.header.stage);
        if head.line == Line::Suspect && holder.leases.iter().any(|t| self.holds_suspect(*t)) {
            return None;
        }
        let room = granting.room(&head.job, link.concurrency);
        let n = if stage == Stage::Work {
            let limit = link.global_concurrency.map(|limit| {
                limit.saturating_sub(self.in_flight(&head.job, now, |h| h.stage == Stage::Work))
            });
            let alone = (link.exclusive() && !tracked)
                .then(|| 1_u32.saturating_sub(self.in_flight(&head.job, now, |h| h.stage == Stage::Work && !h.tracked)));
            let limit = limit.into_iter().chain(alone).min();
            if limit.is_some() {
                room.per_slot = 1;
            }
            let most = if head.line == Line::Work { count } else { 1 };
            most.min(room.slots.saturating_mul(room.per_slot)).min(limit.unwrap_or(u32::MAX))
        } else {
            1
        };
        let n = n.min(granting.slots.saturating_mul(granting.per_slot(&head.job, stage)));
        if n == 0 {
            return None;
        }
        granting.take(&head.job, stage, n);
        let chunk = self.jobs.get_mut(&head.job)?.queue(head.line).take(n, fit)?;
        self.served(&head.job, head.line);
        Some(self.lease(session, chunk, now))
    }

    fn holds_suspect(&self, token: Token) -> bool {
        self.leases.get(&token).is_some_and(|held| held.chunk.header.suspect)
    }

    fn lease(&mut self, session: SessionId, chunk: Chunk, now: Millis) -> Lease {
        let token = self.number(now);
        let mut cursor = None;
        if let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) {
            run.begun = true;
            if chunk.header.stage == Stage::Fill && let Some(fill) = &mut run.fill {
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
}

/// The room of a session in one call.
pub(super) struct Granting<'a> {
    slots: u32,
    wanted: BTreeMap<&'a str, &'a JobWant>,
    rooms: BTreeMap<Arc<str>, Room>,
    paused: BTreeMap<Arc<str>, bool>,
}

impl<'a> Granting<'a> {
    pub(super) fn new(want: &'a Want) -> Self {
        let wanted = want.jobs.iter().map(|wanted| (&*wanted.job, wanted)).collect();
        Self { slots: want.slots, wanted, rooms: BTreeMap::new(), paused: BTreeMap::new() }
    }

    fn is_paused(&mut self, state: &State, job: &Arc<str>) -> bool {
        *self.paused.entry(job.clone()).or_insert_with(|| state.paused(job).is_some())
    }

    fn room(&mut self, job: &Arc<str>, concurrency: u32) -> &mut Room {
        let wanted = self.wanted.get(&**job);
        self.rooms.entry(job.clone()).or_insert_with(|| match wanted {
            Some(wanted) => Room { slots: wanted.slots, per_slot: wanted.per_slot.max(1) },
            None => Room { slots: concurrency, per_slot: 1 },
        })
    }

    /// How many items of this stage one slot of the process takes.
    fn per_slot(&self, job: &Arc<str>, stage: Stage) -> u32 {
        match self.rooms.get(job) {
            Some(room) if stage == Stage::Work => room.per_slot,
            _ => 1,
        }
    }

    fn take(&mut self, job: &Arc<str>, stage: Stage, n: u32) {
        let slots = n.div_ceil(self.per_slot(job, stage));
        self.slots = self.slots.saturating_sub(slots);
        if stage == Stage::Work && let Some(room) = self.rooms.get_mut(job) {
            room.slots = room.slots.saturating_sub(slots);
        }
    }
}
