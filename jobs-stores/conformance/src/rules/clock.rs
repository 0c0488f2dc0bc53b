//! A store's clock that was in the future for a while: what it stored heals.

use std::time::Duration;

use jobs_core::{Ahead, End, Firing, IfBusy, Millis, ledger};

use super::{
    sessions::silence,
    ticks::{at, stands},
};
use crate::{
    bench::{A, B, Bench, C, FAN, MINUTE, all_numbers, failure, link, state_of, tick},
    violation::{Broken, Check},
};

/// How far the clock was ahead: ten years.
pub(crate) const FAR: i64 = 10 * 365 * 24 * 3_600_000;
/// A little less than a cursor may be ahead and is waited for.
const NEAR: Duration = Duration::from_secs(3_000);

pub(super) fn nothing_waits_longer_than_it_was_meant_to(bench: &mut Bench<'_>) -> Check {
    let (_, lease) = super::settling::leased(bench, 3)?;
    // The sender believes that it is ten years later.
    let at = Millis(bench.now.0 + FAR);
    let retry = End::Retry { at, wait: MINUTE, failure: failure("no", bench.now) };
    bench.settle_part(A, &lease, 0, 1, retry)?;
    let snoozed = bench.settle_part(A, &lease, 1, 2, End::Snooze { at, wait: 2 * MINUTE })?;
    let due = snoozed.next_due.map(|due| due.since(bench.now) <= MINUTE);
    ensure_eq!(due, Some(true), "what is meant to wait a minute is due in a minute");
    // And one that believes that it is earlier.
    let soon = End::Snooze { at: bench.now, wait: 9 * MINUTE };
    bench.settle_part(A, &lease, 2, 3, soon)?;
    ensure_eq!(all_numbers(&bench.lease(A, 9)?), [2], "what is due now waits for nothing");
    bench.advance(MINUTE)?;
    ensure_eq!(all_numbers(&bench.lease(A, 9)?), [0], "a retry is leased after its wait");
    bench.advance(MINUTE)?;
    ensure_eq!(all_numbers(&bench.lease(A, 9)?), [1], "a snoozed item is leased after its wait");
    Ok(())
}

/// Both sessions come back from the future: they are heard of, and may take over after a lease.
fn back(bench: &mut Bench<'_>, heard: &[jobs_core::SessionId]) -> Check {
    bench.shift(-FAR)?;
    for session in heard {
        ensure!(
            bench.beat(*session)?.alive,
            "a session that nobody reaped is renewed, whatever the clock said"
        );
    }
    silence(bench, heard)
}

pub(super) fn a_session_of_a_future_clock_ends_within_a_lease(bench: &mut Bench<'_>) -> Check {
    bench.shift(FAR)?;
    super::settling::leased(bench, 2)?;
    back(bench, &[B])?;
    // At the latest this one notices how far ahead the session's end is.
    bench.reap(B)?;
    silence(bench, &[B])?;
    bench.reap(B)?;
    let sessions: Vec<_> = bench.ask(|store| store.sessions())?.iter().map(|s| s.session).collect();
    ensure_eq!(sessions, [B], "a session lives no longer than its lease, whatever the clock said");
    let leases = bench.lease(B, 9)?;
    ensure_eq!(leases.len(), 1, "its items are ready again, under suspicion");
    Ok(())
}

pub(super) fn what_a_future_clock_made_wait_is_due_after_its_wait(bench: &mut Bench<'_>) -> Check {
    bench.attach(C, &[link(FAN)])?;
    bench.shift(FAR)?;
    let (_, lease) = super::settling::leased(bench, 4)?;
    bench.settle_part(A, &lease, 0, 1, End::snooze(bench.now + MINUTE, bench.now))?;
    let retry = End::retry(bench.now + 2 * MINUTE, bench.now, failure("no", bench.now));
    bench.settle_part(A, &lease, 1, 2, retry)?;
    bench.settle_part(A, &lease, 2, 4, End::Back)?;
    bench.filled(A, FAN, 1)?;
    bench.shift(-FAR)?;
    bench.beat(A)?;
    let ready = bench.lease(A, 9)?;
    ensure_eq!(all_numbers(&ready), [2, 3, 0], "what was ready is ready, whatever the clock said");
    bench.shift(FAR)?;
    back(bench, &[A, B])?;
    // At the latest this one notices how far ahead they are due.
    bench.reap(B)?;
    bench.advance(3 * MINUTE)?;
    let due = all_numbers(&bench.lease(A, 9)?);
    ensure_eq!(due, [0, 1], "what was meant to wait for minutes is due after minutes");
    Ok(())
}

/// Fires a tick while the clock is so far ahead, and attaches anew when it is right again.
fn ahead(bench: &mut Bench<'_>, by: i64) -> Check<(Millis, Vec<Ahead>, jobs_core::ScheduleState)> {
    let attached = bench.attach(A, &[link(FAN)])?;
    let state = state_of(&attached, FAN)?;
    bench.shift(by)?;
    bench.beat(A)?;
    let fires = bench.now - MINUTE;
    bench.fired(A, tick(FAN, &state, fires, IfBusy::Fire))?;
    bench.shift(-by)?;
    let attached = bench.attach(B, &[link(FAN)])?;
    let state = state_of(&attached, FAN)?;
    Ok((fires, attached.ahead, state))
}

pub(super) fn a_cursor_far_ahead_is_set_back_on_record(bench: &mut Bench<'_>) -> Check {
    let before = bench.now;
    let (cursor, ahead, state) = ahead(bench, FAR)?;
    let promised = [Ahead { schedule: FAN.into(), cursor, set_back: true }];
    ensure_eq!(ahead, promised, "a cursor that is years ahead is reported and set back");
    ensure!(
        (before..=bench.now).contains(&state.cursor),
        "a cursor that is set back stands at now, and stands at {}",
        state.cursor
    );
    ensure_eq!(stands(bench, FAN)?, state, "a cursor that is set back stays so");
    let cell = bench.cell(&ledger::ahead_cell(FAN))?;
    let kept = cell.ok_or_else(|| Broken("a cell keeps where the cursor stood".to_owned()))?;
    ensure_eq!(kept.value.get("cursor"), Some(&cursor.0.into()), "a cell keeps where the cursor stood");
    bench.advance(2 * MINUTE)?;
    bench.fired(B, tick(FAN, &state, state.cursor + MINUTE, IfBusy::Fire))?;
    let again = bench.attach(C, &[link(FAN)])?.ahead;
    ensure_eq!(again, [], "a cursor that was set back is not ahead");
    Ok(())
}

pub(super) fn a_cursor_a_little_ahead_is_reported_and_waited_for(bench: &mut Bench<'_>) -> Check {
    let near = i64::try_from(NEAR.as_millis()).unwrap_or(i64::MAX);
    let (cursor, ahead, state) = ahead(bench, near)?;
    let promised = [Ahead { schedule: FAN.into(), cursor, set_back: false }];
    ensure_eq!(ahead, promised, "a cursor that is ahead for less than an hour is reported");
    ensure_eq!(state.cursor, cursor, "a cursor that is ahead for less than an hour stays where it is");
    ensure_eq!(bench.cell(&ledger::ahead_cell(FAN))?, None, "nothing was set back");
    let next = tick(FAN, &at(&state, cursor), cursor + MINUTE, IfBusy::Fire);
    let early = bench.fire(B, next.clone())?;
    ensure!(matches!(early, Firing::NotYet { .. }), "the schedule waits for the clock, and was {early:?}");
    bench.shift(near + 60_000)?;
    bench.beat(B)?;
    bench.fired(B, next).map(drop)
}
