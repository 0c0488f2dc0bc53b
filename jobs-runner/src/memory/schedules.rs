//! Schedules: what a session declares, and what becomes of their ticks.

use std::collections::{BTreeMap, BTreeSet};

use jobs_core::{
    Attach, Attached, Body, Cause, Chunk, Counts, Fire, Firing, Header, IfBusy, Lease, Link, Millis, Pass,
    Passing, RunId, SessionId, SkipReason, TickInfo, Trigger, Verdict, Want,
};

use super::{
    granting::Granting,
    job::{Cursor, Job},
    run::{Fill, Run},
    session::Session,
    state::State,
};

/// A run that is made now.
struct Made {
    run: RunId,
    trigger: Trigger,
    tick: Option<Millis>,
    note: Option<String>,
    request: Option<u64>,
}

impl State {
    pub(super) fn attach(&mut self, attach: Attach, now: Millis) -> Attached {
        let mut attached = Attached::default();
        for gone in &attach.gone {
            self.bring_back(*gone, &mut attached.reaped, now);
        }
        let known = self.sessions.remove(&attach.session);
        let again = known.as_ref().is_some_and(|known| attach.links.iter().eq(known.links.values()));
        let mut past = known.as_ref().map(|known| known.past.clone()).unwrap_or_default();
        for link in &attach.links {
            let known = self.jobs.contains_key(&link.job);
            if self.gives_way(link, &attach.links, now) {
                continue;
            }
            // A repeat changes nothing, for it may come after what others have said since; but for a declaration
            // that nobody declares any more, which an older one may follow now.
            if !again {
                self.rename(link, now);
            }
            if !again || !known {
                self.job(&link.job).link = link.clone();
            }
            past.extend(self.declare(link, now).map(|instant| (link.job.clone(), instant)));
            let cursor = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
            if let (Some(_), Some(cursor)) = (&link.schedule, cursor) {
                attached.schedules.insert(link.job.clone(), cursor.state.clone());
            }
        }
        attached.past.clone_from(&past);
        let others = self.sessions.iter().filter(|(_, s)| s.is_alive(now) || !s.leases.is_empty());
        attached.others = others.map(|(id, session)| self.session(*id, session)).collect();
        let links = attach.links.into_iter().map(|link| (link.job.clone(), link)).collect();
        let (lease, node) = (attach.lease, attach.node);
        let session = match known {
            Some(known) => {
                let until = known.until.max(now + lease);
                let connected_at = if known.is_alive(now) { known.connected_at } else { now };
                Session { lease, until, connected_at, node, links, past, ..known }
            }
            None => Session {
                lease,
                until: now + lease,
                connected_at: now,
                node,
                links,
                leases: BTreeSet::new(),
                past,
                lanes: BTreeMap::new(),
            },
        };
        self.sessions.insert(attach.session, session);
        attached
    }

    /// Makes a declaration the current one, if it is new or a rollback. Gives the instant of a schedule that was
    /// past before it was first seen.
    fn declare(&mut self, link: &Link, now: Millis) -> Option<Millis> {
        let declared = link.schedule.as_ref()?;
        let fingerprint = &declared.fingerprint;
        let live =
            |current: &str| self.sessions.values().any(|s| s.is_alive(now) && s.declares(&link.job, current));
        let current = self.jobs.get(&link.job).and_then(|job| job.schedule.as_ref());
        let take = current.is_none_or(|cursor| {
            let current = &cursor.state.fingerprint;
            current != fingerprint && (!cursor.was(fingerprint) || !live(current))
        });
        if !take {
            return None;
        }
        let first = current.is_none_or(|cursor| !cursor.was(fingerprint));
        let job = self.job(&link.job);
        let cursor = job.schedule.get_or_insert_with(|| Cursor::new(now, fingerprint.clone()));
        if cursor.state.fingerprint != *fingerprint {
            cursor.redeclare(fingerprint, now);
        }
        let past = declared.instant.filter(|instant| first && *instant <= now)?;
        cursor.record([TickInfo::passed(past.timestamp(), past.timestamp(), 1, Verdict::Missed)]);
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
        if let Some(answer) = self.refuse(session, fire, now) {
            return answer;
        }
        let run = RunId::new(self.number(now).0);
        let (trigger, tick, note, request) = match &fire.cause {
            Cause::Tick { tick, trigger, verdict, passed, schedule, .. } => {
                let Some(cursor) = self.job(schedule).schedule.as_mut() else { return Firing::Stale };
                let fired = TickInfo::fired(tick.timestamp(), *verdict, run);
                cursor.record(passed.iter().cloned().chain([fired]));
                cursor.last_fire = Some((*tick, run, session));
                (*trigger, Some(*tick), None, None)
            }
            Cause::Manual { request, note } => {
                self.requests.insert(*request, run);
                (Trigger::Manual, None, note.clone(), Some(*request))
            }
        };
        self.begin(Made { run, trigger, tick, note, request }, fire, now);
        let lease = session.and_then(|session| self.grant_first(&fire.job, run, session, granting, now));
        if let (Some(record), Some(session), Some(lease)) = (self.runs.get_mut(&run), session, &lease) {
            record.first = Some((session, lease.token));
        }
        Firing::Fired { run, lease }
    }

