//! Ids of every size. All are 64 bits wide, and whoever keeps them as signed or as floating-point numbers confuses some.

use jobs_core::{
    Append, Appended, Cancellation, Cause, Completion, End, Fire, Firing, ItemId, Lease, RunId, SessionId,
    Settle, Settlement, Token, Want,
};

use crate::{
    bench::{Bench, FAN, all_numbers, link, slots},
    violation::Check,
};

/// Neighbours on both sides of what a float, a signed and an unsigned number can hold.
const LIMITS: [u64; 6] =
    [1 << 53, (1 << 53) + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];

pub(super) fn ids_at_their_limits_are_told_apart(bench: &mut Bench<'_>) -> Check {
    let mut runs = Vec::new();
    for limit in LIMITS {
        bench.attach(SessionId(limit), &[link(FAN)])?;
        let fire = asked(bench, limit);
        runs.push(bench.filled_by(SessionId(limit), fire, 2)?);
    }
    let sessions = bench.ask(|store| store.sessions())?;
    let mut ids: Vec<_> = sessions.into_iter().map(|record| record.session.0).collect();
    ids.sort_unstable();
    ensure_eq!(ids, LIMITS, "each of these sessions is one");
    for (limit, run) in LIMITS.into_iter().zip(&runs) {
        let fire = asked(bench, limit);
        let again = bench.fire(SessionId(limit), fire)?;
        ensure_eq!(again, Firing::Fired { run: *run, lease: None }, "request {limit} gets its own run");
    }
    let mut held: Vec<(SessionId, Lease)> = Vec::new();
    for limit in LIMITS {
        let leases = called(bench, limit, Vec::new(), slots(1))?;
        ensure_eq!(all_numbers(&leases).len(), 1, "session {limit} leases an item in its last lane");
        ensure_eq!(called(bench, limit, Vec::new(), slots(1))?, leases, "a repeat gets the same lease");
        held.extend(leases.into_iter().map(|lease| (SessionId(limit), lease)));
    }
    for (session, lease) in &held {
        let others = held.iter().filter(|(other, _)| other != session);
        for (other, _) in others {
            let settled = bench.settle(*other, lease, End::Done(None))?;
            ensure_eq!(settled.lost, [lease.token], "session {other} has no lease of session {session}");
        }
        let settled = bench.settle(*session, lease, End::Done(None))?;
        ensure_eq!(settled.lost, [], "session {session} has its lease");
    }
    Ok(())
}

pub(super) fn what_nobody_has_made_is_not_there(bench: &mut Bench<'_>) -> Check {
    let session = SessionId(u64::MAX);
    bench.attach(session, &[link(FAN)])?;
    for limit in LIMITS {
        let (run, token) = (RunId::new(limit), Token(limit));
        ensure_eq!(bench.ask(|store| store.run(run))?, None, "there is no run {run}");
        ensure_eq!(
            bench.ask(|store| store.cancel(run))?,
            Cancellation::Unknown,
            "there is no run {run} to cancel"
        );
        ensure_eq!(bench.complete(run, false)?, Completion::Unknown, "there is no run {run} to complete");
        ensure_eq!(bench.ask(|store| store.items(run, 9))?, [], "there are no items of run {run}");
        let items = vec![ItemId::new(limit, limit)];
        ensure_eq!(bench.ask(|store| store.discard(limit, items))?, 0, "there is no dead item of run {run}");
        let append =
            Append { token, seq: 0, item_type: "u64".into(), bodies: Vec::new(), page: None, last: true };
        ensure_eq!(bench.ask(|store| store.append(append))?, Appended::Lost, "there is no lease {limit}");
        let settlements = vec![Settlement { token, from: 0, to: u32::MAX, end: End::Done(None) }];
        let settled = bench.settle_with(session, settlements, Vec::new(), Want::default())?;
        ensure_eq!(settled.lost, [token], "there is no lease {limit} to settle");
    }
    Ok(())
}

/// A run by hand with a request of this number.
fn asked(bench: &mut Bench<'_>, request: u64) -> Fire {
    Fire { cause: Cause::Manual { request, note: None }, ..bench.by_hand(FAN) }
}

/// The call of a session's last lane that has the session's own number.
fn called(bench: &mut Bench<'_>, id: u64, settlements: Vec<Settlement>, want: Want) -> Check<Vec<Lease>> {
    let session = SessionId(id);
    let settle = Settle { session, lane: u32::MAX, n: id, settlements, effects: Vec::new(), want };
    Ok(bench.ask(|store| store.settle(settle))?.leases)
}
