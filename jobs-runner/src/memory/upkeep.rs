//! What keeps a store in order: beats, take-over, ends of runs, cancelling, pruning.

use std::collections::BTreeSet;

use jobs_core::{
    AfterCrash, Beat, Chunk, Completion, Effect, End, FailureKind, Header, Millis, PAUSES, Pulse, Reaped, RunId,
    SessionId, Stage, after_crash, is_undecodable,
};

use super::{queue::Line, state::State};

impl State {
    pub(super) fn beat(&mut self, beat: &Beat, now: Millis) -> Pulse {
        let Some(session) = self.sessions.get_mut(&beat.session) else { return Pulse::default() };
        session.until = session.until.max(now + session.lease);
        if beat.reconnected {
            session.connected_at = now;
        }
        let (lease, held) = (session.lease, session.leases.clone());
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        if let Some(named) = &beat.held {
            let named: BTreeSet<_> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            for token in held.difference(&named) {
                // The answer that carried a young lease may still be on its way.
                let old = self.leases.get(token).is_some_and(|held| now.since(held.granted_at) > lease);
                if old {
                    self.give_back(*token, &mut Vec::new(), now);
                }
            }
        }
        let of = |token| self.leases.get(token)?.chunk.header.run();
        let runs: BTreeSet<RunId> = held.iter().filter_map(of).collect();
        let cancelled = |run: &RunId| self.runs.get(run).is_some_and(|run| run.cancelled);
        pulse.cancelled = runs.into_iter().filter(cancelled).collect();
        let cells = self.cells.range(PAUSES.to_owned()..).take_while(|(name, _)| name.starts_with(PAUSES));
        let note = |cell: &jobs_core::Cell| cell.value["note"].as_str().unwrap_or_default().to_owned();
        pulse.paused = cells.map(|(name, cell)| (name[PAUSES.len()..].to_owned(), note(cell))).collect();
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
        if let Some(mut held) = self.forget(token) {
            for chunk in held.rest() {
                self.end(chunk, End::Back, over, now);
            }
        }
    }

    pub(super) fn reap(&mut self, session: SessionId, now: Millis) -> Reaped {
        let mut reaped = Reaped::default();
        let caller = self.sessions.get(&session);
        if caller.is_none_or(|caller| now.since(caller.connected_at) < caller.lease) {
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
            let Some(mut held) = self.forget(token) else { continue };
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
                let message = format!("{deaths} nodes died holding it, the last ones with nothing else under suspicion");
                let dead = self.kill(chunk, FailureKind::Poison, message, node, &mut reaped.ended, now);
                reaped.dead.push(dead);
                return;
            }
        }
        self.end(chunk, End::Back, &mut reaped.ended, now);
    }

    fn bury_undecodable(&mut self, reaped: &mut Reaped, now: Millis) {
        let aside = self.jobs.iter().filter(|(_, job)| job.queues.get(&Line::Aside).is_some_and(|q| q.items() > 0));
        for id in aside.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let live = self.sessions.values().filter(|s| s.is_alive(now) && s.links.contains_key(&id));
            let builds = live.map(|session| session.node.build.clone()).collect();
            let hopeless =
                |header: &Header| header.undecodable.as_ref().is_some_and(|u| is_undecodable(u, &builds, now));
            let chunks = self.job(&id).queue(Line::Aside).drain(hopeless);
            self.stand(&id, Line::Aside);
            for mut chunk in chunks {
                let message = chunk.header.undecodable.as_ref().map(|u| u.message.clone()).unwrap_or_default();
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
        let header = Header {
            format: jobs_core::FORMAT,
            job: job.clone(),
            number: report.id.number(),
            tracked: false,
            trigger: report.trigger,
            tick: report.tick.map(Millis::from),
            stage: Stage::Finish,
            priority,
            due: now,
            attempt: 0,
            fresh: false,
            item_type: "RunReport".into(),
            key: None,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            start: 0,
            enqueued_at: now,
            options: Default::default(),
            undecodable: None,
        };
        self.store(Chunk { header, body }, now);
    }

    /// Cancels a run: `None` if there is none, `false` if it is over.
    pub(super) fn cancel(&mut self, id: RunId, now: Millis) -> Option<bool> {
        let run = self.runs.get_mut(&id)?;
        if run.over.is_some() {
            return Some(false);
        }
        run.cancelled = true;
        if let Some(fill) = &mut run.fill {
            fill.staged.clear();
            fill.staged_items = 0;
        }
        let job = run.job.clone();
        let of = |header: &Header| header.run() == Some(id);
        let mut waiting = Vec::new();
        for line in Line::ALL {
            waiting.extend(self.job(&job).queue(line).drain(of));
            self.stand(&job, line);
        }
        let delayed = self.delayed.iter().filter(|(_, chunk)| of(&chunk.header)).map(|(key, _)| *key);
        for key in delayed.collect::<Vec<_>>() {
            if let Some(chunk) = self.delayed.remove(&key) {
                self.job(&job).delayed -= u64::from(chunk.count());
                waiting.push(chunk);
            }
        }
        for chunk in waiting {
            self.end(chunk, End::Cancelled, &mut Vec::new(), now);
        }
        self.review(id);
        self.marks.control += 1;
        Some(true)
    }

    pub(super) fn prune(&mut self, limit: usize, now: Millis) -> usize {
        let mut pruned = 0;
        let requests = &mut self.requests;
        for job in self.jobs.values_mut() {
            let verdicts = job.schedule.as_mut().map(|cursor| &mut cursor.verdicts);
            if let Some(verdicts) = verdicts {
                while pruned < limit && verdicts.len() > job.link.keep_ticks as usize {
                    verdicts.pop_front();
                    pruned += 1;
                }
            }
            while pruned < limit && job.finished.len() > job.link.keep_runs as usize {
                if let Some(run) = job.finished.pop_front() {
                    self.runs.remove(&run);
                    requests.retain(|_, of| *of != run);
                }
                pruned += 1;
            }
            let old = |died: &(Millis, _)| now.since(died.0) > job.link.keep_dead;
            while pruned < limit && job.dead.front().is_some_and(old) {
                if let Some((_, item)) = job.dead.pop_front() {
                    self.dead.remove(&item);
                }
                pruned += 1;
            }
        }
        pruned
    }

    pub(super) fn effect(&mut self, effect: Effect, now: Millis) {
        match effect {
            Effect::PutCell { name, put } => {
                let version = self.cells.get(&name).map_or(0, |cell| cell.version);
                self.put(&name, version, put, now);
            }
        }
    }
}
