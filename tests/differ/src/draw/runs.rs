//! Sessions, ticks, and runs by hand.

use std::sync::Arc;

use fastrand::Rng;
use jobs_conformance::call::Call;
use jobs_core::{
    Beat, Cause, Fire, IfBusy, JobWant, Millis, Pass, SessionId, SkipReason, TickInfo, Token, Trigger,
    Verdict, Want,
};

use super::{one, session};
use crate::{
    time,
    view::View,
    world::{self, JOBS, ONE, has_query},
};

/// The most sessions that are open at once.
const SESSIONS: usize = 4;

pub(super) fn attach(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    if !view.sessions.is_empty() && (view.sessions.len() >= SESSIONS || rng.bool()) {
        // An open session attaches again: the same, or after its process has linked something else.
        let session = session(rng, view)?;
        let same = view.sessions.get(&session).and_then(|peer| peer.attach.clone());
        return if rng.u8(..3) > 0 {
            same
        } else {
            Some(Call::Attach(world::attach(session, rng, view.renames)))
        };
    }
    view.sessions_made += 1;
    let mut attach = world::attach(SessionId(view.sessions_made), rng, view.renames);
    if rng.u8(..5) == 0 {
        attach.gone = session(rng, view).into_iter().collect();
    }
    Some(Call::Attach(attach))
}

pub(super) fn detach(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    (view.sessions.len() > 1).then(|| session(rng, view)).flatten().map(Call::Detach)
}

pub(super) fn beat(rng: &mut Rng, view: &mut View, now: i64) -> Option<Call> {
    let session = session(rng, view)?;
    let held = (rng.u8(..4) == 0).then(|| {
        let own = view.open().filter(|(_, held)| held.session == session && rng.u8(..4) > 0);
        let mut held: Vec<Token> = own.map(|(_, held)| held.lease.token).collect();
        held.extend((rng.u8(..5) == 0).then_some(Token(7)));
        held
    });
    let as_of = if rng.bool() { Millis::MAX } else { Millis(now - time::AT) };
    Some(Call::Beat(Beat { session, held, as_of, reconnected: rng.u8(..8) == 0 }))
}

/// Room for first items.
pub(super) fn want(rng: &mut Rng) -> Want {
    let jobs = JOBS.iter().filter(|_| rng.u8(..8) == 0);
    let jobs: Vec<&str> = jobs.copied().collect();
    let jobs = jobs.into_iter().map(|job| JobWant {
        job: job.into(),
        slots: rng.u32(..4),
        per_slot: [0, 1, 1, 5, 20][rng.usize(..5)],
    });
    let jobs = jobs.collect();
    Want { slots: [0, 1, 2, 4, 9][rng.usize(..5)], jobs }
}

/// A fire; the `n`-th of its call. Those of one call do not tie.
fn fire(rng: &mut Rng, n: usize, job: &str, cause: Cause) -> Fire {
    Fire {
        job: job.into(),
        cause,
        if_busy: [IfBusy::Skip, IfBusy::Queue, IfBusy::Wait, IfBusy::Fire][rng.usize(..4)],
        priority: [[0, 0, -1], [-1, 5, 3], [7, -7, i16::MAX]][n][rng.usize(..3)],
        query: has_query(job),
        exclusive: job == ONE,
        item_type: "u64".into(),
    }
}

fn caller(rng: &mut Rng, view: &View) -> Option<SessionId> {
    if rng.u8(..8) == 0 { None } else { session(rng, view) }
}

pub(super) fn by_hand(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let fires = (0..rng.usize(1..4)).map(|n| {
        let request = if rng.u8(..10) == 0 { rng.u64(..=view.requests) } else { view.request() };
        let note = rng.bool().then(|| "please".to_owned());
        let job = one(rng, &JOBS).copied().unwrap_or(ONE);
        fire(rng, n, job, Cause::Manual { request, note })
    });
    let fires = fires.collect();
    Some(Call::Fire(caller(rng, view), fires, want(rng)))
}

/// An instant of a schedule, at some time before `now`, or soon. No two jobs have one in common: which of jobs that tie is
/// served first is open.
fn instant(rng: &mut Rng, schedule: &str, now: i64) -> Millis {
    let at = now - 60_000 * rng.i64(-1..12);
    let job = JOBS.iter().position(|job| *job == schedule).unwrap_or_default();
    Millis(at.div_euclid(time::STEP) * time::STEP + time::TICK + i64::try_from(job).unwrap_or_default())
}

/// Instants that are passed over on the way there.
fn passed(rng: &mut Rng, from: Millis, to: Millis) -> Vec<TickInfo> {
    let mut passed = Vec::new();
    let mut at = from.0.div_euclid(time::STEP) * time::STEP + time::TICK + 6 * time::STEP;
    while at < to.0 && passed.len() < 4 && rng.u8(..3) > 0 {
        let last = (at + 60_000 * rng.i64(0..3)).min(to.0 - time::STEP);
        if last < at {
            break;
        }
        let verdict = match rng.u8(..4) {
            0 => Verdict::Skipped(SkipReason::Paused),
            1 => Verdict::Skipped(SkipReason::Replaced),
            _ => Verdict::Missed,
        };
        passed.push(TickInfo::passed(
            Millis(at).timestamp(),
            Millis(last).timestamp(),
            1 + u64::try_from((last - at) / 60_000).unwrap_or(0),
            verdict,
        ));
        at = last + 60_000;
    }
    passed
}

pub(super) fn tick(rng: &mut Rng, view: &mut View, now: i64) -> Option<Call> {
    let schedules: Vec<Arc<str>> = view.states.keys().cloned().collect();
    let mut fires = Vec::new();
    for n in 0..rng.usize(1..4) {
        let schedule = one(rng, &schedules)?.clone();
        let state = view.states.get(&schedule)?.clone();
        let tick = match state.waiting {
            Some(waiting) if rng.bool() => {
                let at = instant(rng, &schedule, now).0;
                Millis(waiting.0 + at.rem_euclid(1_000))
            }
            _ => instant(rng, &schedule, now),
        };
        let cause = Cause::Tick {
            fingerprint: if rng.u8(..12) == 0 { "unknown".into() } else { state.fingerprint.clone() },
            cursor: if rng.u8(..12) == 0 { instant(rng, &schedule, now) } else { state.cursor },
            tick,
            at: if rng.u8(..5) == 0 { Millis(tick.0 + 20_000) } else { tick },
            verdict: if rng.bool() { Verdict::Fired } else { Verdict::Late },
            trigger: if rng.bool() { Trigger::Schedule } else { Trigger::CatchUp },
            passed: passed(rng, state.cursor, tick),
            schedule: schedule.clone(),
        };
        if fires.iter().all(|other: &Fire| *other.job != *schedule) {
            fires.push(fire(rng, n, &schedule, cause));
        }
    }
    Some(Call::Fire(caller(rng, view), fires, want(rng)))
}

pub(super) fn pass(rng: &mut Rng, view: &mut View, now: i64) -> Option<Call> {
    let schedules: Vec<Arc<str>> = view.states.keys().cloned().collect();
    let schedule = one(rng, &schedules)?.clone();
    let state = view.states.get(&schedule)?.clone();
    let to = instant(rng, &schedule, now);
    let passed = passed(rng, state.cursor, to);
    if passed.is_empty() {
        return None;
    }
    let cursor = if rng.u8(..12) == 0 { to } else { state.cursor };
    Some(Call::Pass(vec![Pass { schedule, fingerprint: state.fingerprint, cursor, passed }]))
}
