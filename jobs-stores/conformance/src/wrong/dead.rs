//! Lies about dead items.

use jobs_core::{Body, Cause, Firing, Trigger};

use super::liar::{Lie, leases};
use crate::call::{Answer, Call};

/// The same items in the opposite order.
fn reversed(body: &Body) -> Body {
    let lines: Vec<&[u8]> = body.items().collect();
    Body::from_bytes(lines.into_iter().rev().flat_map(|line| [line, b"\n"].concat()).collect())
}

pub(super) const LIES: &[Lie] = &[
    Lie::answers(
        "a_requeued_item_begins_anew_in_a_new_run",
        "counts the attempts of a former life",
        |_, answer, _| {
            for lease in leases(answer) {
                if lease.chunk.header.trigger == Trigger::Requeued {
                    lease.chunk.header.attempt += 1;
                }
            }
        },
    ),
    Lie::answers(
        "requeued_items_keep_the_order_of_their_deaths",
        "tries what died last first",
        |_, answer, _| {
            for lease in leases(answer) {
                if lease.chunk.header.trigger == Trigger::Requeued {
                    lease.chunk.body = reversed(&lease.chunk.body);
                }
            }
        },
    ),
    Lie::asks("an_item_is_requeued_once", "does not know a request again", |call, notes| {
        if notes.repeats(call)
            && let Call::Requeue(requeue) = call
        {
            requeue.request = u64::MAX - notes.next();
        }
    }),
    Lie::answers(
        "a_run_of_dead_items_holds_no_tick",
        "takes dead items for a busy run",
        |call, answer, notes| {
            if let Answer::Requeue(Some(requeued)) = answer {
                notes.marks.insert("requeued".to_owned(), requeued.run.number());
            }
            if let (Call::Fire(_, fires, _), Answer::Fire(firings)) = (call, answer) {
                for (fire, firing) in fires.iter().zip(firings) {
                    if let (Cause::Tick { .. }, Some(run)) = (&fire.cause, notes.marks.get("requeued")) {
                        *firing = Firing::Busy { run: jobs_core::RunId::new(*run) };
                    }
                }
            }
        },
    ),
    Lie::answers("a_discarded_death_is_forgotten", "counts what it was asked for", |call, answer, _| {
        if let (Call::Discard(_, items), Answer::Discard(count)) = (call, answer) {
            *count = items.len() as u64;
        }
    }),
];
