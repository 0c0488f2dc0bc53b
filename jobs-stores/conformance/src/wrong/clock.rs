//! Lies about what a clock of the future has stored.

use std::time::Duration;

use jobs_core::{BoxFuture, End, Millis};

use super::liar::{Liar, Lie, Notes, ends};
use crate::call::{Answer, Call, Outcome};

/// Longer than anything is meant to wait here.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// How far ahead a clock is that is of the future.
const AHEAD: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Whether the clock is far ahead of what it first said.
fn is_future(notes: &mut Notes) -> bool {
    let now = notes.now;
    let first = *notes.marks.entry("first".to_owned()).or_insert(now.0.unsigned_abs());
    now.since(Millis(i64::try_from(first).unwrap_or(i64::MAX))) > AHEAD
}

/// Keeps sessions alive that were last heard of in the future.
fn keep_alive(liar: &Liar, call: Call) -> BoxFuture<'_, Outcome> {
    Box::pin(async move {
        if let Call::Reap(reaper) = call {
            let now = liar.now().await?;
            let of_the_future: Vec<_> = {
                let notes = liar.notes();
                let heard = notes.heard.iter().filter(|(_, (_, heard))| heard.since(now) > AHEAD);
                heard.map(|(session, _)| *session).filter(|session| *session != reaper).collect()
            };
            for session in of_the_future {
                let beat = jobs_core::Beat { session, held: None, as_of: Millis::MAX, reconnected: false };
                liar.quietly(Call::Beat(beat)).await?;
            }
        }
        liar.truly(call).await
    })
}

pub(super) const LIES: &[Lie] = &[
    Lie::asks("nothing_waits_longer_than_it_was_meant_to", "goes by the sender's clock", |call, _| {
        for (_, end) in ends(call) {
            if let End::Retry { wait, .. } | End::Snooze { wait, .. } = end {
                *wait = 20 * LONG;
            }
        }
    }),
    Lie::acts(
        "a_session_of_a_future_clock_ends_within_a_lease",
        "believes a session's end, however far ahead it is",
        |liar, call| keep_alive(liar, call),
    ),
    Lie::asks(
        "what_a_future_clock_made_wait_is_due_after_its_wait",
        "believes a due time, however far ahead it is",
        |call, notes| {
            let future = is_future(notes);
            for (_, end) in ends(call).filter(|_| future) {
                if let End::Retry { at, wait, .. } | End::Snooze { at, wait } = end {
                    *at = *at + LONG;
                    *wait += LONG;
                }
            }
        },
    ),
    Lie::answers(
        "a_cursor_far_ahead_is_set_back_on_record",
        "waits for a clock of the future to come true",
        |_, answer, _| {
            if let Answer::Attach(attached) = answer {
                for ahead in attached.ahead.iter_mut().filter(|ahead| ahead.set_back) {
                    ahead.set_back = false;
                    if let Some(state) = attached.schedules.get_mut(&ahead.schedule) {
                        state.cursor = ahead.cursor;
                    }
                }
            }
        },
    ),
    Lie::answers(
        "a_cursor_a_little_ahead_is_reported_and_waited_for",
        "says nothing of a cursor that is ahead",
        |_, answer, _| {
            if let Answer::Attach(attached) = answer {
                attached.ahead.clear();
            }
        },
    ),
];
