//! What the logs say of a store's promises. It reads nothing but them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::{
    jobs::TICK,
    record::{Kind, Record},
};

/// A run that was asked for, and how many items it has.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Its number.
    pub run: u64,
    /// How many items its query finds: 0, 1, 2 and so on.
    pub items: u64,
    /// Whether the run was over when the scenario ended.
    pub over: bool,
}

/// A process that was killed or stopped, and when.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The process.
    pub pid: u32,
    /// When, as in the logs.
    pub at: u64,
}

/// A stretch that the store has forgotten: it was restored from a backup, or a replica took over that had not heard of it.
#[derive(Clone, Copy, Debug)]
pub struct Forgotten {
    /// When it began, as in the logs.
    pub from: u64,
    /// When it ended.
    pub to: u64,
}

impl Forgotten {
    fn has(&self, at: u64) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// What the logs say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Faults that hit something in flight.
    pub kills: u64,
    /// Items of runs that are over, and that no handler came to the end of.
    pub lost: u64,
    /// Runs of a tick beyond the first.
    pub extra_runs: u64,
    /// Ticks between the first and the last of which no handler began.
    pub missed: u64,
    /// Deliveries of an item beyond the first.
    pub repeated: u64,
    /// The most that may be repeated: what was in flight or not yet settled when its process was killed, or lost its
    /// lease.
    pub bound: u64,
    /// Items that were delivered again though the store had acknowledged that they are done.
    pub again: u64,
    /// Runs that were not over in the end.
    pub stuck: u64,
    /// The longest time from a fault until everything that was in flight had begun again, in milliseconds.
    pub recovery_ms: u64,
    /// The longest call of each operation of the store, in milliseconds.
    pub longest_ms: BTreeMap<String, u64>,
    /// The longest script of a server of Redis, in milliseconds.
    pub script_ms: Option<u64>,
    /// Items that each process worked on.
    #[serde(skip)]
    pub shares: Vec<u64>,
}

impl Verdict {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let none = [self.lost, self.extra_runs, self.missed, self.again, self.stuck];
        none.iter().all(|count| *count == 0) && self.repeated <= self.bound
    }
}

/// What is known of one item.
#[derive(Default)]
struct Item {
    begun: u64,
    ended: bool,
    /// Deliveries that no store has acknowledged.
    unsettled: u64,
    settled_at: Option<u64>,
    value: u64,
    /// When it was begun, the last time.
    last: u64,
}

type Items = HashMap<(u64, u64), Item>;

/// What the logs of all processes say.
#[must_use]
pub fn judge(logs: &[Vec<Record>], expected: &[Expected], faults: &[Fault]) -> Verdict {
    judge_but(logs, expected, faults, &[])
}

/// The same of a store that has forgotten some stretches: an end that it acknowledged within one was not settled, and a
/// tick that fired within one may fire again.
#[must_use]
pub fn judge_but(
    logs: &[Vec<Record>],
    expected: &[Expected],
    faults: &[Fault],
    forgotten: &[Forgotten],
) -> Verdict {
    let is_forgotten = |at: u64| forgotten.iter().any(|stretch| stretch.has(at));
    let mut verdict = Verdict::default();
    let mut items = Items::new();
    let mut ticks: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for log in logs {
        let begun = log.iter().filter(|record| record.kind == Kind::Begin);
        verdict.shares.push(begun.clone().count() as u64);
        for record in begun.filter(|record| record.job == TICK) {
            let runs = ticks.entry(record.value).or_default();
            if !is_forgotten(record.at) {
                runs.insert(record.run);
            }
        }
        take_in(&mut items, log, &is_forgotten);
    }
    for item in items.values() {
        verdict.repeated += item.begun.saturating_sub(1);
        verdict.bound += item.unsettled;
        verdict.again += u64::from(item.settled_at.is_some_and(|settled| item.last > settled));
    }
    for run in expected {
        if run.over {
            let done = |n: &u64| items.get(&(run.run, *n)).is_some_and(|item| item.ended && item.value == *n);
            verdict.lost += (0..run.items).filter(|n| !done(n)).count() as u64;
        } else {
            verdict.stuck += 1;
        }
    }
    verdict.extra_runs = ticks.values().map(|runs| (runs.len() as u64).saturating_sub(1)).sum();
    if let (Some(first), Some(last)) = (ticks.keys().next(), ticks.keys().next_back()) {
        verdict.missed = (last - first) / 1_000 + 1 - ticks.len() as u64;
    }
    for fault in faults {
        let held = in_flight(logs, fault);
        verdict.kills += u64::from(!held.is_empty());
        let again = held.iter().filter_map(|id| begun_after(logs, *id, fault.at)).max();
        let recovery = again.map_or(0, |at| (at - fault.at) / 1_000_000);
        verdict.recovery_ms = verdict.recovery_ms.max(recovery);
    }
    verdict
}

