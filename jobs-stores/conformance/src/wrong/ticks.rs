//! Lies about ticks, pauses and runs by hand.

use jobs_core::{Cause, End, Fire, Firing, IfBusy, PAUSES, Pass, PutCell, RunId, TickInfo, Verdict};

use super::liar::{Lie, ends, fires, firings};
use crate::call::{Answer, Call};

fn is_tick(call: &Call) -> bool {
    matches!(call, Call::Fire(_, fires, _) if fires.iter().all(|f| matches!(f.cause, Cause::Tick { .. })))
}

fn swap(call: &mut Call, from: IfBusy, to: IfBusy) {
    fires(call)
        .iter_mut()
        .filter(|fire| fire.if_busy == from && matches!(fire.cause, Cause::Tick { .. }))
        .for_each(|fire| fire.if_busy = to);
}

const NO_RUN: Firing = Firing::Fired { run: RunId::new(1), lease: None };

pub(super) const LIES: &[Lie] = &[
    Lie::acts("a_tick_makes_one_run", "fires a tick for each session that asks", |liar, call| {
        Box::pin(async move {
            let reply = liar.truly(call.clone()).await?;
            let (Answer::Fire(fired), Call::Fire(session, fires, want)) = (&reply.value, call) else {
                return Ok(reply);
            };
            let (Some(Firing::Already(state)), Some(fire)) = (fired.first(), fires.first()) else {
                return Ok(reply);
            };
            match fire.cause {
                Cause::Tick { tick, cursor, .. } if tick == state.cursor && tick > cursor => {}
                _ => return Ok(reply),
            }
            let cause = Cause::Manual { request: 1_000_000 + liar.notes().next(), note: None };
            let fire = Fire { cause, if_busy: IfBusy::Fire, ..fire.clone() };
            liar.truly(Call::Fire(session, vec![fire], want)).await
        })
    }),
    Lie::acts("a_tick_is_decided_from_the_cursor", "does not compare the cursor", |liar, mut call| {
        Box::pin(async move {
            let reply = liar.truly(call.clone()).await?;
            let Answer::Fire(fired) = &reply.value else { return Ok(reply) };
            let mut ahead = false;
            for (fire, firing) in fires(&mut call).iter_mut().zip(fired) {
                if let (Cause::Tick { cursor, tick, .. }, Firing::Already(state)) = (&mut fire.cause, firing)
                {
                    ahead |= *tick > state.cursor;
                    *cursor = state.cursor;
                }
            }
            if ahead { liar.truly(call).await } else { Ok(reply) }
        })
    }),
    Lie::asks(
        "a_fire_by_another_declaration_is_stale",
        "takes any declaration for its own",
        |call, notes| {
            for fire in fires(call) {
                if let Cause::Tick { schedule, fingerprint, .. } = &mut fire.cause
                    && let Some(state) = notes.states.get(schedule)
                {
                    fingerprint.clone_from(&state.fingerprint);
                }
            }
        },
    ),
    Lie::answers(
        "a_tick_of_the_future_does_not_fire",
        "trusts the clock of whoever fires",
        |_, answer, _| {
            for firing in firings(answer) {
                if matches!(firing, Firing::NotYet { .. }) {
                    *firing = NO_RUN;
                }
            }
        },
    ),
    Lie::asks("a_fire_records_what_it_passed_over", "forgets what a fire passed over", |call, _| {
        for fire in fires(call) {
            if let Cause::Tick { passed, .. } = &mut fire.cause {
                passed.clear();
            }
        }
    }),
    Lie::answers("verdicts_of_neighbours_are_one_record", "keeps a record per verdict", |_, answer, _| {
        if let Answer::Ticks(ticks) = answer {
            let split = |info: TickInfo| {
                let one = |tick| TickInfo { tick, last: tick, count: 1, ..info.clone() };
                if info.count > 1 { vec![one(info.last), one(info.tick)] } else { vec![info] }
            };
            *ticks = std::mem::take(ticks).into_iter().flat_map(split).collect();
        }
    }),
    Lie::answers(
        "a_repeated_fire_gets_the_same_run_and_lease",
        "does not give the lease again when the answer was lost",
        |call, answer, notes| {
            if is_tick(call) && notes.repeats(call) {
                for firing in firings(answer) {
                    if let Firing::Fired { lease, .. } = firing {
                        *lease = None;
                    }
                }
            }
        },
    ),
    Lie::asks("a_busy_run_skips_the_tick", "leaves a tick due that is to be skipped", |call, _| {
        swap(call, IfBusy::Skip, IfBusy::Wait);
    }),
    Lie::asks("a_busy_run_lets_the_newest_tick_wait", "forgets which tick waits", |call, _| {
        swap(call, IfBusy::Queue, IfBusy::Wait);
    }),
    Lie::asks("a_busy_run_leaves_the_tick_due", "skips a tick that is to be left due", |call, _| {
        swap(call, IfBusy::Wait, IfBusy::Skip);
    }),
    Lie::asks("a_tick_that_may_overlap_fires", "never lets runs overlap", |call, _| {
        swap(call, IfBusy::Fire, IfBusy::Skip);
    }),
    Lie::answers(
        "a_run_is_busy_until_first_attempts_are_settled",
        "holds ticks back for items that are to be tried again",
        |call, answer, notes| {
            let mut call = call.clone();
            if ends(&mut call).any(|(_, end)| matches!(end, End::Retry { .. })) {
                notes.marks.insert("retried".to_owned(), 1);
            }
            if is_tick(&call) && notes.marks.contains_key("retried") {
                for firing in firings(answer) {
                    if let Firing::Fired { run, .. } = firing {
                        *firing = Firing::Busy { run: *run };
                    }
                }
            }
        },
    ),
    Lie::answers("a_paused_job_fires_nothing", "fires what is paused", |_, answer, _| {
        for firing in firings(answer) {
            if matches!(firing, Firing::Paused { .. }) {
                *firing = NO_RUN;
            }
        }
    }),
    Lie::acts("a_paused_job_leases_nothing", "leases what is paused", |liar, call| {
        Box::pin(async move {
            if let Call::PutIf(name, _, put) = &call
                && name.starts_with(PAUSES)
            {
                // The version is not what it was told: see below.
                let Answer::Get(there) = liar.truly(Call::Get(name.clone())).await?.value else {
                    return liar.truly(call).await;
                };
                let expected = there.map_or(0, |cell| cell.version);
                return liar.truly(Call::PutIf(name.clone(), expected, put.clone())).await;
            }
            if !matches!(call, Call::Settle(_)) {
                return liar.truly(call).await;
            }
            let Answer::List(pauses) = liar.truly(Call::List(PAUSES.to_owned())).await?.value else {
                return liar.truly(call).await;
            };
            for (name, cell) in &pauses {
                liar.truly(Call::PutIf(name.clone(), cell.version, PutCell::default())).await?;
            }
            let reply = liar.truly(call).await;
            for (name, cell) in pauses {
                let put = PutCell { value: Some(cell.value), ..PutCell::default() };
                liar.truly(Call::PutIf(name, 0, put)).await?;
            }
            reply
        })
    }),
    Lie::asks("a_pause_that_has_expired_holds_nothing", "never lets a pause expire", |call, _| {
        if let Call::PutIf(name, _, put) = call
            && name.starts_with(PAUSES)
        {
            put.expires_in = None;
        }
    }),
    Lie::asks(
        "a_request_by_hand_makes_one_run",
        "takes each copy of a request for a new one",
        |call, notes| {
            for fire in fires(call) {
                if let Cause::Manual { request, .. } = &mut fire.cause {
                    *request = notes.next();
                }
            }
        },
    ),
    Lie::acts(
        "a_run_by_hand_leaves_the_schedule_alone",
        "moves the cursor with a run by hand",
        |liar, mut call| {
            Box::pin(async move {
                let by_hand = fires(&mut call).iter().find(|fire| matches!(fire.cause, Cause::Manual { .. }));
                let job = by_hand.map(|fire| fire.job.clone());
                let reply = liar.truly(call).await?;
                let state = job.and_then(|job| Some((job.clone(), liar.notes().states.get(&job).cloned()?)));
                if let Some((schedule, state)) = state {
                    let tick = (state.cursor + std::time::Duration::from_millis(1)).timestamp();
                    let passed = vec![TickInfo::passed(tick, tick, 1, Verdict::Missed)];
                    let (fingerprint, cursor) = (state.fingerprint, state.cursor);
                    liar.truly(Call::Pass(vec![Pass { schedule, fingerprint, cursor, passed }])).await?;
                }
                Ok(reply)
            })
        },
    ),
];
