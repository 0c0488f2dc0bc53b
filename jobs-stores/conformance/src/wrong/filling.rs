//! Lies about what a query found.

use jobs_core::{Appended, End, RunState, Stage};

use super::liar::{Lie, ends, leases, report};
use crate::call::{Answer, Call};

pub(super) const LIES: &[Lie] = &[
    Lie::answers("an_append_needs_the_lease", "says that a late append is stored", |call, answer, notes| {
        if let (Call::Append(append), Answer::Append(appended)) = (call, answer)
            && *appended == Appended::Lost
            && notes.run(append.token).is_none_or(|run| !notes.cancelled.contains(&run))
        {
            *appended = Appended::Stored { ready: 0, total: 0 };
        }
    }),
    Lie::asks("appends_are_stored_in_their_order", "stores an append before its turn", |call, notes| {
        if let Call::Append(append) = call {
            let (next, _) = notes.appends.get(&append.token).copied().unwrap_or_default();
            append.seq = append.seq.min(next);
        }
    }),
    Lie::asks("a_repeated_append_stores_nothing", "stores a repeated append again", |call, notes| {
        if let Call::Append(append) = call {
            let (next, _) = notes.appends.get(&append.token).copied().unwrap_or_default();
            append.seq = append.seq.max(next);
        }
    }),
    Lie::asks("staged_items_are_invisible_before_the_last", "publishes what is staged", |call, _| {
        if let Call::Append(append) = call {
            append.page.get_or_insert(None);
        }
    }),
    Lie::asks(
        "a_second_lease_drops_what_the_first_staged",
        "keeps what an earlier lease staged",
        |call, notes| {
            if let Call::Append(append) = call
                && append.page.is_none()
                && let Some(run) = notes.run(append.token)
            {
                let found = append.bodies.clone();
                let kept = notes.kept.entry(run.number()).or_default();
                if append.seq == 0 {
                    append.bodies.splice(0..0, kept.iter().cloned());
                }
                kept.extend(found);
            }
        },
    ),
    Lie::asks("pages_are_visible_at_once", "holds pages back until the last", |call, notes| {
        if let Call::Append(append) = call
            && append.page.is_some()
        {
            let kept = notes.kept.entry(append.token.0).or_default();
            if append.last {
                append.bodies.splice(0..0, std::mem::take(kept));
            } else {
                kept.append(&mut append.bodies);
            }
        }
    }),
    Lie::answers("a_page_is_resumed_at_its_cursor", "forgets where the next page begins", |_, answer, _| {
        for lease in leases(answer) {
            lease.cursor = None;
        }
    }),
    Lie::answers(
        "a_stored_page_starts_the_attempts_anew",
        "counts the attempts of a query over all of its pages",
        |call, answer, notes| {
            let mut call = call.clone();
            for (token, end) in ends(&mut call) {
                if matches!(end, End::Retry { .. })
                    && notes.is_fill(token)
                    && let Some(run) = notes.run(token)
                {
                    *notes.marks.entry(run.to_string()).or_default() += 1;
                }
            }
            for lease in leases(answer) {
                let header = &mut lease.chunk.header;
                if header.stage == Stage::Fill {
                    let failed = notes.marks.get(&header.number.to_string()).copied().unwrap_or_default();
                    header.attempt = u32::try_from(failed).unwrap_or(u32::MAX);
                }
            }
        },
    ),
    Lie::answers(
        "a_stored_page_ends_the_suspicion",
        "charges a query with the deaths of all its nodes",
        |_, answer, _| {
            for lease in leases(answer) {
                let header = &mut lease.chunk.header;
                if header.stage == Stage::Fill {
                    header.crashes = header.redelivered.saturating_sub(1);
                }
            }
        },
    ),
    Lie::answers(
        "the_last_append_ends_the_filling",
        "says that a run is filling to its end",
        |_, answer, _| {
            if let Some(report) = report(answer)
                && report.state == RunState::Working
            {
                report.state = RunState::Filling;
            }
        },
    ),
    Lie::answers(
        "a_query_that_finds_nothing_ends_its_run",
        "overlooks runs without items",
        |call, answer, notes| match (call, answer) {
            (Call::Append(append), Answer::Append(Appended::Stored { total: 0, .. })) if append.last => {
                if let Some(run) = notes.run(append.token) {
                    notes.marks.insert(run.to_string(), 0);
                }
            }
            (_, Answer::Completable(runs)) => runs.retain(|run| !notes.marks.contains_key(&run.to_string())),
            _ => {}
        },
    ),
    Lie::asks(
        "a_query_that_fails_for_good_fails_its_run",
        "takes a dead query for a done one",
        |call, notes| {
            for (token, end) in ends(call) {
                if matches!(end, End::Dead(_)) && notes.is_fill(token) {
                    *end = End::Done(None);
                }
            }
        },
    ),
];