/// Adds what one process saw.
fn take_in(items: &mut Items, log: &[Record], is_forgotten: &dyn Fn(u64) -> bool) {
    // Deliveries here that are not settled yet.
    let mut open: HashMap<(u64, u64), u64> = HashMap::new();
    for record in log {
        let id = (record.run, record.item);
        match record.kind {
            Kind::Begin => {
                let item = items.entry(id).or_default();
                item.begun += 1;
                item.value = record.value;
                item.last = item.last.max(record.at);
                *open.entry(id).or_default() += 1;
            }
            Kind::End => items.entry(id).or_default().ended = true,
            Kind::Settled if is_forgotten(record.at) => {}
            Kind::Settled => {
                for n in record.item..record.value {
                    let id = (record.run, n);
                    if let Some(deliveries) = open.get_mut(&id) {
                        *deliveries = deliveries.saturating_sub(1);
                        let settled = &mut items.entry(id).or_default().settled_at;
                        *settled = Some(settled.map_or(record.at, |at| at.min(record.at)));
                    }
                }
            }
            Kind::Lost | Kind::Query => {}
        }
    }
    for (id, deliveries) in open {
        items.entry(id).or_default().unsettled += deliveries;
    }
}

/// The items that a process had begun and not ended at a fault.
fn in_flight(logs: &[Vec<Record>], fault: &Fault) -> BTreeSet<(u64, u64)> {
    let mut held = BTreeSet::new();
    let of =
        |log: &&Vec<Record>| log.first().is_some_and(|first| first.pid == fault.pid && first.at <= fault.at);
    // An id may be used again: the last of that id which had begun.
    for record in logs.iter().rfind(of).into_iter().flatten().take_while(|record| record.at <= fault.at) {
        match record.kind {
            Kind::Begin => drop(held.insert((record.run, record.item))),
            Kind::End => drop(held.remove(&(record.run, record.item))),
            Kind::Settled | Kind::Lost | Kind::Query => {}
        }
    }
    held
}

/// Deliveries whose fencing token is not higher than that of an earlier one of the same item. In a process that was
/// stopped between a lease and its handler there may be some; if a store was restored, none may.
#[must_use]
pub fn tokens_that_shrink(logs: &[Vec<Record>]) -> u64 {
    let mut begun: Vec<_> = logs.iter().flatten().filter(|record| record.kind == Kind::Begin).collect();
    begun.sort_by_key(|record| record.at);
    let (mut highest, mut shrunk) = (HashMap::new(), 0);
    for record in begun {
        let last = highest.entry((record.run, record.item)).or_insert(0);
        shrunk += u64::from(record.token <= *last);
        *last = record.token.max(*last);
    }
    shrunk
}

/// Whether everything that was in flight at a fault has begun again.
#[must_use]
pub fn has_recovered(logs: &[Vec<Record>], fault: &Fault) -> bool {
    in_flight(logs, fault).into_iter().all(|id| begun_after(logs, id, fault.at).is_some())
}

