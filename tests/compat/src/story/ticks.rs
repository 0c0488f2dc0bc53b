//! Ticks with every verdict that there is, and a tick that waits for the last run.

use jobs_core::{Cause, Firing, IfBusy, Pass, Passing, SkipReason, TickInfo, Trigger, Verdict};

use super::{FAN, FIRST, QUEUED};
use crate::{
    kept::{Held, Kept, clock},
    teller::{Teller, Told, tick},
};

/// So many items has the run that is in the middle of its work.
pub const MANY: u64 = 1_200;

pub(super) async fn fire(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    on_time(teller, kept).await?;
    late(teller, kept).await?;
    teller.at(-358, &[]).await?;
    let state = teller.schedule(FAN).await?;
    let (run, fill) = teller.fired(FIRST, tick(FAN, true, &state, clock(-360), IfBusy::Skip)).await?;
    teller.append(fill.token, 0, &(0..MANY).collect::<Vec<_>>(), None, true).await?;
    kept.numbers.insert("run/half".to_owned(), run.number());
    teller.at(-298, &[]).await?;
    let state = teller.schedule(FAN).await?;
    let busy = teller.fire(Some(FIRST), tick(FAN, true, &state, clock(-300), IfBusy::Skip)).await?;
    if busy != (Firing::Busy { run }) {
        return Err(format!("a busy run is in the way of a tick: {busy:?}").into());
    }
    for (seconds, why) in [(-240, SkipReason::Paused), (-180, SkipReason::Replaced)] {
        teller.at(seconds + 2, &[]).await?;
        skip(teller, seconds, why).await?;
    }
    queue(teller, kept).await
}

/// A run that is over.
async fn on_time(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-538, &[]).await?;
    let state = teller.schedule(FAN).await?;
    let (run, fill) = teller.fired(FIRST, tick(FAN, true, &state, clock(-540), IfBusy::Skip)).await?;
    teller.append(fill.token, 0, &[0, 1, 2], None, true).await?;
    let lease = teller.lease_one(FIRST, FAN, 3).await?;
    teller.end(FIRST, &lease, jobs_core::End::Done(None)).await?;
    teller.complete(run, false).await?;
    kept.numbers.insert("run/finished".to_owned(), run.number());
    Ok(())
}

/// A run of catch-up, and the tick that it stands for.
async fn late(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-400, &[]).await?;
    let state = teller.schedule(FAN).await?;
    let mut fire = tick(FAN, true, &state, clock(-420), IfBusy::Skip);
    if let Cause::Tick { verdict, trigger, passed, .. } = &mut fire.cause {
        *verdict = Verdict::Late;
        *trigger = Trigger::CatchUp;
        let missed = clock(-480).timestamp();
        passed.push(TickInfo::passed(missed, missed, 1, Verdict::Missed));
    }
    let (run, fill) = teller.fired(FIRST, fire).await?;
    teller.append(fill.token, 0, &[0, 1, 2, 3], None, true).await?;
    kept.numbers.insert("run/partial".to_owned(), run.number());
    let lease = teller.lease_one(FIRST, FAN, 4).await?;
    let dead = jobs_core::End::Dead(teller.failure("no such customer", 1));
    let ends = vec![
        crate::teller::part(&lease, 0..2, jobs_core::End::Done(None)),
        crate::teller::part(&lease, 2..3, dead),
        crate::teller::part(&lease, 3..4, jobs_core::End::Discarded("not wanted".to_owned())),
    ];
    teller.settle(FIRST, ends, jobs_core::Want::default()).await?;
    teller.complete(run, false).await?;
    Ok(())
}

async fn skip(teller: &mut Teller<'_>, seconds: i64, why: SkipReason) -> Told {
    let state = teller.schedule(FAN).await?;
    let at = clock(seconds).timestamp();
    let passed = vec![TickInfo::passed(at, at, 1, Verdict::Skipped(why))];
    let pass = Pass { schedule: FAN.into(), fingerprint: state.fingerprint, cursor: state.cursor, passed };
    match teller.ask(|store| store.pass(vec![pass])).await?.as_slice() {
        [Passing::Passed] => Ok(()),
        other => Err(format!("a pass was answered {other:?}").into()),
    }
}

/// A run in flight, and a tick that waits for it.
async fn queue(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let state = teller.schedule(QUEUED).await?;
    let (run, lease) = teller.fired(FIRST, tick(QUEUED, false, &state, clock(-240), IfBusy::Queue)).await?;
    kept.numbers.insert("run/queued".to_owned(), run.number());
    kept.leases.insert("queued".to_owned(), Held::new(FIRST, &lease));
    let state = teller.schedule(QUEUED).await?;
    match teller.fire(Some(FIRST), tick(QUEUED, false, &state, clock(-180), IfBusy::Queue)).await? {
        Firing::Busy { .. } => Ok(()),
        other => Err(format!("a busy run is in the way of a tick: {other:?}").into()),
    }
}
