//! Lies about how much one step does.

use jobs_core::{Cancellation, Settle, Want};

use super::liar::{Liar, Lie};
use crate::call::{Answer, Call, Outcome};

/// More steps than anything takes that is to be done here.
const STEPS: usize = 8;

/// Makes ready all that is due, in one operation.
async fn all_that_is_due(liar: &Liar, call: Call) -> Outcome {
    if let Call::Settle(settle) = &call {
        for _ in 0..STEPS {
            let n = liar.notes().next();
            let more = Settle {
                lane: 991,
                n,
                settlements: Vec::new(),
                effects: Vec::new(),
                want: Want::default(),
                ..settle.clone()
            };
            liar.quietly(Call::Settle(more)).await?;
        }
    }
    liar.truly(call).await
}

/// Does all that there is for a reap to do, in one operation.
async fn all_that_is_dead(liar: &Liar, call: Call) -> Outcome {
    let mut reply = liar.truly(call.clone()).await?;
    for _ in 0..STEPS {
        let (Call::Reap(_), Answer::Reap(reaped)) = (&call, &mut reply.value) else { return Ok(reply) };
        if !reaped.more {
            break;
        }
        if let Answer::Reap(next) = liar.truly(call.clone()).await?.value {
            reaped.items += next.items;
            reaped.dead.extend(next.dead);
            reaped.more = next.more;
        }
    }
    Ok(reply)
}

pub(super) const LIES: &[Lie] = &[
    Lie::acts(
        "what_is_due_at_once_becomes_ready_step_by_step",
        "makes all that is due ready in one step",
        |liar, call| Box::pin(all_that_is_due(liar, call)),
    ),
    Lie::answers(
        "what_is_due_at_once_becomes_ready_step_by_step",
        "does not say that more is due",
        |_, answer, notes| {
            if let Answer::Settle(settled) = answer {
                settled.next_due = settled.next_due.filter(|due| *due > notes.now);
            }
        },
    ),
    Lie::answers(
        "a_cancel_of_many_goes_on_until_all_have_ended",
        "does not say that more of a cancelled run waits",
        |_, answer, _| {
            if let Answer::Cancel(Cancellation::Cancelled { more }) = answer {
                *more = false;
            }
        },
    ),
    Lie::acts(
        "a_reap_of_many_leases_goes_on_until_all_are_back",
        "takes back all that a dead session held in one step",
        |liar, call| Box::pin(all_that_is_dead(liar, call)),
    ),
    Lie::answers(
        "a_detach_of_many_leases_gives_all_back_uncharged",
        "does not say that a session that leaves still holds something",
        |_, answer, _| {
            if let Answer::Detach(more) = answer {
                *more = false;
            }
        },
    ),
    Lie::acts(
        "undecodable_items_end_step_by_step",
        "ends all items that nobody can decode in one step",
        |liar, call| Box::pin(all_that_is_dead(liar, call)),
    ),
    Lie::answers(
        "many_failures_in_one_call_are_kept_each_with_its_item",
        "mixes up the failures of items that died together",
        |_, answer, _| {
            if let Answer::Dead(dead) = answer
                && let [first, .., last] = dead.as_mut_slice()
            {
                std::mem::swap(&mut first.attempts, &mut last.attempts);
            }
        },
    ),
];