    /// Why a fire makes no run, if it does not.
    fn refuse(&mut self, session: Option<SessionId>, fire: &Fire, now: Millis) -> Option<Firing> {
        match &fire.cause {
            Cause::Manual { request, .. } => {
                if let Some(run) = self.requests.get(request).copied() {
                    return Some(Firing::Fired { run, lease: self.first_lease(run, session) });
                }
            }
            Cause::Tick { schedule, fingerprint, cursor: expected, tick, at, .. } => {
                let Some(cursor) = self.jobs.get(schedule).and_then(|job| job.schedule.as_ref()) else {
                    return Some(Firing::Stale);
                };
                if let Some((fired, run, by)) = cursor.last_fire
                    && (fired, by) == (*tick, session)
                {
                    return Some(Firing::Fired { run, lease: self.first_lease(run, session) });
                }
                if cursor.state.fingerprint != *fingerprint {
                    return Some(Firing::Stale);
                }
                if cursor.state.cursor != *expected || *tick <= *expected {
                    return Some(Firing::Already(cursor.state.clone()));
                }
                let at = *at.max(tick);
                if at > now {
                    return Some(Firing::NotYet { wait: at.since(now) });
                }
            }
        }
        if let Some(note) = self.paused(&fire.job, now) {
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
                    cursor.record([TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped)]);
                }
                IfBusy::Queue => cursor.state.waiting = Some(*tick),
                IfBusy::Wait | IfBusy::Fire => {}
            }
        }
        Some(Firing::Busy { run })
    }

    /// The lease that a fire was answered with, for its repeat by the same session; none once it is settled.
    fn first_lease(&self, run: RunId, session: Option<SessionId>) -> Option<Lease> {
        let run = self.runs.get(&run)?;
        let (_, token) = run.first.filter(|(by, _)| Some(*by) == session)?;
        let held = self.leases.get(&token)?;
        let cursor = run.fill.as_ref().and_then(|fill| fill.cursor.clone());
        Some(Lease { token, chunk: held.chunk.clone(), cursor })
    }

    /// Stores a run and its first item.
    fn begin(&mut self, made: Made, fire: &Fire, now: Millis) {
        let Made { run, trigger, tick, note, request } = made;
        let (job, total) = (fire.job.clone(), u64::from(!fire.query));
        let record = Run {
            tick,
            counts: Counts { total, ..Counts::default() },
            fresh: total,
            note,
            request,
            fill: fire.query.then(Fill::default),
            ..Run::new(run, job.clone(), trigger, now)
        };
        self.runs.insert(run, record);
        self.job(&job).busy.insert(run);
        let header = Header::of_first_item(fire, run, trigger, tick, now);
        self.store(Chunk { header, body: Body::unit() }, now);
    }

    pub(super) fn pass(&mut self, pass: Pass, now: Millis) -> Passing {
        let Some(cursor) = self.jobs.get_mut(&pass.schedule).and_then(|job: &mut Job| job.schedule.as_mut())
        else {
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
