//! Ticks that fire, ticks that are passed over, and runs by hand.

use std::{collections::BTreeMap, sync::Arc};

use jobs_core::{
    Body, Cause, Chunk, Fire, Firing, Header, IfBusy, Lease, Pass, Passing, RunId, SessionId, Stage, Token,
    Want,
    ledger::{self, Decision, Head, Known, Made, QueueKey, QueueKind, Room},
};

use crate::{
    cells::{CellRow, pauses},
    fault::{Done, Fault},
    jobs::{Jobs, OfJob},
    pieces::Piece,
    records::LeaseNew,
    runs::{key, new_run},
    sessions::{SessionRow, session_key},
    step::{Step, sql},
    writes::stage_number,
};

const LOAD: &str = "
    SELECT * FROM session_2($1, $2, false) UNION ALL SELECT * FROM jobs_2($1, $3, $4, $2, true, $5)
    UNION ALL SELECT * FROM requested_2($1, $6) UNION ALL SELECT * FROM pauses_2($1)
    UNION ALL SELECT * FROM numbers_2($5, $7)";
const AGAIN: &str = "SELECT * FROM granted_2($1, $2, '{}', $3)";
const JOBS: &str = "SELECT * FROM jobs_2($1, $2, $2, NULL, false, $3)";

/// Who fires, what it has room for, and what has been read.
struct Firer<'a> {
    id: Option<SessionId>,
    /// The session, if it lives: a lease comes with the answer.
    row: Option<i64>,
    room: Room<'a>,
    jobs: Jobs,
    requested: BTreeMap<u64, RunId>,
    pauses: ledger::Pauses,
    numbers: std::vec::IntoIter<u64>,
}

impl Step {
    pub(crate) async fn fire(
        &mut self,
        session: Option<SessionId>,
        fires: &[Fire],
        want: &Want,
    ) -> Done<Vec<Firing>> {
        let (mut names, mut locked, mut requests) = (Vec::new(), Vec::new(), Vec::new());
        for fire in fires {
            names.push(fire.job.to_string());
            match &fire.cause {
                Cause::Tick { schedule, .. } => {
                    names.push(schedule.to_string());
                    locked.extend([fire.job.to_string(), schedule.to_string()]);
                }
                Cause::Manual { request, .. } => requests.push(request.cast_signed()),
            }
            // A run that does not look whether another one is busy waits for nobody.
            if fire.if_busy != IfBusy::Fire {
                locked.push(fire.job.to_string());
            }
        }
        names.sort_unstable();
        names.dedup();
        let by = session.map(session_key);
        let each = if by.is_some() && want.slots > 0 { 2 } else { 1 };
        let numbers = i32::try_from(fires.len() * each).unwrap_or(i32::MAX);
        let load = sql!(LOAD, self.ns, by, names, locked, self.now.0, requests, numbers);
        let mut facts = self.load(load).await?;
        let row: Option<SessionRow> = facts.one("session");
        let mut firer = Firer {
            id: session,
            row: row.filter(|row| row.session().is_alive(self.now)).map(|row| row.id),
            room: Room::new(want),
            jobs: Jobs::of(&mut facts),
            requested: BTreeMap::new(),
            pauses: pauses(facts.read::<CellRow>("cell")),
            numbers: facts.read::<u64>("number").into_iter(),
        };
        for (request, run, _) in facts.read::<(i64, u64, u64)>("requested") {
            firer.requested.insert(request.cast_unsigned(), RunId::new(run));
        }
        let (mut answers, mut again) = (Vec::with_capacity(fires.len()), Vec::new());
        for fire in fires {
            let answer = self.fire_one(&mut firer, fire, &mut again)?;
            answers.push(answer);
        }
        firer.jobs.write(&mut self.writes)?;
        if !again.is_empty() {
            self.add_first_leases(by, &again, &mut answers).await?;
        }
        self.write().await?;
        Ok(answers)
    }

    fn fire_one(&mut self, firer: &mut Firer<'_>, fire: &Fire, again: &mut Vec<RunId>) -> Done<Firing> {
        let busy = firer.jobs.known.get(&fire.job).and_then(|job| job.busy);
        let (requested, schedule) = match &fire.cause {
            Cause::Manual { request, .. } => (firer.requested.get(request).copied(), None),
            Cause::Tick { schedule, .. } => (None, firer.jobs.known.get_mut(schedule)),
        };
        let paused = firer.pauses.of(&fire.job, self.now);
        let schedule = schedule.and_then(|job| job.schedule.as_mut());
        let mut known = Known { schedule, requested, paused, busy };
        match ledger::decide(fire, &mut known, firer.id, self.now) {
            Decision::Again(run) => {
                again.push(run);
                Ok(Firing::Fired { run, lease: None })
            }
            Decision::Refused(answer, verdicts) => {
                if !verdicts.is_empty() || matches!(answer, Firing::Busy { .. }) {
                    firer.record(fire, verdicts);
                }
                Ok(answer)
            }
            Decision::Makes => self.make(firer, fire),
        }
    }

