//! An answer in the names that all stores share.

use jobs_conformance::call::Answer;
use jobs_core::{
    Ahead, Attached, Body, Cell, Chunk, Completion, DeadItem, Failure, Firing, Header, ItemInfo, ItemState,
    JobRecord, Lease, Millis, Passing, Pruned, Reaped, RunId, RunReport, ScheduleState, SessionRecord,
    Settled, Stage, TickInfo, Undecodable,
};
use serde_json::Value;

use crate::{names::Names, time::by_the_second};

/// The answer in common names, with times by the second.
#[must_use]
pub fn canonical(names: &mut Names, answer: Answer) -> Answer {
    let to = &mut Canonical(names);
    match answer {
        Answer::Attach(attached) => Answer::Attach(to.attached(attached)),
        Answer::Beat(mut pulse) => {
            pulse.lost.iter_mut().for_each(|token| *token = to.0.token(*token));
            pulse.cancelled.iter_mut().for_each(|run| *run = to.0.run(*run));
            Answer::Beat(pulse)
        }
        Answer::Fire(fired) => Answer::Fire(fired.into_iter().map(|firing| to.firing(firing)).collect()),
        Answer::Pass(passed) => Answer::Pass(passed.into_iter().map(|passing| to.passing(passing)).collect()),
        Answer::Settle(settled) => Answer::Settle(to.settled(settled)),
        Answer::Complete(ends) => Answer::Complete(ends.into_iter().map(|end| to.completion(end)).collect()),
        Answer::Requeue(mut requeued) => {
            if let Some(requeued) = &mut requeued {
                requeued.run = to.0.run(requeued.run);
            }
            Answer::Requeue(requeued)
        }
        Answer::Reap(reaped) => Answer::Reap(to.reaped(reaped)),
        // What was dropped in one piece is deleted behind the caller's back, so whether there is more depends on the machine.
        Answer::Prune(pruned) => Answer::Prune(Pruned { more: false, ..pruned }),
        Answer::Completable(runs) => Answer::Completable(runs.into_iter().map(|run| to.0.run(run)).collect()),
        Answer::Get(cell) => Answer::Get(cell.map(|cell| to.cell(cell))),
        Answer::List(cells) => {
            Answer::List(cells.into_iter().map(|(name, cell)| (name, to.cell(cell))).collect())
        }
        Answer::PutIf(Ok(version)) => Answer::PutIf(Ok(to.0.version(version))),
        Answer::PutIf(Err(there)) => Answer::PutIf(Err(there.map(|cell| to.cell(cell)))),
        Answer::Jobs(jobs) => Answer::Jobs(jobs.into_iter().map(|job| to.job(job)).collect()),
        Answer::Run(report) => Answer::Run(report.map(|report| to.report(report))),
        Answer::Runs(reports) => Answer::Runs(reports.into_iter().map(|report| to.report(report)).collect()),
        Answer::Items(items) => Answer::Items(items.into_iter().map(|item| to.item(item)).collect()),
        Answer::Sessions(records) => {
            Answer::Sessions(records.into_iter().map(|record| to.session(record)).collect())
        }
        Answer::Ticks(ticks) => Answer::Ticks(ticks.into_iter().map(|tick| to.tick(tick)).collect()),
        Answer::Dead(dead) => Answer::Dead(dead.into_iter().map(|item| to.dead(item)).collect()),
        same @ (Answer::Detach(_) | Answer::Append(_) | Answer::Cancel(_) | Answer::Discard(_)) => same,
    }
}

struct Canonical<'a>(&'a mut Names);

/// A timestamp by the second.
fn second(at: jiff::Timestamp) -> jiff::Timestamp {
    by_the_second(Millis::from(at)).timestamp()
}

