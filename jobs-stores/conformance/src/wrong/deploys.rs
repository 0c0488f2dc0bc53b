//! Lies about deploys.

use jobs_core::{ScheduleState, TickInfo, Verdict};

use super::liar::{Lie, links};
use crate::call::{Answer, Call};

pub(super) const LIES: &[Lie] = &[
    Lie::answers(
        "a_new_schedule_starts_now",
        "has a verdict of a schedule that was never seen",
        |_, answer, notes| {
            if let Answer::Ticks(ticks) = answer
                && ticks.is_empty()
            {
                let now = notes.now.timestamp();
                ticks.push(TickInfo::passed(now, now, 1, Verdict::Missed));
            }
        },
    ),
    Lie::answers(
        "an_equal_declaration_changes_nothing",
        "starts anew with each deploy",
        |call, answer, notes| {
            if let Answer::Attach(attached) = answer
                && notes.calls.iter().any(|call| matches!(call, Call::Attach(_)))
                && !notes.repeats(call)
            {
                attached.schedules.values_mut().for_each(|state| state.cursor = notes.now);
            }
        },
    ),
    Lie::asks("a_new_declaration_starts_now", "keeps the first declaration for ever", |call, notes| {
        for link in links(call) {
            if let (Some(declared), Some(state)) = (&mut link.schedule, notes.states.get(&link.job)) {
                declared.fingerprint.clone_from(&state.fingerprint);
            }
        }
    }),
    Lie::acts(
        "a_superseded_declaration_waits_for_a_rollback",
        "lets whoever attached last declare the schedule",
        |liar, call| {
            Box::pin(async move {
                if let Call::Attach(attach) = &call {
                    let others: Vec<_> = {
                        let notes = liar.notes();
                        let differs = |other: &&jobs_core::Attach| {
                            let mut both = other.links.iter().zip(&attach.links);
                            other.session != attach.session && both.any(|(a, b)| a.schedule != b.schedule)
                        };
                        notes.attached.values().filter(differs).map(|other| other.session).collect()
                    };
                    for other in others {
                        liar.truly(Call::Detach(other)).await?;
                    }
                }
                liar.truly(call).await
            })
        },
    ),
    Lie::answers(
        "an_instant_already_past_is_missed",
        "does not tell of instants that were past",
        |_, answer, _| {
            if let Answer::Attach(attached) = answer {
                attached.past.clear();
            }
        },
    ),
    Lie::asks("a_renamed_job_takes_over", "forgets what a job was called before", |call, _| {
        for link in links(call) {
            link.was = None;
        }
    }),
    Lie::answers(
        "a_former_name_gives_way_until_a_rollback",
        "starts a renamed job anew",
        |call, answer, notes| {
            if let (Call::Attach(attach), Answer::Attach(attached)) = (call, answer) {
                for link in &attach.links {
                    if let (Some(declared), false) =
                        (&link.schedule, attached.schedules.contains_key(&link.job))
                    {
                        let (cursor, fingerprint) = (notes.now, declared.fingerprint.clone());
                        let state = ScheduleState { cursor, waiting: None, fingerprint };
                        attached.schedules.insert(link.job.clone(), state);
                    }
                }
            }
        },
    ),
];
