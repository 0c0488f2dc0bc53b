//! Schedules: what a session declares, and what becomes of their ticks.

use std::collections::{BTreeMap, BTreeSet};

use jobs_core::{
    Ahead, Attach, Attached, Body, Cause, Chunk, Fire, Firing, Lease, Link, Millis, Pass, Passing, PutCell,
    RunId, SessionId, Want,
    ledger::{self, Claim, Cursor, Decision, Known, Made, Patience, Room, ahead_cell, decide},
};

use super::{budget::Budget, granting::Granting, run::Run, session::Session, state::State};

impl State {
    pub(super) fn attach(&mut self, attach: Attach, now: Millis) -> Attached {
        let mut attached = Attached::default();
        let mut budget = Budget::of_a_step();
        self.set_waits_right(&mut budget, now);
        for gone in &attach.gone {
            if let Some(session) = self.sessions.get_mut(gone) {
                session.state.until = ledger::Session::GONE;
            }
            self.bring_back(*gone, &mut attached.reaped, &mut budget, now);
        }
        attached.reaped.more = budget.is_spent;
        let known = self.sessions.remove(&attach.session);
        let links: BTreeMap<_, _> =
            attach.links.iter().map(|link| (link.job.clone(), link.clone())).collect();
        let again = known.as_ref().is_some_and(|known| links == known.links);
        let mut past = known.as_ref().map(|known| known.state.past.clone()).unwrap_or_default();
        for link in &attach.links {
            let known = self.jobs.get(&link.job).is_some_and(|job| !job.link.is_bare());
            if self.gives_way(link, &attach.links, now) {
                continue;
            }
            // A repeat changes nothing, for it may come after what others have said since; but for a declaration
            // that nobody declares any more, which an older one may follow now.
            if !again {
                self.rename(link);
            }
            if !again || !known {
                self.job(&link.job).link = link.clone();
            }
            past.extend(self.declare(link, now).map(|instant| (link.job.clone(), instant)));
            if link.schedule.is_some() {
                attached.ahead.extend(self.look_ahead(link, now));
                let cursor = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
                attached.schedules.extend(cursor.map(|cursor| (link.job.clone(), cursor.state())));
            }
        }
        attached.past.clone_from(&past);
        let others = self.sessions.iter().filter(|(_, s)| s.is_alive(now) || !s.leases.is_empty());
        attached.others = others.map(|(id, session)| self.session(*id, session)).collect();
        let state = ledger::Session::open(known.as_ref().map(|known| &known.state), &attach, past, now);
        let (leases, lanes) = match known {
            Some(known) => (known.leases, known.lanes),
            None => (BTreeSet::new(), BTreeMap::new()),
        };
        self.sessions.insert(attach.session, Session { state, links, leases, lanes });
        attached
    }

    /// Makes a declaration the current one, if it is new or a rollback. Returns the instant of a schedule that was
    /// past before it was first seen.
    fn declare(&mut self, link: &Link, now: Millis) -> Option<Millis> {
        let declared = link.schedule.as_ref()?;
        let current = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
        let live = |current: &Cursor| {
            self.sessions.values().any(|s| s.is_alive(now) && s.declares(&link.job, &current.fingerprint))
        };
        let takes = match Cursor::claim(current, declared) {
            Claim::InForce => false,
            Claim::Takes => true,
            Claim::TakesIfAbandoned => !current.is_some_and(live),
        };
        if !takes {
            return None;
        }
        let job = self.job(&link.job);
        let (past, missed) = Cursor::declare(&mut job.schedule, declared, now)?;
        job.record([missed]);
        Some(past)
    }

    /// Whether the cursor of a schedule is ahead of the clock; it is set back if it is too far ahead.
    fn look_ahead(&mut self, link: &Link, now: Millis) -> Option<Ahead> {
        let schedule = self.jobs.get_mut(&link.job)?.schedule.as_mut()?;
        let cursor = schedule.cursor;
        let set_back = match Patience::with(cursor, now) {
            Patience::None => return None,
            Patience::Waits => false,
            Patience::SetBack => true,
        };
        if set_back {
            schedule.set_back(now);
            let value = serde_json::json!({ "cursor": cursor, "set_back": now });
            self.put(&ahead_cell(&link.job), PutCell { value: Some(value), ..PutCell::default() }, now);
        }
        Some(Ahead { schedule: link.job.clone(), cursor, set_back })
    }

