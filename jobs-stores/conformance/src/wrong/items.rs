//! Lies about settlements, and about how items end.

use jobs_core::{Effect, End, FailureKind, Settle, Settlement};

use super::liar::{Lie, ends, leases, report};
use crate::{
    bench::failure,
    call::{Answer, Call},
};

pub(super) const LIES: &[Lie] = &[
    Lie::answers(
        "an_item_is_settled_once",
        "counts an item each time it is settled",
        |call, answer, notes| {
            if let (Call::Settle(settle), Answer::Settle(settled)) = (call, &*answer) {
                for Settlement { token, from, to, end } in &settle.settlements {
                    let run = notes.run(*token).filter(|_| !settled.lost.contains(token));
                    if let (Some(run), End::Discarded(_)) = (run, end) {
                        *notes.marks.entry(run.to_string()).or_default() += u64::from(to - from);
                    }
                }
            }
            if let Some(report) = report(answer)
                && let Some(discarded) = notes.marks.get(&report.id.to_string())
            {
                report.counts.discarded = *discarded;
            }
        },
    ),
    Lie::acts(
        "a_settlement_needs_the_session",
        "lets a session settle what another one holds",
        |liar, call| {
            Box::pin(async move {
                let mut reply = liar.truly(call.clone()).await?;
                if let (Call::Settle(settle), Answer::Settle(settled)) = (call, &mut reply.value) {
                    for Settlement { token, from, to, end } in settle.settlements {
                        let other =
                            liar.notes().leases.get(&token).is_some_and(|(by, _)| *by != settle.session);
                        if settled.lost.contains(&token) && other {
                            liar.settle_for(token, from, to, end).await?;
                            settled.lost.retain(|lost| *lost != token);
                        }
                    }
                }
                Ok(reply)
            })
        },
    ),
    Lie::asks("a_settlement_needs_the_token", "knows an item by its id, not by its lease", |call, notes| {
        if let Call::Settle(settle) = call {
            for settlement in &mut settle.settlements {
                let place = |token| {
                    let (_, lease) = notes.leases.get(&token)?;
                    Some((lease.chunk.header.number, lease.chunk.header.stage, lease.chunk.header.start))
                };
                let same = |token: &jobs_core::Token| place(*token) == place(settlement.token);
                if let Some(newest) = notes.leases.keys().rev().copied().find(same) {
                    settlement.token = newest;
                }
            }
        }
    }),
    Lie::answers("lost_leases_are_told", "does not tell of lost leases", |_, answer, _| {
        if let Answer::Settle(settled) = answer {
            settled.lost.clear();
        }
    }),
    Lie::asks("a_repeated_call_of_a_lane_gets_the_same_leases", "leases anew for a repeat", |call, notes| {
        if notes.repeats(call)
            && let Call::Settle(settle) = call
        {
            settle.lane = 100 + u32::try_from(notes.next()).unwrap_or_default();
        }
    }),
    Lie::asks(
        "an_older_call_of_a_lane_changes_nothing",
        "does calls in the order of their arrival",
        |call, notes| {
            let newer = |other: &Call, settle: &Settle| match other {
                Call::Settle(other) => {
                    (other.session, other.lane) == (settle.session, settle.lane) && other.n > settle.n
                }
                _ => false,
            };
            if let Call::Settle(settle) = call
                && notes.calls.iter().any(|other| newer(other, settle))
            {
                settle.lane = 100 + u32::try_from(notes.next()).unwrap_or_default();
            }
        },
    ),
    Lie::acts(
        "effects_happen_with_their_settlement",
        "has effects without their settlement",
        |liar, call| {
            Box::pin(async move {
                let effects = match &call {
                    Call::Settle(settle) => settle.effects.clone(),
                    _ => Vec::new(),
                };
                let reply = liar.truly(call).await?;
                for (_, Effect::PutCell { name, put }) in effects {
                    let Answer::Get(there) = liar.truly(Call::Get(name.clone())).await?.value else {
                        continue;
                    };
                    liar.truly(Call::PutIf(name, there.map_or(0, |cell| cell.version), put)).await?;
                }
                Ok(reply)
            })
        },
    ),
    Lie::answers("a_done_item_is_counted", "counts a range of three as two", |_, answer, _| {
        if let Some(report) = report(answer)
            && report.counts.ok == 3
        {
            report.counts.ok = 2;
        }
    }),
    Lie::asks(
        "a_retried_item_comes_back_as_its_next_attempt",
        "does not count failed attempts",
        |call, _| {
            for (_, end) in ends(call) {
                if let End::Retry { at, wait, .. } = end {
                    *end = End::Snooze { at: *at, wait: *wait };
                }
            }
        },
    ),
    Lie::asks("a_retry_waits_for_its_time", "tries again at once", |call, notes| {
        for (_, end) in ends(call) {
            if let End::Retry { at, .. } = end {
                *at = notes.now;
            }
        }
    }),
    Lie::asks("a_snoozed_item_comes_back_uncharged", "counts a snooze as an attempt", |call, _| {
        for (_, end) in ends(call) {
            if let End::Snooze { at, wait } = end {
                *end = End::Retry { at: *at, wait: *wait, failure: failure("snoozed", *at) };
            }
        }
    }),
    Lie::answers(
        "a_dead_item_keeps_its_payload_and_failures",
        "keeps the last failure alone",
        |_, answer, _| {
            if let Answer::Dead(dead) = answer {
                for item in dead {
                    let last = item.attempts.pop();
                    item.attempts = last.into_iter().collect();
                }
            }
        },
    ),
    Lie::answers(
        "the_end_of_a_query_forgets_no_attempt_of_an_item",
        "keeps the last attempt of an item alone",
        |_, answer, _| {
            if let Answer::Dead(dead) = answer {
                for item in dead {
                    let before = item.attempts.len().saturating_sub(1);
                    item.attempts.drain(..before);
                }
            }
        },
    ),
    Lie::answers("dead_items_are_listed_newest_first", "lists dead items by their ids", |_, answer, _| {
        if let Answer::Dead(dead) = answer {
            dead.sort_by_key(|item| std::cmp::Reverse(item.id));
        }
    }),
    Lie::answers("a_run_keeps_its_errors", "forgets what failed attempts said", |_, answer, _| {
        if let Some(report) = report(answer) {
            report.errors.clear();
        }
    }),
    Lie::asks("a_discarded_item_is_counted", "takes a discarded item for a done one", |call, _| {
        for (_, end) in ends(call) {
            if matches!(end, End::Discarded(_)) {
                *end = End::Done(None);
            }
        }
    }),
    Lie::asks("a_cancelled_item_is_counted", "takes a cancelled item for an expired one", |call, _| {
        for (_, end) in ends(call) {
            if *end == End::Cancelled {
                *end = End::Expired;
            }
        }
    }),
    Lie::asks("an_expired_item_is_counted", "takes an expired item for a cancelled one", |call, _| {
        for (_, end) in ends(call) {
            if *end == End::Expired {
                *end = End::Cancelled;
            }
        }
    }),
    Lie::asks(
        "given_back_items_return_to_their_place",
        "puts what is given back behind the rest",
        |call, notes| {
            for (_, end) in ends(call) {
                if *end == End::Back {
                    *end = End::snooze(notes.now, notes.now);
                }
            }
        },
    ),
    Lie::asks(
        "a_build_that_cannot_decode_is_not_offered_the_item_again",
        "offers an item again and again to a build that cannot decode it",
        |call, _| {
            for (_, end) in ends(call) {
                if matches!(end, End::Undecodable(_)) {
                    *end = End::Back;
                }
            }
        },
    ),
    Lie::asks(
        "an_undecodable_item_lives_a_quarter_of_an_hour",
        "lets an item die of the first build that cannot decode it",
        |call, notes| {
            for (_, end) in ends(call) {
                if let End::Undecodable(message) = end {
                    let mut why = failure(message, notes.now);
                    why.kind = FailureKind::Undecodable;
                    *end = End::Dead(why);
                }
            }
        },
    ),
    Lie::asks("an_undecodable_item_waits_for_every_live_build", "takes all builds for one", |call, _| {
        if let Call::Attach(attach) = call {
            attach.node.build = "the same".into();
        }
    }),
    Lie {
        rule: "a_chunk_of_a_newer_format_is_left_alone",
        how: "guesses at a chunk of a newer format",
        kind: super::Kind::Plants(|chunk| chunk.header.format = jobs_core::FORMAT),
    },
    Lie::answers("only_a_suspect_is_charged", "charges whoever was held by a dead node", |_, answer, _| {
        for lease in leases(answer) {
            lease.chunk.header.crashes = lease.chunk.header.redelivered;
        }
    }),
    Lie::answers("a_settled_attempt_ends_the_suspicion", "never trusts a suspect again", |_, answer, _| {
        for lease in leases(answer) {
            lease.chunk.header.suspect |= lease.chunk.header.redelivered > 0;
        }
    }),
];
