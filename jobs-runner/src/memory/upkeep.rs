//! What keeps a store in order: beats, take-over, ends of runs, cancelling.

use std::collections::BTreeSet;

use jobs_core::{
    Beat, Cancellation, Chunk, Complete, Completion, Effect, End, FailureKind, Header, Millis, Pulse, Reaped,
    RunId, SessionId, Token, is_undecodable,
    ledger::{self, QueueKind, Tally, after_crash_of, held_back},
};

use super::{
    budget::Budget,
    session::Session,
    state::{Head, State},
};

impl State {
    pub(super) fn beat(&mut self, beat: &Beat, now: Millis) -> Pulse {
        let session = self.sessions.get_mut(&beat.session).filter(|session| !session.state.has_left());
        let Some(session) = session else { return Pulse::default() };
        let renewed = session.state.renew(beat, now);
        self.marks.work += u64::from(renewed);
        let (state, held) = (session.state.clone(), session.leases.clone());
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        if let Some(named) = &beat.held {
            let named: BTreeSet<_> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            let orphan =
                |held: &super::lease::Held| ledger::Session::is_orphan(&state, held.granted_at, beat, now);
            for token in held.difference(&named).take(jobs_core::STEP_RECORDS) {
                if self.leases.get(token).is_some_and(orphan) {
                    self.give_back(*token, now);
                }
            }
        }
        let of = |token| self.leases.get(token)?.chunk.header.run();
        let runs: BTreeSet<RunId> = held.iter().filter_map(of).collect();
        let cancelled = |run: &RunId| self.runs.get(run).is_some_and(|run| run.state.is_cancelled());
        pulse.cancelled = runs.into_iter().filter(cancelled).collect();
        pulse.paused = self.pauses(now).patterns(now);
        pulse
    }

    /// Gives back what a session held that leaves. Returns whether there is more.
    pub(super) fn detach(&mut self, id: SessionId, now: Millis) -> bool {
        let mut budget = Budget::of_a_step();
        let Some(session) = self.sessions.get_mut(&id) else {
            self.drop_owned(id);
            return false;
        };
        session.state.until = ledger::Session::LEFT;
        self.give_all_back(id, &mut budget, now);
        budget.is_spent
    }

    /// Gives back what a session holds that has left, and forgets it once nothing is left.
    fn give_all_back(&mut self, id: SessionId, budget: &mut Budget, now: Millis) {
        let held = self.sessions.get(&id).map(|session| session.leases.clone()).unwrap_or_default();
        for token in held {
            if !budget.take() {
                return;
            }
            self.give_back(token, now);
        }
        self.sessions.remove(&id);
        self.drop_owned(id);
    }

    fn give_back(&mut self, token: Token, now: Millis) {
        if let Some(held) = self.forget(token) {
            for chunk in held.rest() {
                self.end_all(chunk, End::Back, &mut Vec::new(), now);
            }
        }
    }

