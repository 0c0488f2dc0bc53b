//! Ticks: each one in the observed time has exactly one verdict, and was missed only where nobody could fire it.

use std::{collections::BTreeMap, sync::Arc};

use jobs_core::{Link, Millis, TickInfo, Verdict};
use jobs_schedule::Schedule;

use super::{journal::Journal, model::Epoch};
use crate::{
    jobs::SCHEDULES,
    log::{Entry, What},
    world::World,
};

/// Ticks noticed later than this are missed.
const ON_TIME: i64 = 10_000;

pub(super) fn judge(journal: &mut Journal, world: &World) {
    let stopped = world.entries.iter().find(|entry| matches!(entry.what, What::Stopped));
    for (id, ticks) in &world.store.ticks {
        let Some(record) = world.store.jobs.iter().find(|record| record.link.job == *id) else { continue };
        let Some(state) = &record.schedule else { continue };
        let known = schedules(&record.link, world);
        let mut epochs = journal.model.epochs.get(id).cloned().unwrap_or_default();
        if let Some(last) = epochs.last_mut() {
            last.to = Some(state.cursor);
        }
        verdicts(journal, id, ticks, &epochs, &known);
        runs(journal, id, ticks, world);
        if let (Some(stopped), Some(epoch)) = (stopped, epochs.last()) {
            let Some(schedule) = known.get(&epoch.fingerprint) else { continue };
            behind(journal, id, state.cursor, schedule, stopped);
        }
    }
    missed(journal, world);
}

/// The schedules that a job may have, by fingerprint.
fn schedules(link: &Link, world: &World) -> BTreeMap<Arc<str>, Schedule> {
    let declared = link.schedule.as_ref().map(|declared| declared.text.to_string());
    let mut texts: Vec<String> = declared.into_iter().collect();
    if *link.job == *"sim.flip" && world.settings.jobs.contains(&"sim.flip") {
        texts.extend(SCHEDULES.map(str::to_owned));
    }
    let parsed = texts.iter().filter_map(|text| text.parse::<Schedule>().ok());
    parsed.map(|schedule| (Arc::from(schedule.fingerprint()), schedule)).collect()
}

/// Walks through the ticks that there were, and through what is recorded of them.
fn verdicts(
    journal: &mut Journal,
    id: &str,
    ticks: &[TickInfo],
    epochs: &[Epoch],
    known: &BTreeMap<Arc<str>, Schedule>,
) {
    let mut expected: BTreeMap<Millis, u32> = BTreeMap::new();
    for epoch in epochs {
        let Some(schedule) = known.get(&epoch.fingerprint) else { continue };
        let mut at = epoch.from.timestamp();
        while let Some(next) = schedule.next_after(at) {
            if epoch.to.is_none_or(|to| Millis::from(next) > to) {
                break;
            }
            expected.entry(next.into()).or_default();
            at = next;
        }
    }
    for record in ticks {
        let (first, last) = (Millis::from(record.tick), Millis::from(record.last));
        let covered: Vec<Millis> = expected.range(first..=last).map(|(tick, _)| *tick).collect();
        if covered.len() as u64 != record.count || covered.first() != Some(&first) {
            let text = format!("{id}: {record:?} is about {} ticks", covered.len());
            journal.report.extra.push(text);
        }
        for tick in covered {
            *expected.entry(tick).or_default() += 1;
        }
    }
    for (tick, verdicts) in expected {
        match verdicts {
            0 => journal.report.lost.push(format!("{id}: {} has no verdict", tick.timestamp())),
            1 => {}
            _ => journal.report.extra.push(format!("{id}: {} has {verdicts} verdicts", tick.timestamp())),
        }
    }
}

/// Each run of a tick is the one in the tick's verdict.
fn runs(journal: &mut Journal, id: &str, ticks: &[TickInfo], world: &World) {
    let mut of_ticks: BTreeMap<jiff::Timestamp, Vec<jobs_core::RunId>> = BTreeMap::new();
    for run in world.store.runs.iter().filter(|run| run.job == id) {
        if let Some(tick) = run.tick {
            of_ticks.entry(tick).or_default().push(run.id);
        }
    }
    for record in ticks {
        let runs = of_ticks.remove(&record.tick).unwrap_or_default();
        let fired = matches!(record.verdict, Verdict::Fired | Verdict::Late);
        if runs != record.run.into_iter().collect::<Vec<_>>() || fired != record.run.is_some() {
            journal.report.extra.push(format!("{id}: {record:?} and the runs {runs:?}"));
        }
    }
    for (tick, runs) in of_ticks {
        journal.report.extra.push(format!("{id}: {tick} has no verdict and the runs {runs:?}"));
    }
}

/// After a quiet while a schedule stands at the present.
fn behind(journal: &mut Journal, id: &Arc<str>, cursor: Millis, schedule: &Schedule, stopped: &Entry) {
    // A step back of the clock delays take-overs by as much, and a busy run holds a tick back.
    if journal.model.waiting.contains_key(id) || journal.nodes.back() > 20_000 {
        return;
    }
    // Many missed ticks are caught up one after the other.
    let catches_up =
        journal.model.last_fired.get(id).is_some_and(|at| stopped.at.saturating_sub(*at) < 10_000);
    let Some(next) = schedule.next_after(cursor.timestamp()) else { return };
    let stopped = stopped.now;
    if !catches_up && stopped.0 - Millis::from(next).0 > 15_000 {
        let text = format!("{id} stands at {} and it is {}", cursor.timestamp(), stopped.timestamp());
        journal.report.stuck.push(text);
    }
}

/// A tick is missed only where nobody could notice it in time.
fn missed(journal: &mut Journal, world: &World) {
    let start = world.entries.first().map_or(Millis(0), |entry| entry.now);
    for (id, record, _, now) in std::mem::take(&mut journal.model.passed) {
        if record.verdict != Verdict::Missed || *id == *"sim.flip" {
            continue;
        }
        let last = Millis::from(record.last);
        let text = format!("{id}: {}..={} is missed at {}", record.tick, record.last, now.timestamp());
        if now.0 - last.0 + journal.nodes.back() <= ON_TIME {
            journal.report.missed.push(format!("{text}, which is on time"));
            continue;
        }
        if *id == *"sim.all" {
            journal.report.missed.push(format!("{text}, and all are caught up"));
        }
        let Some(at) = journal.nodes.reached(start, last) else { continue };
        let (from, to) = (at.saturating_sub(3_000), at + 10_000);
        if journal.nodes.stepped(from, to) {
            continue;
        }
        if let Some(node) = journal.nodes.some_is_well(from, to) {
            journal.report.missed.push(format!("{text}, and {} was well", crate::log::name(node)));
        }
    }
}
