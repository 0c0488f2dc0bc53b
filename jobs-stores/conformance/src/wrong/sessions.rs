//! Lies about sessions.

use jobs_core::{Attach, BoxFuture, End, Millis, Reaped, Reply, SessionId};

use super::liar::{Liar, Lie};
use crate::{
    bench::LEASE,
    call::{Answer, Call, Outcome},
};

/// The sessions that are attached, but this one.
fn others(liar: &Liar, session: SessionId) -> Vec<SessionId> {
    liar.notes().attached.keys().copied().filter(|other| *other != session).collect()
}

/// Reaps at once, if that is what a caller with these times may not do.
fn reap_if(
    liar: &Liar,
    call: Call,
    early: fn(came: Millis, heard: Millis, now: Millis) -> bool,
) -> BoxFuture<'_, Outcome> {
    Box::pin(async move {
        let Call::Reap(session) = call else { return liar.truly(call).await };
        let now = liar.now().await?;
        let times = liar.notes().heard.get(&session).copied();
        if times.is_some_and(|(came, heard)| early(came, heard, now)) {
            return liar.reap_at_once().await;
        }
        liar.truly(call).await
    })
}

/// Settles the fill items of other sessions as done before they are reaped, if they have appended.
fn drop_fills(liar: &Liar, call: Call, paged: bool) -> BoxFuture<'_, Outcome> {
    Box::pin(async move {
        if let Call::Reap(session) = call {
            let fills: Vec<_> = {
                let notes = liar.notes();
                let begun = |token| notes.appends.get(token).is_some_and(|(_, pages)| *pages == paged);
                let held = notes.leases.iter().filter(|(token, (by, _))| *by != session && begun(token));
                held.map(|(token, _)| *token).filter(|token| notes.is_fill(*token)).collect()
            };
            for token in fills {
                liar.settle_for(token, 0, 1, End::Done(None)).await?;
            }
        }
        liar.truly(call).await
    })
}

pub(super) const LIES: &[Lie] = &[
    Lie::acts("the_items_of_a_dead_session_come_back", "never takes anything back", |liar, call| {
        Box::pin(async move {
            match call {
                Call::Reap(_) => Ok(Reply { now: liar.now().await?, value: Answer::Reap(Reaped::default()) }),
                call => liar.truly(call).await,
            }
        })
    }),
    Lie::acts("a_live_session_keeps_its_items", "reaps the living", |liar, call| {
        Box::pin(async move {
            if let Call::Reap(session) = call {
                let now = liar.now().await?;
                for other in others(liar, session) {
                    let alive =
                        liar.notes().heard.get(&other).is_some_and(|(_, heard)| now.since(*heard) < LEASE);
                    if alive {
                        liar.truly(Call::Detach(other)).await?;
                    }
                }
            }
            liar.truly(call).await
        })
    }),
    Lie::acts("an_expired_session_is_renewed_by_a_beat", "ends a session that has expired", |liar, call| {
        Box::pin(async move {
            if let Call::Beat(beat) = &call {
                let now = liar.now().await?;
                let heard = liar.notes().heard.get(&beat.session).copied();
                if heard.is_some_and(|(_, heard)| now.since(heard) > LEASE) {
                    liar.truly(Call::Detach(beat.session)).await?;
                }
            }
            liar.truly(call).await
        })
    }),
    Lie::answers(
        "a_reaped_session_is_told",
        "tells a session that was reaped that it is alive",
        |_, answer, _| {
            if let Answer::Beat(pulse) = answer {
                pulse.alive = true;
            }
        },
    ),
    Lie::acts(
        "a_session_reaps_nobody_during_its_first_lease",
        "lets a session reap as soon as it has come",
        |liar, call| reap_if(liar, call, |came, _, now| now.since(came) < LEASE),
    ),
    Lie::asks(
        "a_reconnected_session_reaps_nobody_for_a_lease",
        "lets a session reap as soon as it is back",
        |call, _| {
            if let Call::Beat(beat) = call {
                beat.reconnected = false;
            }
        },
    ),
    Lie::acts(
        "an_expired_session_reaps_nobody",
        "lets a session that has expired reap the others",
        |liar, call| reap_if(liar, call, |_, heard, now| now.since(heard) > LEASE),
    ),
    Lie::acts("an_expired_session_leases_nothing", "takes a settle for a beat", |liar, call| {
        Box::pin(async move {
            if let Call::Settle(settle) = &call {
                let (session, held) = (settle.session, None);
                liar.truly(Call::Beat(jobs_core::Beat {
                    session,
                    held,
                    reconnected: false,
                    as_of: jobs_core::Millis::MAX,
                }))
                .await?;
            }
            liar.truly(call).await
        })
    }),
    Lie::asks("an_orphaned_lease_goes_back", "does not look at what a session says it holds", |call, _| {
        if let Call::Beat(beat) = call {
            beat.held = None;
        }
    }),
    Lie::acts(
        "a_young_lease_is_no_orphan",
        "takes a lease for an orphan whose answer is on its way",
        |liar, call| {
            Box::pin(async move {
                let reply = liar.truly(call.clone()).await?;
                if let Call::Beat(beat) = call
                    && let Some(held) = beat.held
                {
                    let orphans: Vec<_> = {
                        let notes = liar.notes();
                        let of = notes
                            .leases
                            .iter()
                            .filter(|(token, (by, _))| *by == beat.session && !held.contains(token));
                        of.map(|(token, (_, lease))| (*token, lease.chunk.count())).collect()
                    };
                    for (token, count) in orphans {
                        liar.settle_for(token, 0, count, End::Back).await?;
                    }
                }
                Ok(reply)
            })
        },
    ),
    Lie::answers("a_beat_tells_lost_leases", "does not tell of lost leases by a beat", |_, answer, _| {
        if let Answer::Beat(pulse) = answer {
            pulse.lost.clear();
        }
    }),
    Lie::acts(
        "detach_gives_everything_back_uncharged",
        "keeps what a session held that has left",
        |liar, call| {
            Box::pin(async move {
                match call {
                    Call::Detach(_) => Ok(Reply { now: liar.now().await?, value: Answer::Detach(false) }),
                    call => liar.truly(call).await,
                }
            })
        },
    ),
    Lie::asks(
        "sessions_known_to_be_gone_are_reaped_at_attach",
        "waits for sessions that are gone",
        |call, _| {
            if let Call::Attach(Attach { gone, .. }) = call {
                gone.clear();
            }
        },
    ),
    Lie::answers("an_item_that_kills_its_nodes_is_poison", "does not tell of poison", |_, answer, _| {
        if let Answer::Reap(reaped) = answer {
            reaped.dead.retain(|(.., why)| why.kind != jobs_core::FailureKind::Poison);
        }
    }),
    Lie::acts(
        "a_crash_between_any_two_operations_loses_nothing",
        "ends a query with what its dead node had staged",
        |liar, call| drop_fills(liar, call, false),
    ),
    Lie::acts(
        "a_crash_between_any_two_pages_loses_nothing",
        "ends a query with the pages that its dead node had stored",
        |liar, call| drop_fills(liar, call, true),
    ),
];
