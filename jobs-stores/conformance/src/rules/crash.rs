//! A node that is killed between any two operations.
//!
//! The life of one run is written down as steps. It is cut after each of them in turn: the session is not heard
//! of again, another one takes over after a lease, works off what is left, and then the step that came next
//! arrives after all, from the dead. No item is lost, what was staged is not doubled, counts add up, the tick has
//! one run, and nothing is stuck.

use std::collections::BTreeMap;

use jobs_core::{
    Completion, Counts, End, Firing, IfBusy, Lease, RunId, RunState, ScheduleState, SessionId, Stage, Verdict,
};

use super::{sessions::silence, ticks::nth};
use crate::{
    bench::{A, B, Bench, C, FAN, MINUTE, failure, link, numbers, slots, state_of, tick},
    violation::{Broken, Check},
};

/// How many items the query finds.
const ITEMS: u64 = 6;

/// What the first session knows so far.
#[derive(Default)]
struct Life {
    paged: bool,
    run: Option<RunId>,
    fill: Option<Lease>,
    leases: Vec<Lease>,
    /// How often each item was handed to a handler, by the item's number, by either session.
    delivered: BTreeMap<u64, u32>,
    /// How often a finish item was.
    finished: u32,
}

type Step = fn(&mut Bench<'_>, &mut Life, &ScheduleState) -> Check;

/// The steps of the life, in their order.
const STEPS: &[Step] = &[
    |bench, _, _| bench.attach(A, &[link(FAN)]).map(drop),
    |bench, life, state| {
        let (run, lease) = bench.fired_and_leased(A, tick(FAN, state, nth(state, 1), IfBusy::Skip))?;
        (life.run, life.fill) = (Some(run), Some(lease));
        Ok(())
    },
    |bench, life, _| append(bench, life, 0),
    |bench, life, _| append(bench, life, 1),
    |bench, life, _| append(bench, life, 2),
    |bench, life, _| lease(bench, life, 3),
    |bench, life, _| {
        let at = bench.now;
        settle(bench, life, |number, now| match number {
            0 => End::Done(None),
            1 => End::retry(at, now, failure("no", now)),
            _ => End::Back,
        })
    },
    |bench, life, _| lease(bench, life, 9),
    |bench, life, _| settle(bench, life, |_, _| End::Done(None)),
    |bench, life, _| {
        let Some(run) = life.run else { return Ok(()) };
        bench.complete(run, true).map(drop)
    },
    |bench, life, _| lease(bench, life, 9),
    |bench, life, _| settle(bench, life, |_, _| End::Done(None)),
    |bench, _, _| bench.detach(A),
];

fn append(bench: &mut Bench<'_>, life: &mut Life, seq: u64) -> Check {
    let Some(fill) = &life.fill else { return Ok(()) };
    let page = 2 * seq..2 * seq + 2;
    let (next, last) = (page.end.to_string(), seq == 2);
    let cursor = life.paged.then_some((!last).then_some(next.as_bytes()));
    bench.append(fill.token, seq, page, cursor, last).map(drop)
}

fn deliver(life: &mut Life, lease: &Lease) {
    match lease.chunk.header.stage {
        Stage::Work => {
            for item in numbers(lease) {
                *life.delivered.entry(item).or_default() += 1;
            }
        }
        Stage::Finish => life.finished += 1,
        Stage::Fill => {}
    }
}

fn lease(bench: &mut Bench<'_>, life: &mut Life, items: u32) -> Check {
    life.leases = bench.lease(A, items)?;
    let leases = life.leases.clone();
    leases.iter().for_each(|lease| deliver(life, lease));
    Ok(())
}

/// Settles all that is held, in one call.
fn settle(bench: &mut Bench<'_>, life: &mut Life, end: impl Fn(u64, jobs_core::Millis) -> End) -> Check {
    let mut settlements = Vec::new();
    for lease in &life.leases {
        let numbers = numbers(lease);
        for from in 0..lease.chunk.count() {
            let number = numbers.get(from as usize).copied().unwrap_or_default();
            let end = end(number, bench.now);
            settlements.push(jobs_core::Settlement { token: lease.token, from, to: from + 1, end });
        }
    }
    bench.settle_with(A, settlements, Vec::new(), slots(0)).map(drop)
}

pub(super) fn a_crash_between_any_two_operations_loses_nothing(bench: &mut Bench<'_>) -> Check {
    lives(bench, false)
}

pub(super) fn a_crash_between_any_two_pages_loses_nothing(bench: &mut Bench<'_>) -> Check {
    lives(bench, true)
}

/// One life per step, each cut after it; all in one place, one after another, each with a tick of its own.
fn lives(bench: &mut Bench<'_>, paged: bool) -> Check {
    bench.attach(B, &[link(FAN)])?;
    for cut in 1..=STEPS.len() {
        let told = |Broken(what)| Broken(format!("killed after step {cut} of {}: {what}", STEPS.len()));
        live(bench, paged, cut).map_err(told)?;
    }
    Ok(())
}

fn live(bench: &mut Bench<'_>, paged: bool, cut: usize) -> Check {
    bench.advance(2 * MINUTE)?;
    bench.beat(B)?;
    // Somebody who is only looking.
    let attached = bench.attach(C, &[link(FAN)])?;
    bench.detach(C)?;
    let state = state_of(&attached, FAN)?;
    let mut life = Life { paged, ..Life::default() };
    for step in &STEPS[..cut] {
        step(bench, &mut life, &state)?;
    }
    silence(bench, &[B])?;
    let fired = take_over(bench, &mut life, &state)?;
    let before = bench.run(fired)?;
    if let Some(step) = STEPS.get(cut).filter(|_| life.run.is_some()) {
        // It may be answered in any way, and changes nothing.
        let late = step(bench, &mut Life { delivered: BTreeMap::new(), ..life_of(&life) }, &state);
        ensure_eq!(
            bench.run(fired)?,
            before,
            "a step of a dead session changes nothing (it was answered {late:?})"
        );
        ensure_eq!(bench.lease(B, 9)?, [], "a step of a dead session makes nothing ready");
    }
    judge(bench, &life, fired, &state)
}

fn life_of(life: &Life) -> Life {
    let (fill, leases) = (life.fill.clone(), life.leases.clone());
    Life { paged: life.paged, run: life.run, fill, leases, ..Life::default() }
}

/// What the second session does: fires what is due, reaps, works off all there is, completes.
fn take_over(bench: &mut Bench<'_>, life: &mut Life, state: &ScheduleState) -> Check<RunId> {
    let fired = bench.fire(B, tick(FAN, state, nth(state, 1), IfBusy::Skip))?;
    bench.reap(B)?;
    let mut run = life.run;
    let mut leases = Vec::new();
    match fired {
        Firing::Fired { run: new, lease } => {
            ensure_eq!(run, None, "a tick that had fired fired again");
            run = Some(new);
            leases.extend(lease);
        }
        Firing::Already(_) => ensure!(run.is_some(), "a tick that nobody fired was said to have a verdict"),
        other => return Err(Broken(format!("a tick that is due was answered {other:?}"))),
    }
    for _ in 0..100 {
        leases.extend(bench.lease(B, 9)?);
        let ended = bench.ask(|store| store.completable(9))?;
        if leases.is_empty() && ended.is_empty() {
            return run.ok_or_else(|| Broken("the tick has no run".to_owned()));
        }
        for lease in std::mem::take(&mut leases) {
            deliver(life, &lease);
            match lease.chunk.header.stage {
                Stage::Fill if life.paged => refill(bench, &lease)?,
                Stage::Fill => bench.stored_all(&lease, 0..ITEMS)?,
                _ => bench.settle(B, &lease, End::Done(None)).map(drop)?,
            }
        }
        for run in ended {
            let completion = bench.complete(run, true)?;
            ensure!(
                matches!(completion, Completion::Completed(_)),
                "a run that may be over was {completion:?}"
            );
        }
    }
    Err(Broken("work never ends: something is leased or completable again and again".to_owned()))
}

/// The rest of the pages, from the cursor that was stored.
fn refill(bench: &mut Bench<'_>, lease: &Lease) -> Check {
    let cursor = lease.cursor.as_deref().and_then(|cursor| std::str::from_utf8(cursor).ok()?.parse().ok());
    for (seq, first) in (0..).zip((cursor.unwrap_or(0)..ITEMS).step_by(2)) {
        let next = (first + 2).to_string();
        let last = first + 2 >= ITEMS;
        let cursor = (!last).then_some(next.as_bytes());
        bench.append(lease.token, seq, first..first + 2, Some(cursor), last)?;
    }
    Ok(())
}

fn judge(bench: &mut Bench<'_>, life: &Life, run: RunId, state: &ScheduleState) -> Check {
    let report = bench.run(run)?;
    let Counts { total, ok, .. } = report.counts;
    ensure_eq!(report.state, RunState::Succeeded, "the run is over");
    ensure_eq!((total, ok), (ITEMS, ITEMS), "every item is done and counted once: {:?}", report.counts);
    let items: Vec<_> = life.delivered.keys().copied().collect();
    let found: Vec<_> = (0..ITEMS).collect();
    ensure_eq!(items, found, "every item was handed to a handler");
    // At most: given back, held when the node died, and once more; the second one failed once besides.
    let often = life.delivered.values().all(|times| *times <= 3);
    ensure!(often, "an item is repeated only if it was in flight: {:?}", life.delivered);
    ensure!(life.finished >= 1, "the finish item was handed to a handler");
    let fired = bench.ticks(FAN)?.into_iter().filter(|info| info.tick == nth(state, 1).timestamp());
    let fired: Vec<_> = fired.map(|info| (info.verdict, info.run)).collect();
    ensure_eq!(fired, [(Verdict::Fired, Some(run))], "the tick has one verdict and one run");
    let waiting: u64 = bench.ask(|store| store.jobs())?.iter().map(jobs_core::JobRecord::open).sum();
    ensure_eq!(waiting, 0, "nothing is left over");
    ensure_eq!(bench.dead()?, [], "nothing is dead");
    let session: SessionId = A;
    ensure!(!bench.beat(session)?.alive, "the session that died, or left, is no more");
    Ok(())
}
