//! Lies about what is leased: order, room, limits.

use jobs_core::{
    Attach, Body, BoxFuture, Cause, End, JobWant, Lease, Overlap, SessionId, Settle, Stage, Want,
};

use super::liar::{Liar, Lie, fires, leases, links};
use crate::{
    bench::{FAN, FAN_TOO, slots},
    call::{Answer, Call, Outcome},
};

/// Leases an item of each job instead of one in all, and gives back the one that should have been kept, if they
/// are `alike`.
fn second_best(liar: &Liar, call: Call, alike: fn(&Lease, &Lease) -> bool) -> BoxFuture<'_, Outcome> {
    Box::pin(async move {
        let one =
            matches!(&call, Call::Settle(settle) if settle.want == slots(1) && settle.settlements.is_empty());
        let Call::Settle(settle) = &call else { return liar.truly(call).await };
        if !one || liar.notes().repeats(&call) {
            return liar.truly(call).await;
        }
        let each = |job: &str| JobWant { job: job.into(), slots: 1, per_slot: 1 };
        let want = Want { slots: 2, jobs: vec![each(FAN), each(FAN_TOO)] };
        let mut reply = liar.truly(Call::Settle(Settle { want, ..settle.clone() })).await?;
        if let Answer::Settle(settled) = &mut reply.value
            && settled.leases.len() == 2
        {
            let keep = usize::from(alike(&settled.leases[0], &settled.leases[1]));
            let back = settled.leases.remove(1 - keep);
            liar.settle_for(back.token, 0, back.chunk.count(), End::Back).await?;
        }
        Ok(reply)
    })
}

pub(super) const LIES: &[Lie] = &[
    Lie::answers(
        "items_are_leased_in_the_querys_order",
        "hands out the later chunks of a run from their end",
        |_, answer, _| {
            for lease in leases(answer).into_iter().filter(|lease| lease.chunk.header.start >= 30) {
                let mut lines: Vec<&[u8]> = lease.chunk.body.items().collect();
                lines.reverse();
                let bytes = lines.into_iter().flat_map(|line| [line, b"\n"].concat()).collect();
                lease.chunk.body = Body::from_bytes(bytes);
            }
        },
    ),
    Lie::asks("items_are_leased_in_the_querys_order", "drops the last chunk of many", |call, _| {
        if let Call::Append(append) = call
            && append.bodies.len() == 4
        {
            append.bodies.pop();
        }
    }),
    Lie::asks("a_higher_priority_is_leased_first", "forgets priorities", |call, _| {
        for fire in fires(call) {
            fire.priority = 0;
        }
    }),
    Lie::acts("what_is_due_earlier_is_leased_first", "does not look at when items are due", |liar, call| {
        second_best(liar, call, |one, other| {
            let (one, other) = (&one.chunk.header, &other.chunk.header);
            one.priority == other.priority && one.due != other.due
        })
    }),
    Lie::acts("jobs_that_tie_take_turns", "serves jobs that tie by their names", |liar, call| {
        second_best(liar, call, |one, other| {
            let (one, other) = (&one.chunk.header, &other.chunk.header);
            (one.priority, one.due) == (other.priority, other.due) && one.job > other.job
        })
    }),
    Lie::asks("an_older_run_is_leased_first", "leases the newest run first", |call, notes| {
        for fire in fires(call) {
            if let (Cause::Manual { .. }, 0) = (&fire.cause, fire.priority) {
                fire.priority = i16::try_from(notes.next()).unwrap_or_default();
            }
        }
    }),
    Lie::asks("no_more_is_leased_than_there_are_slots", "leases more than there are slots", |call, _| {
        if let Call::Settle(settle) = call
            && settle.want.jobs.is_empty()
        {
            settle.want.slots *= 2;
        }
    }),
    Lie::asks("a_job_gets_no_more_than_its_room", "forgets how much a job has room for", |call, _| {
        for link in links(call) {
            link.concurrency = 1_000;
        }
    }),
    Lie::asks("a_slot_gets_what_it_works_off", "leases at most twenty items per slot", |call, _| {
        if let Call::Settle(settle) = call {
            settle.want.jobs.iter_mut().for_each(|job| job.per_slot = job.per_slot.min(20));
        }
    }),
    Lie::asks("global_concurrency_is_exact", "knows no limit over all runners", |call, _| {
        for link in links(call) {
            link.global_concurrency = None;
        }
    }),
    Lie::acts(
        "the_leases_of_an_expired_session_hold_no_slot",
        "counts leases that have expired",
        |liar, call| {
            Box::pin(async move {
                let others: Vec<_> = match &call {
                    Call::Settle(settle) => {
                        let notes = liar.notes();
                        let limited =
                            |attach: &Attach| attach.links.iter().any(|l| l.global_concurrency.is_some());
                        let others = notes.attached.values().filter(|other| limited(other));
                        others.map(|other| other.session).filter(|other| *other != settle.session).collect()
                    }
                    _ => Vec::new(),
                };
                for session in others {
                    liar.truly(Call::Beat(jobs_core::Beat {
                        session,
                        held: None,
                        reconnected: false,
                        as_of: jobs_core::Millis::MAX,
                    }))
                    .await?;
                }
                liar.truly(call).await
            })
        },
    ),
    Lie::asks(
        "an_exclusive_job_runs_one_attempt_at_a_time",
        "lets attempts of exclusive jobs overlap",
        |call, _| {
            for link in links(call) {
                link.overlap = Overlap::Allow;
            }
        },
    ),
    Lie::answers(
        "a_query_counts_against_no_limit_of_its_job",
        "leases no fill item of a job that has no room",
        |call, answer, _| {
            if let (Call::Settle(settle), Answer::Settle(settled)) = (call, answer) {
                let full =
                    |job: &str| settle.want.jobs.iter().any(|want| &*want.job == job && want.slots == 0);
                settled.leases.retain(|lease| {
                    lease.chunk.header.stage != Stage::Fill || !full(&lease.chunk.header.job)
                });
            }
        },
    ),
    Lie::acts("suspects_are_leased_one_at_a_time", "hands out two suspects", |liar, call| {
        Box::pin(async move {
            let mut reply = liar.truly(call.clone()).await?;
            let (Call::Settle(settle), Answer::Settle(settled)) = (call, &mut reply.value) else {
                return Ok(reply);
            };
            let attach = liar.notes().attached.get(&settle.session).cloned();
            let Some(attach) =
                attach.filter(|_| settled.leases.iter().any(|lease| lease.chunk.header.suspect))
            else {
                return Ok(reply);
            };
            // In another's name.
            let session = SessionId(0x1000 + settle.session.0);
            let n = liar.notes().next();
            liar.truly(Call::Attach(Attach { session, ..attach })).await?;
            let settle =
                Settle { session, lane: 0, n, settlements: Vec::new(), effects: Vec::new(), want: slots(1) };
            if let Answer::Settle(more) = liar.truly(Call::Settle(settle)).await?.value {
                settled.leases.extend(more.leases);
            }
            Ok(reply)
        })
    }),
];