impl Canonical<'_> {
    fn attached(&mut self, attached: Attached) -> Attached {
        let Attached { schedules, past, reaped, others, ahead } = attached;
        Attached {
            schedules: schedules.into_iter().map(|(id, state)| (id, self.state(state))).collect(),
            past: past.into_iter().map(|(id, at)| (id, by_the_second(at))).collect(),
            reaped: self.reaped(reaped),
            others: others.into_iter().map(|record| self.session(record)).collect(),
            ahead: ahead
                .into_iter()
                .map(|ahead| Ahead { cursor: by_the_second(ahead.cursor), ..ahead })
                .collect(),
        }
    }

    fn state(&mut self, state: ScheduleState) -> ScheduleState {
        let cursor = self.0.cursor(state.cursor);
        ScheduleState { cursor, waiting: state.waiting.map(by_the_second), ..state }
    }

    fn session(&mut self, record: SessionRecord) -> SessionRecord {
        SessionRecord { until: by_the_second(record.until), ..record }
    }

    fn reaped(&mut self, reaped: Reaped) -> Reaped {
        let dead = reaped.dead.into_iter().map(|(job, run, item, failure)| {
            (job, run.map(|run| self.0.run(run)), self.0.item(item), failure_of(failure))
        });
        Reaped {
            dead: dead.collect(),
            ended: reaped.ended.iter().map(|run| self.0.run(*run)).collect(),
            ..reaped
        }
    }

    fn firing(&mut self, firing: Firing) -> Firing {
        match firing {
            Firing::Fired { run, lease } => {
                Firing::Fired { run: self.0.run(run), lease: lease.map(|lease| self.lease(lease)) }
            }
            Firing::Already(state) => Firing::Already(self.state(state)),
            Firing::Busy { run } => Firing::Busy { run: self.0.run(run) },
            Firing::NotYet { wait } => {
                Firing::NotYet { wait: std::time::Duration::from_secs(wait.as_secs()) }
            }
            same @ (Firing::Paused { .. } | Firing::Stale) => same,
        }
    }

    fn passing(&mut self, passing: Passing) -> Passing {
        match passing {
            Passing::Already(state) => Passing::Already(self.state(state)),
            same => same,
        }
    }

    fn lease(&mut self, lease: Lease) -> Lease {
        let Chunk { header, body } = lease.chunk;
        let body = if header.stage == Stage::Finish { self.finish(body) } else { body };
        let header = self.header(header);
        Lease { token: self.0.token(lease.token), chunk: Chunk { header, body }, cursor: lease.cursor }
    }

    /// The payload of a finish item is a report.
    fn finish(&mut self, body: Body) -> Body {
        let report = body.items().next().and_then(|item| serde_json::from_slice::<RunReport>(item).ok());
        let report = report.map(|report| self.report(report));
        report.and_then(|report| Body::one(&report).ok()).unwrap_or(body)
    }

    fn header(&mut self, header: Header) -> Header {
        let undecodable =
            header.undecodable.map(|failed| Undecodable { since: by_the_second(failed.since), ..failed });
        Header {
            number: self.0.run(RunId::new(header.number)).number(),
            tick: header.tick.map(by_the_second),
            due: by_the_second(header.due),
            enqueued_at: by_the_second(header.enqueued_at),
            waits_since: header.waits_since.map(by_the_second),
            undecodable,
            ..header
        }
    }

    fn settled(&mut self, settled: Settled) -> Settled {
        Settled {
            leases: settled.leases.into_iter().map(|lease| self.lease(lease)).collect(),
            lost: settled.lost.into_iter().map(|token| self.0.token(token)).collect(),
            ended: settled.ended.into_iter().map(|run| self.0.run(run)).collect(),
            next_due: settled.next_due.map(by_the_second),
        }
    }

    fn completion(&mut self, end: Completion) -> Completion {
        match end {
            Completion::Completed(report) => Completion::Completed(Box::new(self.report(*report))),
            Completion::Already(report) => Completion::Already(Box::new(self.report(*report))),
            same => same,
        }
    }

    fn report(&mut self, mut report: RunReport) -> RunReport {
        report.id = self.0.run(report.id);
        report.tick = report.tick.map(second);
        report.started_at = second(report.started_at);
        report.finished_at = report.finished_at.map(second);
        report.errors.iter_mut().for_each(|group| group.sample = self.0.item(group.sample));
        report
    }

    fn cell(&mut self, cell: Cell) -> Cell {
        Cell {
            version: self.0.version(cell.version),
            value: value(cell.value),
            expires_at: cell.expires_at.map(by_the_second),
            ..cell
        }
    }

    fn job(&mut self, job: JobRecord) -> JobRecord {
        JobRecord { schedule: job.schedule.map(|state| self.state(state)), ..job }
    }

    fn item(&mut self, item: ItemInfo) -> ItemInfo {
        let state = match item.state {
            ItemState::InFlight { node, since } => ItemState::InFlight { node, since: second(since) },
            ItemState::Delayed { until } => ItemState::Delayed { until: second(until) },
            same => same,
        };
        let payload = match serde_json::from_value::<RunReport>(item.payload.clone()) {
            Ok(report) => serde_json::to_value(self.report(report)).unwrap_or_default(),
            Err(_) => item.payload,
        };
        ItemInfo {
            id: self.0.item(item.id),
            run: item.run.map(|run| self.0.run(run)),
            state,
            enqueued_at: second(item.enqueued_at),
            payload,
            ..item
        }
    }

    fn tick(&mut self, info: TickInfo) -> TickInfo {
        TickInfo {
            tick: second(info.tick),
            last: second(info.last),
            run: info.run.map(|run| self.0.run(run)),
            ..info
        }
    }

    fn dead(&mut self, item: DeadItem) -> DeadItem {
        DeadItem {
            id: self.0.item(item.id),
            run: item.run.map(|run| self.0.run(run)),
            attempts: item.attempts.into_iter().map(failure_of).collect(),
            ..item
        }
    }
}

fn failure_of(failure: Failure) -> Failure {
    Failure { at: second(failure.at), ..failure }
}

/// The value of a cell: a store notes instants in cells of its own.
fn value(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(at) => by_the_second(Millis(at)).0.into(),
            None => Value::Number(number),
        },
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, field)| (name, self::value(field))).collect())
        }
        same => same,
    }
}