    pub(super) fn fire(
        &mut self,
        session: Option<SessionId>,
        fires: Vec<Fire>,
        want: &Want,
        now: Millis,
    ) -> Vec<Firing> {
        let mut granting = Granting { room: Room::new(want), pauses: self.pauses(now) };
        let fired = fires.into_iter().map(|fire| self.fire_one(session, &fire, &mut granting, now));
        fired.collect()
    }

    fn fire_one(
        &mut self,
        session: Option<SessionId>,
        fire: &Fire,
        granting: &mut Granting<'_>,
        now: Millis,
    ) -> Firing {
        let (schedule, requested) = match &fire.cause {
            Cause::Tick { schedule, .. } => (Some(schedule), None),
            Cause::Manual { request, .. } => (None, self.requests.get(request).copied()),
        };
        let busy = self.jobs.get(&fire.job).and_then(|job| job.busy.first().copied());
        let mut scheduled = schedule.and_then(|schedule| self.jobs.get_mut(schedule));
        let mut known = Known {
            schedule: scheduled.as_mut().and_then(|job| job.schedule.as_mut()),
            requested,
            paused: granting.pauses.of(&fire.job, now),
            busy,
        };
        match decide(fire, &mut known, session, now) {
            Decision::Again(run) => {
                return Firing::Fired { run, lease: self.first_lease(run, session) };
            }
            Decision::Refused(firing, verdicts) => {
                if let Some(job) = scheduled {
                    job.record(verdicts);
                }
                return firing;
            }
            Decision::Makes => {}
        }
        let run = RunId::new(self.number(now).0);
        let mut scheduled = schedule.and_then(|schedule| self.jobs.get_mut(schedule));
        let cursor = scheduled.as_mut().and_then(|job| job.schedule.as_mut());
        let mut made = Made::by(fire, run, cursor, session, now);
        if let Some(job) = scheduled {
            job.record(std::mem::take(&mut made.verdicts));
        }
        self.begin(made, fire, now);
        let lease = session.and_then(|session| self.grant_first(&fire.job, run, session, granting, now));
        if let (Some(record), Some(session), Some(lease)) = (self.runs.get_mut(&run), session, &lease) {
            record.state.record.first = Some((session, lease.token));
        }
        Firing::Fired { run, lease }
    }

    /// The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
    fn first_lease(&self, run: RunId, session: Option<SessionId>) -> Option<Lease> {
        let run = self.runs.get(&run)?;
        let (_, token) = run.state.record.first.filter(|(by, _)| Some(*by) == session)?;
        let held = self.leases.get(&token)?;
        let fills = run.state.record.fill.is_some();
        let cursor = run.state.cursor.clone().filter(|_| fills);
        Some(Lease { token, chunk: held.chunk.clone(), cursor })
    }

    /// Stores a run and its first item.
    fn begin(&mut self, made: Made, fire: &Fire, now: Millis) {
        let Made { run, first, request, .. } = made;
        let id = run.id;
        if let Some(request) = request {
            self.requests.insert(request, id);
        }
        self.runs.insert(id, Run::new(fire.job.clone(), request, run));
        self.job(&fire.job).busy.insert(id);
        self.store(Chunk { header: first, body: Body::unit() }, now);
    }

    pub(super) fn pass(&mut self, pass: Pass, now: Millis) -> Passing {
        let mut job = self.jobs.get_mut(&pass.schedule);
        let schedule = job.as_mut().and_then(|job| job.schedule.as_mut());
        let passing = ledger::pass(&pass, schedule, now);
        if let (Passing::Passed, Some(job)) = (&passing, job) {
            job.record(pass.passed);
        }
        passing
    }
}
