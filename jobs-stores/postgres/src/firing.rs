//! Ticks that fire, ticks that are passed over, and runs by hand.

use jobs_core::{
    Cause, Fire, Firing, Header, IfBusy, Lease, Millis, Pass, Passing, Room, RunId, SessionId, SkipReason,
    TickInfo, Trigger, Verdict, Want,
};

use crate::{
    chunks::Piece,
    fault::Done,
    runs::{Fill, Record},
    sessions::Session,
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

impl Step {
    pub(crate) async fn fire(
        &mut self,
        session: Option<SessionId>,
        fires: &[Fire],
        want: &Want,
    ) -> Done<Vec<Firing>> {
        let names = fires.iter().flat_map(|fire| match &fire.cause {
            Cause::Tick { schedule, .. } => vec![fire.job.to_string(), schedule.to_string()],
            Cause::Manual { .. } => vec![fire.job.to_string()],
        });
        self.lock_jobs(names.collect()).await?;
        let by = match session {
            Some(session) => self.session(session).await?,
            None => None,
        };
        let (mut room, mut answers) = (Room::new(want), Vec::with_capacity(fires.len()));
        for fire in fires {
            answers.push(self.fire_one(session, by.as_ref(), fire, &mut room).await?);
        }
        Ok(answers)
    }

    async fn fire_one(
        &mut self,
        session: Option<SessionId>,
        by: Option<&Session>,
        fire: &Fire,
        room: &mut Room<'_>,
    ) -> Done<Firing> {
        if let Some(answer) = self.refuse(session, by, fire).await? {
            return Ok(answer);
        }
        let run = RunId::new(self.number().await?.0);
        let (trigger, tick, note, request) = match &fire.cause {
            Cause::Tick { tick, trigger, verdict, passed, schedule, .. } => {
                let Some((id, _)) = self.schedule(schedule).await? else { return Ok(Firing::Stale) };
                let fired = TickInfo::fired(tick.timestamp(), *verdict, run);
                self.record(id, passed.iter().cloned().chain([fired])).await?;
                if let Some(cursor) = &mut self.job_mut(id).await?.schedule {
                    cursor.last_fire = Some((*tick, run, session));
                }
                (*trigger, Some(*tick), None, None)
            }
            Cause::Manual { request, note } => (Trigger::Manual, None, note.clone(), Some(*request)),
        };
        let job = self.begin(Made { run, trigger, tick, note, request }, fire).await?;
        let lease = self.lease_first(job, run, by, room).await?;
        Ok(Firing::Fired { run, lease })
    }

    async fn lease_first(
        &mut self,
        job: i64,
        run: RunId,
        by: Option<&Session>,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        let Some(by) = by.filter(|_| room.is_open()) else { return Ok(None) };
        self.flush().await?;
        let lease = self.grant_first(job, run, by, room).await?;
        if let (Some(lease), Some(run)) = (&lease, self.run_mut(run).await?) {
            run.record.first = Some((by.id, lease.token));
        }
        Ok(lease)
    }

    /// Why a fire makes no run, if it does not.
    async fn refuse(
        &mut self,
        session: Option<SessionId>,
        by: Option<&Session>,
        fire: &Fire,
    ) -> Done<Option<Firing>> {
        let known = match &fire.cause {
            Cause::Manual { request, .. } => self.requested(*request, by).await?,
            Cause::Tick { .. } => self.decided(&fire.cause, session, by).await?,
        };
        if known.is_some() {
            return Ok(known);
        }
        if let Some(note) = self.paused(&fire.job).await? {
            return Ok(Some(Firing::Paused { note }));
        }
        let Some(job) = self.known_job(&fire.job).await? else { return Ok(None) };
        if fire.if_busy == IfBusy::Fire {
            return Ok(None);
        }
        let Some(run) = self.busy_run(job).await? else { return Ok(None) };
        self.held_up(fire).await?;
        Ok(Some(Firing::Busy { run }))
    }

    /// The answer to a request that is known already.
    async fn requested(&mut self, request: u64, by: Option<&Session>) -> Done<Option<Firing>> {
        match self.run_of_request(request).await? {
            Some(run) => Ok(Some(Firing::Fired { run, lease: self.first_lease(run, by).await? })),
            None => Ok(None),
        }
    }

    /// The answer to a tick that was decided already, or is not to be yet.
    async fn decided(
        &mut self,
        cause: &Cause,
        session: Option<SessionId>,
        by: Option<&Session>,
    ) -> Done<Option<Firing>> {
        let Cause::Tick { schedule, fingerprint, cursor: expected, tick, at, .. } = cause else {
            return Ok(None);
        };
        let now = self.now;
        let Some((_, cursor)) = self.schedule(schedule).await? else { return Ok(Some(Firing::Stale)) };
        if let Some((fired, run, fired_by)) = cursor.last_fire
            && (fired, fired_by) == (*tick, session)
        {
            return Ok(Some(Firing::Fired { run, lease: self.first_lease(run, by).await? }));
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
    async fn held_up(&mut self, fire: &Fire) -> Done<()> {
        let Cause::Tick { schedule, tick, passed, .. } = &fire.cause else { return Ok(()) };
        let Some((id, _)) = self.schedule(schedule).await? else { return Ok(()) };
        self.record(id, passed.iter().cloned()).await?;
        match fire.if_busy {
            IfBusy::Skip => {
                let skipped = Verdict::Skipped(SkipReason::Overlap);
                self.record(id, [TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped)]).await?;
            }
            IfBusy::Queue => {
                if let Some(cursor) = &mut self.job_mut(id).await?.schedule {
                    cursor.waiting = Some(*tick);
                }
            }
            IfBusy::Wait | IfBusy::Fire => {}
        }
        Ok(())
    }

    /// The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
    async fn first_lease(&mut self, run: RunId, by: Option<&Session>) -> Done<Option<Lease>> {
        let Some(by) = by else { return Ok(None) };
        let first = self.run(run).await?.and_then(|run| run.record.first).filter(|(of, _)| *of == by.id);
        let Some((_, token)) = first else { return Ok(None) };
        Ok(self.leases_again(by.row, &[token]).await?.pop())
    }

    /// Stores a run and its first item, and gives the job.
    async fn begin(&mut self, made: Made, fire: &Fire) -> Done<i64> {
        let Made { run, trigger, tick, note, request } = made;
        let job = self.job_id(&fire.job).await?;
        let record =
            Record { tick, note, fill: fire.query.then(Fill::default), ..Record::new(trigger, self.now) };
        let items = u64::from(!fire.query);
        self.insert_run(run, job, (items, items), request, record).await?;
        let header = Header::of_first_item(fire, run, trigger, tick, self.now);
        self.store(job, Piece::unit(header));
        Ok(job)
    }

    pub(crate) async fn pass_all(&mut self, passes: &[Pass]) -> Done<Vec<Passing>> {
        self.lock_jobs(passes.iter().map(|pass| pass.schedule.to_string()).collect()).await?;
        let mut answers = Vec::with_capacity(passes.len());
        for pass in passes {
            answers.push(self.pass(pass).await?);
        }
        Ok(answers)
    }

    async fn pass(&mut self, pass: &Pass) -> Done<Passing> {
        let now = self.now;
        let Some((id, cursor)) = self.schedule(&pass.schedule).await? else { return Ok(Passing::Stale) };
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
        self.record(id, pass.passed.iter().cloned()).await?;
        Ok(Passing::Passed)
    }
}