    fn make(&mut self, firer: &mut Firer<'_>, fire: &Fire) -> Done<Firing> {
        let id = RunId::new(firer.number()?);
        let schedule = match &fire.cause {
            Cause::Tick { schedule, .. } => firer.jobs.known.get_mut(schedule),
            Cause::Manual { .. } => None,
        };
        let schedule = schedule.and_then(|job| job.schedule.as_mut());
        let Made { mut run, first, request, verdicts } = Made::by(fire, id, schedule, firer.id, self.now);
        firer.record(fire, verdicts);
        if let Some(request) = request {
            firer.requested.insert(request, id);
        }
        let job = firer.jobs.make(&fire.job)?;
        if run.is_busy() {
            job.busy = job.busy.or(Some(id));
        }
        let of_job = job.id;
        let lease = firer.lease_first(&mut run, &first)?;
        match &lease {
            Some((session, lease)) => self.writes.leases_new.push(LeaseNew {
                session: *session,
                token: lease.token.0.cast_signed(),
                job: of_job,
                number: key(id),
                stage: stage_number(first.stage),
                header: serde_json::to_string(&first)?,
            }),
            None => {
                let job = firer.jobs.make(&fire.job)?;
                let stands = &mut job.first[place(&first)];
                let here = (first.rank(), key(id));
                *stands = Some(stands.map_or(here, |stands| stands.min(here)));
                self.store(of_job, &Piece::unit(first))?;
            }
        }
        self.writes.runs_new.push(new_run(&run, of_job, request)?);
        Ok(Firing::Fired { run: id, lease: lease.map(|(_, lease)| lease) })
    }

    /// The leases that fires were answered with, for their repeats by the same session; none once they are settled.
    async fn add_first_leases(
        &mut self,
        by: Option<i64>,
        again: &[RunId],
        answers: &mut [Firing],
    ) -> Done<()> {
        // One that was made in this call is not written yet.
        let mut made: BTreeMap<RunId, Lease> = BTreeMap::new();
        for answer in &*answers {
            if let Firing::Fired { run, lease: Some(lease) } = answer {
                made.insert(*run, lease.clone());
            }
        }
        let runs: Vec<i64> =
            again.iter().filter(|run| !made.contains_key(run)).map(|run| key(*run)).collect();
        let mut facts = self.load(sql!(AGAIN, self.ns, by, runs)).await?;
        for first in self.granted(&mut facts).await? {
            made.extend(first.chunk.header.run().map(|run| (run, first)));
        }
        for answer in answers {
            if let Firing::Fired { run, lease: lease @ None } = answer {
                *lease = made.get(run).cloned();
            }
        }
        Ok(())
    }

    pub(crate) async fn pass_all(&mut self, passes: &[Pass]) -> Done<Vec<Passing>> {
        let names: Vec<String> = passes.iter().map(|pass| pass.schedule.to_string()).collect();
        let mut jobs = Jobs::of(&mut self.load(sql!(JOBS, self.ns, names, self.now.0)).await?);
        let mut answers = Vec::with_capacity(passes.len());
        for pass in passes {
            let job = jobs.known.get_mut(&pass.schedule);
            let (schedule, rest) = match job {
                Some(OfJob { schedule, verdicts, schedule_changed, .. }) => {
                    (schedule.as_mut(), Some((verdicts, schedule_changed)))
                }
                None => (None, None),
            };
            let answer = ledger::pass(pass, schedule, self.now);
            if let (Passing::Passed, Some((verdicts, changed))) = (&answer, rest) {
                verdicts.extend(pass.passed.iter().cloned());
                *changed = true;
            }
            answers.push(answer);
        }
        jobs.write(&mut self.writes)?;
        self.write().await?;
        Ok(answers)
    }
}

/// In which of the queues an item stands whose first one is known.
fn place(header: &Header) -> usize {
    usize::from(QueueKey::of(header).kind == QueueKind::Work)
}

impl Firer<'_> {
    fn number(&mut self) -> Done<u64> {
        self.numbers.next().ok_or(Fault::Missing("a number"))
    }

    fn record(&mut self, fire: &Fire, verdicts: Vec<jobs_core::TickInfo>) {
        let Cause::Tick { schedule, .. } = &fire.cause else { return };
        if let Some(job) = self.jobs.known.get_mut(schedule) {
            job.verdicts.extend(verdicts);
            job.schedule_changed = true;
        }
    }

    /// Leases the first item of a run that is made, if there is room and nothing of its kind is before it.
    fn lease_first(&mut self, run: &mut ledger::Run, first: &Header) -> Done<Option<(i64, Lease)>> {
        let (Some(row), Some(id)) = (self.row, self.id) else { return Ok(None) };
        if !self.room.is_open() {
            return Ok(None);
        }
        let job: &Arc<str> = &first.job;
        let Some(of_job) = self.jobs.known.get_mut(job) else { return Ok(None) };
        let Some(link) = of_job.linked.clone() else { return Ok(None) };
        let here = (first.rank(), key(run.id));
        if of_job.first[place(first)].is_some_and(|stands| stands < here) {
            return Ok(None);
        }
        let head = Head::of(first, 1);
        if ledger::share(&mut self.room, &link, &head, of_job.in_flight) == 0 {
            return Ok(None);
        }
        self.room.take(&link, first.stage, 1);
        if first.stage == Stage::Work {
            of_job.in_flight.all += 1;
            of_job.in_flight.of_runs += 1;
        }
        let token = Token(self.number()?);
        run.record.first = Some((id, token));
        run.record.begun = true;
        run.fill_under(token);
        let chunk = Chunk { header: first.clone(), body: Body::unit() };
        Ok(Some((row, Lease { token, chunk, cursor: None })))
    }
}
