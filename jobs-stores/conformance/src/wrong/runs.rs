//! Lies about the ends of runs, and about upkeep.

use std::time::Duration;

use jobs_core::{Appended, Cancellation, Completion, End, Header, ItemState, Reply, RunState, Stage, Token};

use super::liar::{Kind, Lie, ends, leases, links};
use crate::{
    bench::FAN_TOO,
    call::{Answer, Call},
};

/// Another number for each that a store gives out, in the opposite order.
fn mirrored(token: &mut Token) {
    token.0 = Token::MAX.0.wrapping_sub(token.0);
}

/// What became of each run of a complete; nothing of another operation.
pub(super) fn completions(answer: &mut Answer) -> &mut [Completion] {
    match answer {
        Answer::Complete(completions) => completions,
        _ => &mut [],
    }
}

/// Leases only some of what a settle grants.
fn keep(answer: &mut Answer, some: impl Fn(&Header) -> bool) {
    if let Answer::Settle(settled) = answer {
        settled.leases.retain(|lease| some(&lease.chunk.header));
    }
}

pub(super) const LIES: &[Lie] = &[
    Lie { rule: "namespaces_share_nothing", how: "knows one namespace alone", kind: Kind::Shares },
    Lie::answers("runs_are_listed_newest_first", "lists the oldest runs first", |_, answer, _| {
        if let Answer::Runs(runs) = answer {
            runs.reverse();
        }
    }),
    Lie::answers("a_run_is_completed_once", "completes a run for each node that asks", |_, answer, _| {
        for completion in completions(answer) {
            if let Completion::Already(report) = completion {
                *completion = Completion::Completed(report.clone());
            }
        }
    }),
    Lie::answers(
        "runs_are_completed_in_one_call_each_by_its_own_guard",
        "answers for many runs in any order",
        |_, answer, _| completions(answer).reverse(),
    ),
    Lie::answers(
        "a_run_ends_as_its_items_did",
        "overlooks dead items beside others that are done",
        |_, answer, _| {
            for completion in completions(answer) {
                if let Completion::Completed(report) = completion
                    && report.state == RunState::Partial
                {
                    report.state = RunState::Succeeded;
                }
            }
        },
    ),
    Lie::asks("the_finish_item_comes_with_the_end", "makes no finish item", |call, _| {
        if let Call::Complete(runs) = call {
            runs.iter_mut().for_each(|run| run.finish = false);
        }
    }),
    Lie::answers(
        "the_finish_item_of_a_cancelled_run_goes_on",
        "cancels a finish item with its run",
        |_, answer, _| keep(answer, |header| header.stage != Stage::Finish),
    ),
    Lie::answers(
        "a_finish_item_outlives_the_record_of_its_run",
        "drops a finish item with its run",
        |_, answer, _| keep(answer, |header| header.stage != Stage::Finish),
    ),
    Lie::answers(
        "a_suspect_query_needs_no_slot_of_its_job",
        "lets a query that is a suspect wait for its job",
        |_, answer, _| keep(answer, |header| !header.suspect),
    ),
    Lie::answers(
        "what_comes_back_in_a_rename_goes_with_its_job",
        "loses what comes back while its job is renamed",
        |_, answer, _| keep(answer, |header| !header.suspect),
    ),
    Lie::answers("a_run_that_may_be_over_is_told", "does not tell whose last item ended", |_, answer, _| {
        if let Answer::Settle(settled) = answer {
            settled.ended.clear();
        }
    }),
    Lie::acts("what_waits_of_a_cancelled_run_ends", "cancels only what is running", |liar, call| {
        Box::pin(async move {
            match call {
                Call::Cancel(run) => {
                    let Answer::Run(report) = liar.truly(Call::Run(run)).await?.value else {
                        return liar.truly(call).await;
                    };
                    match report.filter(|report| report.state == RunState::Queued) {
                        Some(_) => Ok(Reply {
                            now: liar.now().await?,
                            value: Answer::Cancel(Cancellation::Cancelled { more: false }),
                        }),
                        None => liar.truly(call).await,
                    }
                }
                call => liar.truly(call).await,
            }
        })
    }),
    Lie::asks(
        "what_a_cancelled_run_holds_ends_when_settled",
        "counts what was cancelled as done",
        |call, notes| {
            for (token, end) in ends(call) {
                if notes.run(token).is_some_and(|run| notes.cancelled.contains(&run)) {
                    *end = End::Done(None);
                }
            }
        },
    ),
    Lie::answers("a_beat_tells_cancelled_runs", "does not tell of cancelled runs", |_, answer, _| {
        if let Answer::Beat(pulse) = answer {
            pulse.cancelled.clear();
        }
    }),
    Lie::answers(
        "a_cancelled_query_appends_nothing",
        "lets a cancelled query go on",
        |call, answer, notes| {
            if let (Call::Append(append), Answer::Append(appended)) = (call, answer)
                && notes.run(append.token).is_some_and(|run| notes.cancelled.contains(&run))
            {
                *appended = Appended::Stored { ready: 0, total: 0 };
            }
        },
    ),
    Lie::answers(
        "a_run_that_is_over_cannot_be_cancelled",
        "says that a run that is over is cancelled",
        |_, answer, _| {
            if let Answer::Cancel(cancelled @ Cancellation::Over) = answer {
                *cancelled = Cancellation::Cancelled { more: false };
            }
        },
    ),
    Lie::answers("pruning_keeps_the_newest", "prunes the newest run", |call, answer, notes| {
        if let Call::Prune(_) = call {
            notes.marks.insert("pruned".to_owned(), 1);
        }
        if let Answer::Runs(runs) = answer
            && notes.marks.contains_key("pruned")
            && !runs.is_empty()
        {
            runs.remove(0);
        }
    }),
    Lie::asks("pruning_is_bounded", "prunes all at once", |call, _| {
        if let Call::Prune(limit) = call {
            *limit = usize::MAX;
        }
    }),
    Lie::asks("jobs_that_keep_too_much_are_pruned_alike", "prunes the first job alone", |call, _| {
        for link in links(call).iter_mut().filter(|link| *link.job == *FAN_TOO) {
            link.keep_runs = 100;
        }
    }),
    Lie::acts("tokens_grow_whatever_the_clock_says", "gives out tokens in any order", |liar, mut call| {
        Box::pin(async move {
            match &mut call {
                Call::Append(append) => mirrored(&mut append.token),
                Call::Settle(settle) => settle.settlements.iter_mut().for_each(|s| mirrored(&mut s.token)),
                Call::Beat(beat) => beat.held.iter_mut().flatten().for_each(mirrored),
                _ => {}
            }
            let mut reply = liar.truly(call).await?;
            leases(&mut reply.value).into_iter().for_each(|lease| mirrored(&mut lease.token));
            match &mut reply.value {
                Answer::Settle(settled) => settled.lost.iter_mut().for_each(mirrored),
                Answer::Beat(pulse) => pulse.lost.iter_mut().for_each(mirrored),
                _ => {}
            }
            Ok(reply)
        })
    }),
    Lie::acts(
        "every_reply_carries_the_stores_time",
        "answers a beat with another clock's time",
        |liar, call| {
            Box::pin(async move {
                let beat = matches!(call, Call::Beat(_));
                let reply = liar.truly(call).await?;
                Ok(if beat { Reply { now: reply.now - Duration::from_secs(3600), ..reply } } else { reply })
            })
        },
    ),
    Lie::answers("a_job_is_listed_with_its_items", "counts what is leased as ready", |_, answer, _| {
        if let Answer::Jobs(jobs) = answer {
            for job in jobs {
                job.ready += std::mem::take(&mut job.in_flight);
            }
        }
    }),
    Lie::answers(
        "the_items_of_a_run_are_listed",
        "lists what is ready before what is in flight",
        |_, answer, _| {
            if let Answer::Items(items) = answer {
                items.sort_by_key(|item| item.state != ItemState::Ready);
            }
        },
    ),
    Lie::answers(
        "sessions_are_listed_with_what_they_hold",
        "counts leases, not their items",
        |_, answer, _| {
            if let Answer::Sessions(sessions) = answer {
                sessions.iter_mut().for_each(|session| session.holds = session.holds.min(1));
            }
        },
    ),
];
