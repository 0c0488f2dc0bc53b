//! What keeps a store in order: beats, take-over, ends of runs, cancelling, pruning.

use std::collections::BTreeSet;

use jobs_core::{
    AfterCrash, Beat, Chunk, Completion, Effect, End, FailureKind, Header, Millis, PAUSES, Pulse, Reaped,
    RunId, SessionId, after_crash, is_undecodable,
};

use super::{
    queue::Line,
    session::Session,
    state::{Head, State, note},
};

impl State {
    pub(super) fn beat(&mut self, beat: &Beat, now: Millis) -> Pulse {
        let Some(session) = self.sessions.get_mut(&beat.session) else { return Pulse::default() };
        // One that was not heard of for a lease was cut off, whatever it says.
        let renewed = !session.is_alive(now);
        if beat.reconnected || renewed {
            session.connected_at = now;
        }
        // While it had expired it was given nothing; now it may ask again.
        self.marks.work += u64::from(renewed);
        session.until = session.until.max(now + session.lease);
        let (lease, held) = (session.lease, session.leases.clone());
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        if let Some(named) = &beat.held {
            let named: BTreeSet<_> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            for token in held.difference(&named) {
                // The answer that carried a young lease may still be on its way.
                let as_of = beat.as_of.min(now);
                let old = self.leases.get(token).is_some_and(|held| as_of.since(held.granted_at) > lease);
                if old {
                    self.give_back(*token, &mut Vec::new(), now);
                }
            }
        }
        let of = |token| self.leases.get(token)?.chunk.header.run();
        let runs: BTreeSet<RunId> = held.iter().filter_map(of).collect();
        let cancelled = |run: &RunId| self.runs.get(run).is_some_and(|run| run.cancelled);
        pulse.cancelled = runs.into_iter().filter(cancelled).collect();
        let pauses = self.beginning_with(PAUSES, now);
        pulse.paused = pauses.map(|(name, cell)| (name[PAUSES.len()..].to_owned(), note(cell))).collect();
        pulse
    }

    pub(super) fn detach(&mut self, session: SessionId, now: Millis) {
        let held = self.sessions.get(&session).map(|session| session.leases.clone()).unwrap_or_default();
        for token in held {
            self.give_back(token, &mut Vec::new(), now);
        }
        self.sessions.remove(&session);
        self.drop_owned(session);
    }

    fn give_back(&mut self, token: jobs_core::Token, over: &mut Vec<RunId>, now: Millis) {
        if let Some(held) = self.forget(token) {
            for chunk in held.rest() {
                self.end_all(chunk, End::Back, over, now);
            }
        }
    }

