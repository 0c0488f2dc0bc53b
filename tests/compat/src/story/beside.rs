//! What a process of the version that has filled a place goes on to do, while a newer one is beside it.
//!
//! Its statements are recorded while it does so, and played again beside a newer version: so no step may depend on what
//! the store answers in time, but for the numbers of the source, which come one after the other.

use jobs_core::{
    End, IfBusy, Pass, PutCell, Requeue, RunId, Settlement, SkipReason, TickInfo, Verdict, Want, pause_cell,
};
use serde_json::json;

use super::{ASLEEP, FAILED, FAN, FIRST, LEFT, REAPER, STAGED, URGENT, links};
use crate::{
    kept::{Kept, clock},
    teller::{Seat, Teller, Told, by_hand, of, part, tick, value},
};

/// A node of the old version that starts beside a newer one.
pub const LATE: jobs_core::SessionId = jobs_core::SessionId(0x206);

/// So many seconds after the end of the story it goes on.
pub const AT: i64 = 10;

/// Goes on with a place that the story has filled.
///
/// # Errors
/// What the store says; if it does not go as the story is told.
pub async fn go_on(teller: &mut Teller<'_>, kept: &Kept) -> Told {
    let held = kept.leases.values().filter(|held| held.session == FIRST).map(|held| held.token);
    let pulse = teller.beat(FIRST, Some(held.collect())).await?;
    if !pulse.alive || !pulse.lost.is_empty() {
        return Err(format!("{pulse:?}").into());
    }
    settle(teller, kept).await?;
    fire(teller, kept).await?;
    join(teller).await?;
    steer(teller, kept).await?;
    teller.reap(REAPER).await?;
    teller.prune().await
}

/// Items end in every way, and others are leased.
async fn settle(teller: &mut Teller<'_>, kept: &Kept) -> Told {
    let token = kept.lease("half")?.token;
    let ends = [
        (10..15, End::Done(None)),
        (16..20, teller.retry("failed beside", 1, 1_190)),
        (20..22, End::Dead(teller.failure("dead beside", 1))),
        (22..24, teller.snooze(1_490)),
        (24..25, End::Discarded("not wanted".to_owned())),
        (25..27, End::Undecodable("unknown variant `Express`".to_owned())),
        (27..30, End::Back),
    ];
    let ends = ends.map(|(range, end)| Settlement { token, from: range.start, to: range.end, end });
    let leases = teller.settle(FIRST, ends.to_vec(), of(FAN, 5)).await?.leases;
    for lease in &leases {
        let done = part(lease, 0..1, End::Done(None));
        teller.settle(FIRST, vec![done], Want::default()).await?;
    }
    Ok(())
}

/// A run by hand, a tick, and a query that goes on.
async fn fire(teller: &mut Teller<'_>, kept: &Kept) -> Told {
    let (_, fill) = teller.fired(FIRST, by_hand(FAN, true, 300)).await?;
    teller.append(fill.token, 0, &[0, 1, 2], None, false).await?;
    teller.append(fill.token, 1, &[3, 4], None, true).await?;
    let state = teller.schedule(FAN).await?;
    teller.fired(FIRST, tick(FAN, true, &state, clock(0), IfBusy::Fire)).await?;
    let staged = kept.lease("staged")?.token;
    teller.append(staged, 2, &[40, 41], None, false).await?;
    let state = teller.schedule(ASLEEP).await?;
    let at = clock(5).timestamp();
    let passed = vec![TickInfo::passed(at, at, 1, Verdict::Skipped(SkipReason::Paused))];
    let pass = Pass { schedule: ASLEEP.into(), fingerprint: state.fingerprint, cursor: state.cursor, passed };
    teller.ask(|store| store.pass(vec![pass])).await?;
    Ok(())
}

/// Another node of the old version starts, works and ends.
async fn join(teller: &mut Teller<'_>) -> Told {
    let seat = Seat { session: LATE, name: "old-6", build: "1.0.0", lease: 3_600 };
    teller.attach(&seat, &links(&[URGENT, LEFT, STAGED])).await?;
    let lease = teller.lease_one(LATE, LEFT, 2).await?;
    teller.settle(LATE, vec![part(&lease, 0..1, End::Done(None))], Want::default()).await?;
    teller.detach(LATE).await
}

/// What people do.
async fn steer(teller: &mut Teller<'_>, kept: &Kept) -> Told {
    let token = kept.lease("cancelling")?.token;
    let cancelled = Settlement { token, from: 0, to: 2, end: End::Cancelled };
    teller.settle(FIRST, vec![cancelled], Want::default()).await?;
    let run = |name: &str| kept.number(&format!("run/{name}")).map(RunId::new);
    teller.complete(run("cancelling")?, false).await?;
    teller.cancel(run("texts")?).await?;
    teller.put("note/beside", 0, value(json!("beside"))).await?;
    let plain = kept.number("cell/note/plain")?;
    teller.put("note/plain", plain, PutCell::default()).await?;
    teller.put(&pause_cell(URGENT), 0, value(json!({ "note": "kept: beside" }))).await?;
    let failed = run("failed")?;
    let items = vec![failed.item(3)];
    let requeue = Requeue { request: 301, job: FAILED.into(), items, note: None };
    teller.ask(|store| store.requeue(requeue)).await?.ok_or("an item is dead")?;
    teller.ask(|store| store.discard(302, vec![failed.item(4)])).await?;
    Ok(())
}
