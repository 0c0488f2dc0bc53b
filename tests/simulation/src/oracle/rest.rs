//! What is left in the end: every run is over, its counts add up to what was done, and nothing is held.

use jobs_core::{RunReport, RunState, SessionRecord, Stage};

use super::{
    journal::Journal,
    model::{Ending, Run},
};
use crate::world::World;

pub(super) fn judge(journal: &mut Journal, world: &World) {
    for record in world.store.jobs.iter().filter(|record| record.ready + record.delayed > 0) {
        let text = format!("{}: {} items wait", record.link.job, record.ready + record.delayed);
        journal.report.stuck.push(text);
    }
    for SessionRecord { session, node, holds, .. } in &world.store.held {
        journal.report.stuck.push(format!("{session} of {} holds {holds} items", node.name));
    }
    for report in &world.store.runs {
        journal.coverage.saw(match report.state {
            RunState::Succeeded => "run: succeeded",
            RunState::Partial => "run: partial",
            RunState::Failed => "run: failed",
            RunState::Cancelled => "run: cancelled",
            _ => {
                let text = format!("run {} of {} is {:?}", report.id, report.job, report.state);
                journal.report.stuck.push(text);
                continue;
            }
        });
        match journal.model.runs.remove(&report.id) {
            Some(run) => counts(journal, report, &run),
            None => journal.report.extra.push(format!("nobody made the run {}", report.id)),
        }
    }
    for (id, run) in std::mem::take(&mut journal.model.runs) {
        journal.report.lost.push(format!("the run {id} of {} for {:?} has vanished", run.job, run.tick));
    }
    dead(journal, world);
}

/// The store's counts of a run against the model's.
fn counts(journal: &mut Journal, report: &RunReport, run: &Run) {
    let number = report.id.number();
    let items = journal.model.items.range((number, Stage::Work, 0)..(number, Stage::Finish, 0));
    let ends: Vec<Ending> = items.filter_map(|(_, item)| item.end).collect();
    let of = |wanted: &[Ending]| ends.iter().filter(|end| wanted.contains(end)).count() as u64;
    let dead = of(&[Ending::Dead, Ending::Poison, Ending::Undecodable]);
    let found = [of(&[Ending::Done]), dead, of(&[Ending::Discarded]), run.retries, run.total];
    let counts = report.counts;
    let said = [counts.ok, counts.dead, counts.discarded, counts.retries, counts.total];
    if found != said {
        let text = format!("run {number} of {} says ok, dead, discarded, retries, total {said:?}", run.job);
        journal.report.counts.push(format!("{text} and it was {found:?}"));
    }
    // What was cancelled before anybody had it is known to the store alone.
    if counts.ended() != counts.total || of(&[Ending::Cancelled]) > counts.cancelled {
        journal.report.counts.push(format!("run {number} of {} does not add up: {counts:?}", run.job));
    }
    if ends.len() as u64 != counts.total && !run.cancelled {
        let text = format!("run {number} of {}: {} of {} items ended", run.job, ends.len(), counts.total);
        journal.report.lost.push(text);
    }
    if run.query && run.query_failed && report.state != RunState::Failed && !run.cancelled {
        journal.report.counts.push(format!("run {number} is {:?} and its query failed", report.state));
    }
}

/// Every dead item is kept, with its payload.
fn dead(journal: &mut Journal, world: &World) {
    let dead =
        |ending: Option<Ending>| matches!(ending, Some(Ending::Dead | Ending::Poison | Ending::Undecodable));
    let items = journal.model.items.iter().filter(|(key, item)| key.1 == Stage::Work && dead(item.end));
    let mut expected: Vec<_> = items.map(|(key, _)| (key.0, key.2)).collect();
    for found in &world.store.dead {
        let key = (found.id.number(), found.id.n());
        match expected.iter().position(|expected| *expected == key) {
            Some(at) => drop(expected.remove(at)),
            None => journal.report.extra.push(format!("{} is buried and not dead", found.id)),
        }
    }
    for (number, n) in expected {
        journal.report.lost.push(format!("{number}-{n} is dead and not kept"));
    }
}
