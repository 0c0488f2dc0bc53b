//! Schedules: what a session declares, and what becomes of their ticks.

use std::sync::Arc;

use jobs_core::{
    Attach, Attached, Body, Cause, Chunk, Counts, Fire, Firing, Header, IfBusy, Link, Millis, Pass, Passing, RunId,
    SessionId, SkipReason, Stage, TickInfo, Token, Trigger, Verdict, Want,
};

use super::{
    granting::Granting,
    job::{Cursor, Job},
    run::{Fill, Run},
    session::Session,
    state::State,
};

impl State {
    pub(super) fn attach(&mut self, attach: Attach, now: Millis) -> Attached {
        for gone in &attach.gone {
            self.bring_back(*gone, &mut Default::default(), now);
        }
        let mut attached = Attached::default();
        let known = self.sessions.remove(&attach.session);
        for link in &attach.links {
            self.rename(link);
            let job = self.job(&link.job);
            job.link = link.clone();
            if let Some(past) = self.declare(link, now) {
                attached.past.push((link.job.clone(), past));
            }
            let cursor = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
            if let (Some(_), Some(cursor)) = (&link.schedule, cursor) {
                attached.schedules.insert(link.job.clone(), cursor.state.clone());
            }
        }
        let (leases, lanes) = known.map(|known| (known.leases, known.lanes)).unwrap_or_default();
        let session = Session {
            lease: attach.lease,
            until: now + attach.lease,
            connected_at: now,
            node: attach.node,
            links: attach.links.into_iter().map(|link| (link.job.clone(), link)).collect(),
            leases,
            lanes,
        };
        attached.others = self.others(now);
        self.sessions.insert(attach.session, session);
        self.marks.control += 1;
        attached
    }

    fn others(&self, now: Millis) -> Vec<(SessionId, jobs_core::Node, u64, Millis)> {
        let held = |session: &Session| {
            let leases = session.leases.iter().filter_map(|token| self.leases.get(token));
            leases.map(|held| u64::from(held.open())).sum()
        };
        let others = self.sessions.iter().filter(|(_, s)| s.is_alive(now) || !s.leases.is_empty());
        others.map(|(id, session)| (*id, session.node.clone(), held(session), session.until)).collect()
    }

    /// Takes over what belongs to the job's former name, once nobody links it any more.
    fn rename(&mut self, link: &Link) {
        let Some(was) = &link.was else { return };
        if self.jobs.contains_key(&link.job) || self.sessions.values().any(|s| s.links.contains_key(was)) {
            return;
        }
        let Some(mut job) = self.jobs.remove(was) else { return };
        for head in std::mem::take(&mut job.heads).into_values() {
            self.heads.remove(&head);
        }
        let mut chunks = Vec::new();
        for queue in job.queues.values_mut() {
            chunks.extend(queue.drain(|_| true));
        }
        let new = |chunk: &mut Chunk| chunk.header.job = link.job.clone();
        chunks.iter_mut().for_each(new);
        self.delayed.values_mut().filter(|chunk| chunk.header.job == *was).for_each(new);
        for token in &job.leases {
            if let Some(held) = self.leases.get_mut(token) {
                new(&mut held.chunk);
            }
        }
        for run in self.runs.values_mut().filter(|run| run.job == *was) {
            run.job = link.job.clone();
        }
        for dead in self.dead.values_mut().filter(|dead| *dead.job == **was) {
            dead.job = link.job.to_string();
        }
        if let Some(cell) = self.cells.remove(&jobs_core::pause_cell(was)) {
            self.cells.insert(jobs_core::pause_cell(&link.job), cell);
        }
        self.jobs.insert(link.job.clone(), job);
        for chunk in chunks {
            self.store(chunk, Millis::MAX);
        }
    }

