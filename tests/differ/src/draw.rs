//! Draws the next operation, from chance and from what a caller knows.

mod items;
mod runs;
mod upkeep;

use fastrand::Rng;
use jobs_conformance::call::Call;
use jobs_core::SessionId;

use crate::{time, view::View};

/// What happens next.
#[derive(Clone, Debug)]
pub enum Next {
    /// An operation, so many milliseconds later.
    Call {
        /// How much later; earlier, if negative.
        later: i64,
        /// The operation.
        call: Box<Call>,
    },
    /// The connections are lost, and opened anew.
    Reconnect,
}

/// Something that may happen, with how often it does.
type Draw = fn(&mut Rng, &mut View, i64) -> Option<Call>;

const DRAWS: &[(u32, Draw)] = &[
    (6, runs::attach),
    (2, runs::detach),
    (8, runs::beat),
    (10, runs::tick),
    (9, runs::by_hand),
    (3, runs::pass),
    (14, items::append),
    (34, items::settle),
    (5, upkeep::complete),
    (2, upkeep::cancel),
    (2, upkeep::requeue),
    (1, upkeep::discard),
    (6, upkeep::reap),
    (2, upkeep::prune),
    (5, upkeep::cell),
    (12, upkeep::read),
    (4, repeat),
    (3, late),
];

/// Draws what happens next, when it is `now`.
pub fn next(rng: &mut Rng, view: &mut View, now: i64) -> Next {
    if rng.u8(..60) == 0 {
        return Next::Reconnect;
    }
    let later = later(rng, now);
    // What cannot be drawn yet is left out.
    let call = (0..20).find_map(|_| draw(rng, view, now + later)).unwrap_or(Call::Jobs);
    Next::Call { later, call: Box::new(call) }
}

fn draw(rng: &mut Rng, view: &mut View, now: i64) -> Option<Call> {
    let all: u32 = DRAWS.iter().map(|(often, _)| *often).sum();
    let mut at = rng.u32(..all);
    let drawn = DRAWS.iter().find(|(often, _)| {
        let found = at < *often;
        at = at.saturating_sub(*often);
        found
    });
    drawn.and_then(|(_, draw)| draw(rng, view, now))
}

/// How much later the next operation happens. A clock that was in the future comes back.
fn later(rng: &mut Rng, now: i64) -> i64 {
    const HOUR: i64 = 3_600_000;
    const YEARS: i64 = 10 * 365 * 24 * HOUR;
    let is_future = now > time::START + YEARS / 2;
    if is_future && rng.u8(..6) == 0 {
        // It does not come back to an instant that has been: see `time`.
        return -YEARS + time::STEP;
    }
    match rng.u16(..1_000) {
        0..2 if !is_future => YEARS,
        2..30 => HOUR * rng.i64(1..30) / 10 / time::STEP * time::STEP,
        30..60 => 620_000,
        60..160 => 60 * time::STEP / 6 * rng.i64(1..12),
        _ => time::STEP,
    }
}

/// A session: mostly one that is open, rarely one that is over or never was.
fn session(rng: &mut Rng, view: &View) -> Option<SessionId> {
    if rng.u8(..40) == 0 {
        return view.gone.get(rng.usize(..view.gone.len().max(1))).copied().or(Some(SessionId(u64::MAX)));
    }
    let open: Vec<_> = view.sessions.keys().copied().collect();
    (!open.is_empty()).then(|| open[rng.usize(..open.len())])
}

/// The last call again: its answer was lost.
fn repeat(_: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    view.calls.last().cloned()
}

/// A call again that others have followed: its first copy was long on its way.
fn late(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    (!view.calls.is_empty()).then(|| view.calls[rng.usize(..view.calls.len())].clone())
}

/// One of these.
fn one<'a, T>(rng: &mut Rng, of: &'a [T]) -> Option<&'a T> {
    (!of.is_empty()).then(|| &of[rng.usize(..of.len())])
}