    pub(super) fn reap(&mut self, session: SessionId, now: Millis) -> Reaped {
        let mut reaped = Reaped::default();
        if !self.sessions.get(&session).is_some_and(|caller| caller.state.may_reap(now)) {
            return reaped;
        }
        let mut budget = Budget::of_a_step();
        for session in self.sessions.values_mut() {
            session.state.set_right(now);
        }
        self.set_waits_right(&mut budget, now);
        let expired = self.sessions.iter().filter(|(_, session)| !session.is_alive(now));
        for id in expired.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.bring_back(id, &mut reaped, &mut budget, now);
        }
        for run in self.cancelling.clone() {
            self.end_waiting(run, &mut reaped.ended, &mut budget, now);
        }
        self.end_undecodable(&mut reaped, &mut budget, now);
        reaped.more = budget.is_spent;
        reaped
    }

    /// Sets the due times right of items that a clock of the future has put to wait.
    pub(super) fn set_waits_right(&mut self, budget: &mut Budget, now: Millis) {
        while let Some((_, job, key)) = self.waits.last().filter(|(since, ..)| *since > now).cloned()
            && budget.take()
        {
            let Some(mut chunk) = self.undelay(&job, &key) else { return };
            let header = &mut chunk.header;
            if let Some(due) = held_back(header.waits_since, header.due, now) {
                (header.due, header.waits_since) = (due, Some(now));
            }
            self.store(chunk, now);
        }
    }

    /// Takes back what a session held that is dead or has left, and forgets it once nothing is left.
    pub(super) fn bring_back(
        &mut self,
        id: SessionId,
        reaped: &mut Reaped,
        budget: &mut Budget,
        now: Millis,
    ) {
        let Some(session) = self.sessions.get(&id) else { return };
        if session.state.has_left() {
            return self.give_all_back(id, budget, now);
        }
        let node = session.state.node.name.clone();
        for token in session.leases.clone() {
            if !budget.take() {
                return;
            }
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
        match after_crash_of(&mut chunk.header) {
            Some(poison) => {
                let dead = self.kill(chunk, FailureKind::Poison, poison, node, &mut reaped.ended, now);
                reaped.dead.push(dead);
            }
            None => self.end_all(chunk, End::Back, &mut reaped.ended, now),
        }
    }

    /// Ends the items that every live build has failed to decode, for long enough.
    fn end_undecodable(&mut self, reaped: &mut Reaped, budget: &mut Budget, now: Millis) {
        let aside = self.heads.iter().filter(|head| head.key.kind == QueueKind::Aside);
        for Head { job, key, .. } in aside.cloned().collect::<Vec<_>>() {
            let links = |session: &&Session| session.is_alive(now) && session.links.contains_key(&job);
            let live = self.sessions.values().filter(links);
            let builds = live.map(|session| session.state.node.build.clone()).collect();
            let hopeless = |header: &Header| {
                header.undecodable.as_ref().is_some_and(|failed| is_undecodable(failed, &builds, now))
            };
            let queue = self.jobs.get_mut(&job).and_then(|job| job.queues.get_mut(&key));
            let looks = jobs_core::STEP_RECORDS;
            let chunks = queue.map(|queue| queue.drain(looks, budget.left(), hopeless)).unwrap_or_default();
            self.stand(&job, &key);
            for mut chunk in chunks {
                let failed = chunk.header.undecodable.as_ref();
                let message = failed.map(|failed| failed.message.clone()).unwrap_or_default();
                while chunk.count() > 0 {
                    budget.take();
                    let (one, ended) = (chunk.split_to(1), &mut reaped.ended);
                    let dead = self.kill(one, FailureKind::Undecodable, message.clone(), "", ended, now);
                    reaped.dead.push(dead);
                }
            }
            if budget.left() == 0 {
                // Whether anything is left is seen by the next step.
                budget.is_spent = true;
                return;
            }
        }
    }

    pub(super) fn complete(&mut self, Complete { run: id, finish }: Complete, now: Millis) -> Completion {
        let Some(run) = self.runs.get_mut(&id) else { return Completion::Unknown };
        if run.state.record.over.is_some() {
            return Completion::Already(Box::new(run.report()));
        }
        if !run.state.has_ended() {
            return Completion::Open;
        }
        run.state.end(now);
        let (report, job) = (run.report(), run.job.clone());
        self.ended.remove(&id);
        self.cancelling.remove(&id);
        self.marks.runs += 1;
        self.ends += 1;
        let end = self.ends;
        self.job(&job).finished.push_back((end, id));
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

    pub(super) fn cancel(&mut self, id: RunId, now: Millis) -> Cancellation {
        let Some(run) = self.runs.get_mut(&id) else { return Cancellation::Unknown };
        let again = self.cancelling.contains(&id);
        if run.state.record.over.is_some() || (run.state.has_ended() && !again) {
            return Cancellation::Over;
        }
        run.state.record.cancelled = true;
        run.drop_staged();
        self.drop_untouched(id);
        self.cancelling.insert(id);
        let mut budget = Budget::of_a_step();
        self.end_waiting(id, &mut Vec::new(), &mut budget, now);
        self.review(id);
        self.marks.control += 1;
        Cancellation::Cancelled { more: budget.is_spent }
    }

    /// Ends what the query of a cancelled run found and nobody has touched, in one piece.
    fn drop_untouched(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let job_id = run.job.clone();
        let Some(job) = self.jobs.get_mut(&job_id) else { return };
        let mut dropped = 0;
        let mut changed = Vec::new();
        for (key, queue) in job.queues.iter_mut().filter(|(key, _)| key.kind == QueueKind::Work) {
            dropped += queue.drop_untouched(id);
            changed.push(key.clone());
        }
        let mut tally = Tally::default();
        tally.cancel_untouched(dropped);
        run.state.add(tally);
        for key in changed {
            self.stand(&job_id, &key);
        }
    }

    /// Ends items of a cancelled run that wait, as many as the step may. The run is no longer looked after once none is
    /// left.
    fn end_waiting(&mut self, id: RunId, over: &mut Vec<RunId>, budget: &mut Budget, now: Millis) {
        let Some(job) = self.runs.get(&id).map(|run| run.job.clone()) else {
            self.cancelling.remove(&id);
            return;
        };
        let mut waiting = Vec::new();
        let delayed = self.jobs.get(&job).map(|job| job.delayed.of_run(id).map(|(key, _)| key));
        let keys: Vec<_> = delayed.into_iter().flatten().take(budget.left() + 1).collect();
        for key in keys {
            if !budget.take() {
                break;
            }
            waiting.extend(self.undelay(&job, &key));
        }
        let queues: Vec<_> = self.job(&job).queues.keys().cloned().collect();
        for key in queues {
            let queue = self.job(&job).queues.get_mut(&key);
            let taken = queue.map(|queue| queue.take_run(id, budget.left())).unwrap_or_default();
            taken.iter().for_each(|_| {
                budget.take();
            });
            waiting.extend(taken);
            let queue = self.job(&job).queues.get(&key);
            if budget.left() == 0 && queue.is_some_and(|queue| queue.of_run(id).next().is_some()) {
                budget.is_spent = true;
            }
            self.stand(&job, &key);
        }
        for chunk in waiting {
            self.end_all(chunk, End::Cancelled, over, now);
        }
        if !budget.is_spent {
            self.cancelling.remove(&id);
        }
    }

    pub(super) fn effect(&mut self, effect: Effect, now: Millis) {
        match effect {
            Effect::PutCell { name, put } => {
                self.put(&name, put, now);
            }
        }
    }
}