    /// Makes a declaration the current one, if it is new or a rollback. Gives the instant of a schedule that was
    /// past before it was first seen.
    fn declare(&mut self, link: &Link, now: Millis) -> Option<Millis> {
        let declared = link.schedule.as_ref()?;
        let fingerprint = &declared.fingerprint;
        let live = |current: &str| {
            self.sessions.values().any(|s| s.is_alive(now) && s.declares(&link.job, current))
        };
        let current = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
        let take = current.is_none_or(|cursor| {
            let superseded = cursor.superseded.contains(fingerprint);
            cursor.state.fingerprint != *fingerprint && (!superseded || !live(&cursor.state.fingerprint))
        });
        if !take {
            return None;
        }
        let job = self.job(&link.job);
        let cursor = job.schedule.get_or_insert_with(|| Cursor::new(now, fingerprint.clone()));
        if cursor.state.fingerprint != *fingerprint {
            let former = std::mem::replace(&mut cursor.state.fingerprint, fingerprint.clone());
            cursor.superseded.insert(former);
            cursor.superseded.remove(fingerprint);
            cursor.state.cursor = cursor.state.cursor.max(now);
            cursor.state.waiting = None;
        }
        let past = declared.instant.filter(|instant| *instant <= now)?;
        cursor.record(vec![TickInfo::passed(past.timestamp(), past.timestamp(), 1, Verdict::Missed)]);
        Some(past)
    }

    pub(super) fn fire(
        &mut self,
        session: Option<SessionId>,
        fires: Vec<Fire>,
        want: &Want,
        now: Millis,
    ) -> Vec<Firing> {
        let mut granting = Granting::new(want);
        let fired = fires.into_iter().map(|fire| self.fire_one(session, fire, &mut granting, now));
        fired.collect()
    }

    fn fire_one(
        &mut self,
        session: Option<SessionId>,
        fire: Fire,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Firing {
        if let Some(answer) = self.refuse(session, &fire, now) {
            return answer;
        }
        let run = RunId::new(self.number(now).0);
        let (trigger, tick, note) = match &fire.cause {
            Cause::Tick { tick, trigger, verdict, passed, schedule, .. } => {
                let Some(cursor) = self.job(schedule).schedule.as_mut() else { return Firing::Stale };
                let fired = TickInfo::fired(tick.timestamp(), *verdict, run);
                cursor.record(passed.iter().cloned().chain([fired]).collect());
                (*trigger, Some(*tick), None)
            }
            Cause::Manual { request, note } => {
                self.requests.insert(*request, run);
                (Trigger::Manual, None, note.clone())
            }
        };
        self.begin(run, &fire, trigger, tick, note, now);
        let lease = session.and_then(|session| self.grant_first(&fire.job, session, granting, now));
        let lease = match lease {
            Some(lease) if lease.chunk.header.run() == Some(run) => Some(lease),
            // An older item of the job comes first; it is found by the next settle, this one too.
            Some(lease) => {
                if let Some(held) = self.forget(lease.token) {
                    self.store(held.chunk, now);
                }
                None
            }
            None => None,
        };
        if let Cause::Tick { tick, schedule, .. } = &fire.cause
            && let Some(cursor) = self.job(schedule).schedule.as_mut()
        {
            cursor.last_fire = Some((*tick, run, session, lease.as_ref().map(|lease| lease.token)));
        }
        Firing::Fired { run, lease }
    }

    /// Why a fire makes no run, if it does not.
    fn refuse(&mut self, session: Option<SessionId>, fire: &Fire, now: Millis) -> Option<Firing> {
        match &fire.cause {
            Cause::Manual { request, .. } => {
                if let Some(run) = self.requests.get(request) {
                    return Some(Firing::Fired { run: *run, lease: None });
                }
            }
            Cause::Tick { schedule, fingerprint, cursor: expected, tick, at, .. } => {
                let Some(cursor) = self.jobs.get(schedule).and_then(|job| job.schedule.as_ref()) else {
                    return Some(Firing::Stale);
                };
                if let Some((fired, run, by, token)) = &cursor.last_fire
                    && (fired, by) == (tick, &session)
                {
                    let lease = token.and_then(|token| self.still_held(token, session?));
                    return Some(Firing::Fired { run: *run, lease });
                }
                if cursor.state.fingerprint != *fingerprint {
                    return Some(Firing::Stale);
                }
                if cursor.state.cursor != *expected || *tick <= *expected {
                    return Some(Firing::Already(cursor.state.clone()));
                }
                if *at > now {
                    return Some(Firing::NotYet { wait: at.since(now) });
                }
            }
        }
        if let Some(note) = self.paused(&fire.job) {
            return Some(Firing::Paused { note });
        }
        let run = self.jobs.get(&fire.job).and_then(|job| job.busy.first().copied())?;
        if fire.if_busy == IfBusy::Fire {
            return None;
        }
        if let Cause::Tick { schedule, tick, passed, .. } = &fire.cause
            && let Some(cursor) = self.job(schedule).schedule.as_mut()
        {
            cursor.record(passed.clone());
            match fire.if_busy {
                IfBusy::Skip => {
                    let skipped = Verdict::Skipped(SkipReason::Overlap);
                    cursor.record(vec![TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped)]);
                }
                IfBusy::Queue => cursor.state.waiting = Some(*tick),
                IfBusy::Wait | IfBusy::Fire => {}
            }
        }
        Some(Firing::Busy { run })
    }

