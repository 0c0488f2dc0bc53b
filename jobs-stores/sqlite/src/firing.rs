//! Ticks that fire, ticks that are passed over, and runs by hand.

use jobs_core::{
    Cause, Fire, Firing, Header, IfBusy, Lease, Millis, Pass, Passing, Room, RunId, SessionId, SkipReason,
    TickInfo, Trigger, Verdict, Want,
};

use crate::{
    chunks::Piece,
    fault::Done,
    runs::{Fill, Record},
    step::Step,
};

/// A run that is made now.
struct Made {
    run: RunId,
    trigger: Trigger,
    tick: Option<Millis>,
    note: Option<String>,
    request: Option<u64>,
}

impl Step<'_> {
    pub(crate) fn fire(
        &mut self,
        session: Option<SessionId>,
        fires: &[Fire],
        want: &Want,
    ) -> Done<Vec<Firing>> {
        let mut room = Room::new(want);
        fires.iter().map(|fire| self.fire_one(session, fire, &mut room)).collect()
    }

    fn fire_one(&mut self, session: Option<SessionId>, fire: &Fire, room: &mut Room<'_>) -> Done<Firing> {
        if let Some(answer) = self.refuse(session, fire)? {
            return Ok(answer);
        }
        let run = RunId::new(self.number()?.0);
        let (trigger, tick, note, request) = match &fire.cause {
            Cause::Tick { tick, trigger, verdict, passed, schedule, .. } => {
                let Some((id, _)) = self.schedule(schedule)? else { return Ok(Firing::Stale) };
                let fired = TickInfo::fired(tick.timestamp(), *verdict, run);
                self.record(id, passed.iter().cloned().chain([fired]))?;
                if let Some(cursor) = &mut self.job_mut(id)?.schedule {
                    cursor.last_fire = Some((*tick, run, session));
                }
                (*trigger, Some(*tick), None, None)
            }
            Cause::Manual { request, note } => (Trigger::Manual, None, note.clone(), Some(*request)),
        };
        let job = self.begin(Made { run, trigger, tick, note, request }, fire)?;
        let lease = match session {
            Some(session) => self.lease_first(job, run, session, room)?,
            None => None,
        };
        Ok(Firing::Fired { run, lease })
    }

    fn lease_first(
        &mut self,
        job: i64,
        run: RunId,
        session: SessionId,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        if !room.is_open() {
            return Ok(None);
        }
        let Some(by) = self.session(session)? else { return Ok(None) };
        let lease = self.grant_first(job, run, &by, room)?;
        if let (Some(lease), Some(run)) = (&lease, self.run_mut(run)?) {
            run.record_mut().first = Some((session, lease.token));
        }
        Ok(lease)
    }

    /// Why a fire makes no run, if it does not.
    fn refuse(&mut self, session: Option<SessionId>, fire: &Fire) -> Done<Option<Firing>> {
        let known = match &fire.cause {
            Cause::Manual { request, .. } => self.requested(*request, session)?,
            Cause::Tick { .. } => self.decided(&fire.cause, session)?,
        };
        if known.is_some() {
            return Ok(known);
        }
        if let Some(note) = self.paused(&fire.job)? {
            return Ok(Some(Firing::Paused { note }));
        }
        let Some(job) = self.known_job(&fire.job)? else { return Ok(None) };
        let Some(run) = self.busy_run(job)? else { return Ok(None) };
        if fire.if_busy == IfBusy::Fire {
            return Ok(None);
        }
        self.held_up(fire)?;
        Ok(Some(Firing::Busy { run }))
    }

    /// The answer to a request that is known already.
    fn requested(&mut self, request: u64, session: Option<SessionId>) -> Done<Option<Firing>> {
        match self.run_of_request(request)? {
            Some(run) => Ok(Some(Firing::Fired { run, lease: self.first_lease(run, session)? })),
            None => Ok(None),
        }
    }

    /// The answer to a tick that was decided already, or is not to be yet.
    fn decided(&mut self, cause: &Cause, session: Option<SessionId>) -> Done<Option<Firing>> {
        let Cause::Tick { schedule, fingerprint, cursor: expected, tick, at, .. } = cause else {
            return Ok(None);
        };
        let now = self.now;
        let Some((_, cursor)) = self.schedule(schedule)? else { return Ok(Some(Firing::Stale)) };
        if let Some((fired, run, by)) = cursor.last_fire
            && (fired, by) == (*tick, session)
        {
            return Ok(Some(Firing::Fired { run, lease: self.first_lease(run, session)? }));
        }
        if cursor.fingerprint != *fingerprint {
            return Ok(Some(Firing::Stale));
        }
        if cursor.cursor != *expected || *tick <= *expected {
            return Ok(Some(Firing::Already(cursor.state())));
        }
        let at = *at.max(tick);
        Ok((at > now).then(|| Firing::NotYet { wait: at.since(now) }))
    }

    /// What becomes of a tick while a run of its job is busy.
    fn held_up(&mut self, fire: &Fire) -> Done<()> {
        let Cause::Tick { schedule, tick, passed, .. } = &fire.cause else { return Ok(()) };
        let Some((id, _)) = self.schedule(schedule)? else { return Ok(()) };
        self.record(id, passed.iter().cloned())?;
        match fire.if_busy {
            IfBusy::Skip => {
                let skipped = Verdict::Skipped(SkipReason::Overlap);
                self.record(id, [TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped)])?;
            }
            IfBusy::Queue => {
                if let Some(cursor) = &mut self.job_mut(id)?.schedule {
                    cursor.waiting = Some(*tick);
                }
            }
            IfBusy::Wait | IfBusy::Fire => {}
        }
        Ok(())
    }

    /// The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
    fn first_lease(&mut self, run: RunId, session: Option<SessionId>) -> Done<Option<Lease>> {
        let Some(id) = session else { return Ok(None) };
        let first = self.run(run)?.and_then(|run| run.record().first).filter(|(by, _)| *by == id);
        let (Some((_, token)), Some(by)) = (first, self.session(id)?) else { return Ok(None) };
        if self.held(by.row, token)?.is_none() {
            return Ok(None);
        }
        self.lease_again(token)
    }

    /// Stores a run and its first item, and gives the job.
    fn begin(&mut self, made: Made, fire: &Fire) -> Done<i64> {
        let Made { run, trigger, tick, note, request } = made;
        let job = self.job_id(&fire.job)?;
        let record =
            Record { tick, note, fill: fire.query.then(Fill::default), ..Record::new(trigger, self.now) };
        let items = u64::from(!fire.query);
        self.insert_run(run, job, (items, items), request, record)?;
        let header = Header::of_first_item(fire, run, trigger, tick, self.now);
        self.store(job, &Piece::unit(header))?;
        Ok(job)
    }

    pub(crate) fn pass(&mut self, pass: &Pass) -> Done<Passing> {
        let now = self.now;
        let Some((id, cursor)) = self.schedule(&pass.schedule)? else { return Ok(Passing::Stale) };
        if cursor.fingerprint != pass.fingerprint {
            return Ok(Passing::Stale);
        }
        if cursor.cursor != pass.cursor {
            return Ok(Passing::Already(cursor.state()));
        }
        let last = pass.passed.last().map_or(pass.cursor, |last| last.last.into());
        if last > now {
            return Ok(Passing::NotYet);
        }
        self.record(id, pass.passed.iter().cloned())?;
        Ok(Passing::Passed)
    }
}