    pub(super) fn reap(&mut self, session: SessionId, now: Millis) -> Reaped {
        let mut reaped = Reaped::default();
        let settled =
            |caller: &Session| caller.is_alive(now) && now.since(caller.connected_at) >= caller.lease;
        if !self.sessions.get(&session).is_some_and(settled) {
            return reaped;
        }
        let expired = self.sessions.iter().filter(|(_, session)| !session.is_alive(now));
        for id in expired.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.bring_back(id, &mut reaped, now);
        }
        self.bury_undecodable(&mut reaped, now);
        reaped
    }

    /// Takes back what a dead session held.
    pub(super) fn bring_back(&mut self, id: SessionId, reaped: &mut Reaped, now: Millis) {
        let Some(session) = self.sessions.get(&id) else { return };
        let node = session.node.name.clone();
        for token in session.leases.clone() {
            let Some(held) = self.forget(token) else { continue };
            for chunk in held.rest() {
                reaped.items += u64::from(chunk.count());
                self.after_crash(chunk, &node, reaped, now);
            }
        }
        self.sessions.remove(&id);
        self.drop_owned(id);
        reaped.nodes.push(node);
    }

    fn after_crash(&mut self, mut chunk: Chunk, node: &str, reaped: &mut Reaped, now: Millis) {
        let fate = after_crash(&chunk.header);
        let header = &mut chunk.header;
        header.redelivered += 1;
        match fate {
            AfterCrash::Suspect => header.suspect = true,
            AfterCrash::Charged => header.crashes += 1,
            AfterCrash::Poison => {
                let deaths = header.redelivered;
                let message = format!(
                    "{deaths} nodes died holding it, the last ones with nothing else under suspicion"
                );
                let dead = self.kill(chunk, FailureKind::Poison, message, node, &mut reaped.ended, now);
                reaped.dead.push(dead);
                return;
            }
        }
        self.end_all(chunk, End::Back, &mut reaped.ended, now);
    }

    fn bury_undecodable(&mut self, reaped: &mut Reaped, now: Millis) {
        let aside = self.heads.iter().filter(|head| matches!(head.line, Line::Aside(_)));
        for Head { job, line, .. } in aside.cloned().collect::<Vec<_>>() {
            let live = self.sessions.values().filter(|s| s.is_alive(now) && s.links.contains_key(&job));
            let builds = live.map(|session| session.node.build.clone()).collect();
            let hopeless = |header: &Header| {
                header.undecodable.as_ref().is_some_and(|u| is_undecodable(u, &builds, now))
            };
            let queue = self.jobs.get_mut(&job).and_then(|job| job.queues.get_mut(&line));
            let chunks = queue.map(|queue| queue.drain(hopeless)).unwrap_or_default();
            self.stand(&job, &line);
            for mut chunk in chunks {
                let message =
                    chunk.header.undecodable.as_ref().map(|u| u.message.clone()).unwrap_or_default();
                while chunk.count() > 0 {
                    let one = chunk.split_to(1);
                    let ended = &mut reaped.ended;
                    let dead = self.kill(one, FailureKind::Undecodable, message.clone(), "", ended, now);
                    reaped.dead.push(dead);
                }
            }
        }
    }

    pub(super) fn complete(&mut self, id: RunId, finish: bool, now: Millis) -> Completion {
        let Some(run) = self.runs.get_mut(&id) else { return Completion::Unknown };
        if run.over.is_some() {
            return Completion::Already(Box::new(run.report()));
        }
        if !run.has_ended() {
            return Completion::Open;
        }
        run.over = Some((run.verdict(), now));
        let (report, job) = (run.report(), run.job.clone());
        self.ended.remove(&id);
        self.marks.runs += 1;
        self.job(&job).finished.push_back(id);
        if finish {
            self.store_finish(&report, &job, now);
        }
        Completion::Completed(Box::new(report))
    }

    fn store_finish(&mut self, report: &jobs_core::RunReport, job: &std::sync::Arc<str>, now: Millis) {
        let Ok(body) = jobs_core::Body::one(report) else { return };
        let priority = self.job(job).link.priority;
        let header = Header::of_finish(report, job, priority, now);
        self.store(Chunk { header, body }, now);
    }

    /// Cancels a run: `None` if there is none, `false` if it is over.
    pub(super) fn cancel(&mut self, id: RunId, now: Millis) -> Option<bool> {
        let run = self.runs.get_mut(&id)?;
        if run.over.is_some() || run.has_ended() {
            return Some(false);
        }
        run.cancelled = true;
        if let Some(fill) = &mut run.fill {
            fill.staged.clear();
            fill.staged_items = 0;
        }
        let job = run.job.clone();
        let mut waiting = self.delays(&job, |job| job.undelay_run(id));
        let lines: Vec<Line> = self.job(&job).queues.keys().cloned().collect();
        for line in lines {
            let queue = self.job(&job).queues.get_mut(&line);
            waiting.extend(queue.map(|queue| queue.drain_run(id)).unwrap_or_default());
            self.stand(&job, &line);
        }
        for chunk in waiting {
            self.end_all(chunk, End::Cancelled, &mut Vec::new(), now);
        }
        self.review(id);
        self.marks.control += 1;
        Some(true)
    }

    pub(super) fn prune(&mut self, limit: usize, now: Millis) -> usize {
        let mut pruned = self.drop_expired(limit, now);
        let mut runs = Vec::new();
        for job in self.jobs.values_mut() {
            let keep = &job.link;
            let mut left = limit - pruned;
            if let Some(cursor) = &mut job.schedule {
                let over = cursor.verdicts.len().saturating_sub(keep.keep_ticks as usize).min(left);
                cursor.verdicts.drain(..over);
                left -= over;
            }
            let over = job.finished.len().saturating_sub(keep.keep_runs as usize).min(left);
            runs.extend(job.finished.drain(..over));
            pruned = limit - (left - over);
            if pruned == limit {
                break;
            }
        }
        for run in runs {
            self.forget_run(run);
        }
        for job in self.jobs.keys().cloned().collect::<Vec<_>>() {
            if pruned == limit {
                break;
            }
            pruned += self.exhume_old(&job, limit - pruned, now);
        }
        pruned
    }

    pub(super) fn effect(&mut self, effect: Effect, now: Millis) {
        match effect {
            Effect::PutCell { name, put } => {
                self.put(&name, put, now);
            }
        }
    }
}