    /// A lease that was granted with an answer which has to be repeated, if nothing of it is settled.
    fn still_held(&self, token: Token, session: SessionId) -> Option<jobs_core::Lease> {
        let held = self.leases.get(&token).filter(|held| held.session == session)?;
        let run = held.chunk.header.run().and_then(|run| self.runs.get(&run));
        let cursor = run.and_then(|run| run.fill.as_ref()).and_then(|fill| fill.cursor.clone());
        (held.open() == held.chunk.count()).then(|| jobs_core::Lease { token, chunk: held.chunk.clone(), cursor })
    }

    /// Stores a run and its first item.
    fn begin(
        &mut self,
        run: RunId,
        fire: &Fire,
        trigger: Trigger,
        tick: Option<Millis>,
        note: Option<String>,
        now: Millis,
    ) {
        let (job, total) = (fire.job.clone(), u64::from(!fire.query));
        let record = Run {
            id: run,
            job: job.clone(),
            trigger,
            tick,
            counts: Counts { total, ..Counts::default() },
            fresh: total,
            errors: Vec::new(),
            started_at: now,
            note,
            fill: fire.query.then(Fill::default),
            begun: false,
            query_failed: false,
            cancelled: false,
            over: None,
        };
        self.runs.insert(run, record);
        self.job(&job).busy.insert(run);
        let header = Header {
            format: jobs_core::FORMAT,
            job,
            number: run.number(),
            tracked: false,
            trigger,
            tick,
            stage: if fire.query { Stage::Fill } else { Stage::Work },
            priority: fire.priority,
            due: tick.unwrap_or(now),
            attempt: 0,
            fresh: true,
            item_type: if fire.query { Arc::from("") } else { fire.item_type.clone() },
            key: None,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            start: 0,
            enqueued_at: now,
            options: Default::default(),
            undecodable: None,
        };
        self.store(Chunk { header, body: Body::unit() }, now);
    }

    pub(super) fn pass(&mut self, pass: Pass, now: Millis) -> Passing {
        let Some(cursor) = self.jobs.get_mut(&pass.schedule).and_then(|job: &mut Job| job.schedule.as_mut()) else {
            return Passing::Stale;
        };
        if cursor.state.fingerprint != pass.fingerprint {
            return Passing::Stale;
        }
        let last = pass.passed.last().map_or(pass.cursor, |last| last.last.into());
        if cursor.state.cursor != pass.cursor {
            return Passing::Already(cursor.state.clone());
        }
        if last > now {
            return Passing::NotYet;
        }
        cursor.record(pass.passed);
        Passing::Passed
    }
}
