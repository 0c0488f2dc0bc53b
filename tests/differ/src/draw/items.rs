//! What queries find, and how items end.

use std::time::Duration;

use fastrand::Rng;
use jobs_conformance::call::Call;
use jobs_core::{
    Append, Body, BodyWriter, Effect, End, Failure, FailureKind, Millis, PutCell, Settle, Settlement, Stage,
    Token,
};

use super::{one, runs::want, session};
use crate::{time, view::View, world::PAGE};

pub(super) fn append(rng: &mut Rng, view: &mut View, _: i64) -> Option<Call> {
    let index = *one(rng, &view.fills())?;
    let held = &view.held[index];
    let seq = match rng.u8(..14) {
        0 => held.seq + 1,
        1 => held.seq.saturating_sub(1),
        _ => held.seq,
    };
    let token = if rng.u8(..30) == 0 { Token(7) } else { held.lease.token };
    let last = rng.u8(..5) < 2;
    let cursor = (!last).then(|| seq.to_string().into_bytes());
    let page = (*held.lease.chunk.header.job == *PAGE).then_some(cursor);
    let bodies = (0..rng.usize(..4)).filter_map(|_| body(rng)).collect();
    Some(Call::Append(Append { token, seq, item_type: "u64".into(), bodies, page, last }))
}

fn body(rng: &mut Rng) -> Option<Body> {
    let mut writer = BodyWriter::default();
    for _ in 0..rng.usize(1..6) {
        writer.push(&rng.u32(..1_000)).ok()?;
    }
    writer.finish()
}

pub(super) fn settle(rng: &mut Rng, view: &mut View, now: i64) -> Option<Call> {
    let session = session(rng, view)?;
    let mut settlements = Vec::new();
    let own: Vec<(Token, u32, Stage)> = view
        .open()
        .filter(|(_, held)| held.session == session || rng.u8(..60) == 0)
        .map(|(_, held)| {
            let chunk = &held.lease.chunk;
            (held.lease.token, chunk.count(), chunk.header.stage)
        })
        .collect();
    for (token, count, stage) in own {
        if stage == Stage::Fill && rng.u8(..4) > 0 {
            continue;
        }
        let mut from = if rng.u8(..6) == 0 { rng.u32(..=count) } else { 0 };
        while from < count && rng.u8(..5) > 0 {
            let to = if rng.bool() { count } else { rng.u32(from..=count).max(from + 1) };
            settlements.push(Settlement { token, from, to, end: end(rng, now, stage) });
            from = to;
        }
    }
    if rng.u8(..30) == 0 {
        settlements.push(Settlement { token: Token(7), from: 0, to: 1, end: End::Back });
    }
    let mut effects = Vec::new();
    if !settlements.is_empty() && rng.u8(..8) == 0 {
        let index = rng.usize(..settlements.len());
        let put = PutCell { value: (rng.u8(..4) > 0).then(|| index.into()), ..PutCell::default() };
        effects.push((index, Effect::PutCell { name: "cell/shared".to_owned(), put }));
    }
    let lane = rng.u32(..2);
    let last = view.sessions.get(&session).map_or(0, |peer| peer.lanes[lane as usize]);
    let n = if rng.u8(..30) == 0 { last } else { last + 1 };
    Some(Call::Settle(Settle { session, lane, n, settlements, effects, want: want(rng) }))
}

/// How long an item is made to wait: until an instant, or for some time, whichever is shorter.
fn wait(rng: &mut Rng, now: i64) -> (Millis, Duration) {
    if rng.u8(..3) == 0 {
        // The sender's clock is ahead of the store's: what counts is for how long.
        return (Millis(now + 400 * 24 * 3_600_000), Duration::from_secs(65));
    }
    let at = now.div_euclid(time::STEP) * time::STEP + time::DUE + time::STEP * rng.i64(-1..40);
    (Millis(at), Duration::from_secs(1_000_005))
}

fn failure(rng: &mut Rng, now: i64) -> Box<Failure> {
    let kind = if rng.bool() { FailureKind::Error } else { FailureKind::Timeout };
    Box::new(Failure::new(kind, format!("failure {}", rng.u8(..40)), Millis(now - time::AT).timestamp()))
}

fn end(rng: &mut Rng, now: i64, stage: Stage) -> End {
    match rng.u8(..20) {
        0..3 => {
            let (at, wait) = wait(rng, now);
            End::Retry { at, wait, failure: failure(rng, now) }
        }
        3..5 => {
            let (at, wait) = wait(rng, now);
            End::Snooze { at, wait }
        }
        5..7 => End::Dead(failure(rng, now)),
        7 => End::Discarded("not wanted".to_owned()),
        8 => End::Cancelled,
        9 => End::Expired,
        10 if stage == Stage::Work => End::Undecodable("missing field".to_owned()),
        11..13 => End::Back,
        _ => End::Done(None),
    }
}
