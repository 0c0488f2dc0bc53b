//! Ticks that fire, ticks that are passed over, and runs by hand.

use std::sync::Arc;

use jobs_core::{
    Cause, Fire, Firing, Lease, Millis, Pass, Passing, RunId, SessionId, TickInfo, Want,
    ledger::{self, Cursor, Decision, Known, Made, Room, decide},
};

use crate::{fault::Done, pieces::Piece, rows::JobRow, step::Step};

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
        let requested = match &fire.cause {
            Cause::Manual { request, .. } => self.run_of_request(*request)?,
            Cause::Tick { .. } => None,
        };
        let paused = self.pauses()?.of(&fire.job, self.now);
        let busy = match self.known_job(&fire.job)? {
            Some(job) => self.busy_run(job)?,
            None => None,
        };
        let scheduled = match &fire.cause {
            Cause::Tick { schedule, .. } => self.known_job(schedule)?,
            Cause::Manual { .. } => None,
        };
        let now = self.now;
        let mut job = self.scheduled(scheduled)?;
        let mut known =
            Known { schedule: job.as_mut().and_then(|job| job.schedule.as_mut()), requested, paused, busy };
        match decide(fire, &mut known, session, now) {
            Decision::Again(run) => {
                return Ok(Firing::Fired { run, lease: self.first_lease(run, session)? });
            }
            Decision::Refused(firing, verdicts) => {
                // A cursor moves only over ticks that a busy run holds back.
                if matches!(firing, Firing::Busy { .. }) {
                    self.record_of(scheduled, verdicts)?;
                }
                return Ok(firing);
            }
            Decision::Makes => {}
        }
        let id = RunId::new(self.number()?.0);
        let mut job = self.scheduled(scheduled)?;
        let cursor = job.as_mut().and_then(|job| job.schedule.as_mut());
        let made = Made::by(fire, id, cursor, session, now);
        let run = made.run.id;
        let job = self.begin(&fire.job, scheduled, made)?;
        let lease = match session {
            Some(session) => self.lease_first(job, run, session, room)?,
            None => None,
        };
        Ok(Firing::Fired { run, lease })
    }

    /// The job whose schedule is decided about. It is written only if something of it is dirty.
    fn scheduled(&mut self, job: Option<i64>) -> Done<Option<&mut JobRow>> {
        match job {
            Some(job) => self.job(job),
            None => Ok(None),
        }
    }

    /// Records verdicts, over which the cursor of the job has moved.
    fn record_of(&mut self, job: Option<i64>, verdicts: Vec<TickInfo>) -> Done<()> {
        let Some(job) = job else { return Ok(()) };
        self.moved(job)?;
        self.record(job, verdicts)
    }

    /// Stores a run and its first item, and returns the job's id.
    fn begin(&mut self, job: &Arc<str>, scheduled: Option<i64>, made: Made) -> Done<i64> {
        let Made { run, first, request, verdicts } = made;
        self.record_of(scheduled, verdicts)?;
        let job = self.job_id(job)?;
        self.insert_run(job, run, request)?;
        self.store(job, &Piece::unit(first))?;
        Ok(job)
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
        if let Some(lease) = &lease
            && let Some(row) = self.change_run(run)?
        {
            row.run.record.first = Some((session, lease.token));
        }
        Ok(lease)
    }

    /// The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
    fn first_lease(&mut self, run: RunId, session: Option<SessionId>) -> Done<Option<Lease>> {
        let Some(id) = session else { return Ok(None) };
        let first = self.run(run)?.and_then(|row| row.run.record.first).filter(|(by, _)| *by == id);
        let Some((_, token)) = first else { return Ok(None) };
        match self.session(id)? {
            Some(by) => self.lease_again(by.row, token),
            None => Ok(None),
        }
    }

    pub(crate) fn pass(&mut self, pass: &Pass) -> Done<Passing> {
        let scheduled = self.known_job(&pass.schedule)?;
        let now: Millis = self.now;
        let mut job = self.scheduled(scheduled)?;
        let schedule: Option<&mut Cursor> = job.as_mut().and_then(|job| job.schedule.as_mut());
        let passing = ledger::pass(pass, schedule, now);
        if passing == Passing::Passed {
            self.record_of(scheduled, pass.passed.clone())?;
        }
        Ok(passing)
    }
}