/// When an item was first begun after an instant.
fn begun_after(logs: &[Vec<Record>], id: (u64, u64), after: u64) -> Option<u64> {
    let of =
        |record: &&Record| record.kind == Kind::Begin && (record.run, record.item) == id && record.at > after;
    logs.iter().flatten().filter(of).map(|record| record.at).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::LOAD;

    fn record(kind: Kind, pid: u32, at: u64, item: u64, value: u64) -> Record {
        Record { kind, job: LOAD, pid, at, run: 1, item, value, token: 0 }
    }

    fn begin(pid: u32, at: u64, item: u64) -> Record {
        record(Kind::Begin, pid, at, item, item)
    }

    fn end(pid: u32, at: u64, item: u64) -> Record {
        record(Kind::End, pid, at, item, item)
    }

    const EXPECTED: Expected = Expected { run: 1, items: 2, over: true };

    #[test]
    fn a_clean_log_is_clean() {
        let log = vec![
            begin(1, 1, 0),
            begin(1, 2, 1),
            end(1, 3, 0),
            end(1, 4, 1),
            record(Kind::Settled, 1, 5, 0, 2),
        ];
        let verdict = judge(&[log], &[EXPECTED], &[]);
        assert_eq!(verdict, Verdict { shares: vec![2], ..Verdict::default() });
    }

    #[test]
    fn what_was_in_flight_at_a_kill_may_be_repeated() {
        let killed = vec![begin(1, 1, 0), begin(1, 2, 1), end(1, 3, 0)];
        let next =
            vec![begin(2, 5_000_000, 0), begin(2, 9_000_000, 1), end(2, 9_000_001, 0), end(2, 9_000_002, 1)];
        let verdict = judge(&[killed, next], &[EXPECTED], &[Fault { pid: 1, at: 4 }]);
        assert_eq!((verdict.kills, verdict.repeated, verdict.bound), (1, 2, 4));
        assert_eq!((verdict.lost, verdict.again, verdict.recovery_ms), (0, 0, 8));
    }

    #[test]
    fn an_item_that_comes_again_after_it_was_settled_is_seen() {
        let first = vec![begin(1, 1, 0), end(1, 2, 0), record(Kind::Settled, 1, 3, 0, 1)];
        let next = vec![begin(2, 4, 0), begin(2, 5, 1), end(2, 6, 1)];
        let verdict = judge(&[first, next], &[EXPECTED], &[]);
        assert_eq!((verdict.again, verdict.lost), (1, 0));
    }

    #[test]
    fn an_item_that_nobody_ended_is_lost_and_a_run_that_is_not_over_is_stuck() {
        let log = vec![begin(1, 1, 0), end(1, 2, 0), begin(1, 3, 1)];
        assert_eq!(judge(std::slice::from_ref(&log), &[EXPECTED], &[]).lost, 1);
        let open = Expected { over: false, ..EXPECTED };
        let verdict = judge(&[log], &[open], &[]);
        assert_eq!((verdict.lost, verdict.stuck), (0, 1));
    }

    #[test]
    fn what_a_store_has_forgotten_is_not_held_against_it() {
        let tick = |run, at, value| Record { job: TICK, run, ..record(Kind::Begin, 1, at, 0, value) };
        let first = vec![begin(1, 1, 0), end(1, 2, 0), record(Kind::Settled, 1, 3, 0, 1), tick(7, 4, 1_000)];
        let next = vec![begin(2, 6, 0), end(2, 7, 0), tick(8, 8, 1_000)];
        let expected = [Expected { items: 1, ..EXPECTED }];
        let logs = [first, next];
        let strict = judge(&logs, &expected, &[]);
        assert_eq!((strict.again, strict.extra_runs), (1, 1));
        let mild = judge_but(&logs, &expected, &[], &[Forgotten { from: 2, to: 5 }]);
        assert_eq!((mild.again, mild.extra_runs), (0, 0));
        assert!(mild.is_clean() && mild.repeated == 1, "{mild:?}");
    }

    #[test]
    fn a_token_that_does_not_grow_is_seen() {
        let with = |token, record| Record { token, ..record };
        let logs = |second| [vec![with(5, begin(1, 1, 0))], vec![with(second, begin(2, 2, 0))]];
        assert_eq!((tokens_that_shrink(&logs(6)), tokens_that_shrink(&logs(5))), (0, 1));
    }

    #[test]
    fn a_tick_with_two_runs_and_one_with_none_are_seen() {
        let tick = |run, tick| Record { job: TICK, run, ..record(Kind::Begin, 1, run, 0, tick) };
        let verdict = judge(&[vec![tick(1, 1_000), tick(2, 1_000), tick(3, 4_000)]], &[], &[]);
        assert_eq!((verdict.extra_runs, verdict.missed), (1, 2));
    }
}
