//! What a store calls things, and what all stores call them: the n-th run that appears, the n-th lease.

use std::collections::BTreeMap;

use jobs_conformance::call::Call;
use jobs_core::{
    Append, Beat, Cause, Complete, Fire, ItemId, Millis, Pass, Requeue, RunId, Settle, Settlement, Token,
};

use crate::time;

/// The first common name of a kind. No store gives out a number so small, so what is smaller was made up.
const FIRST: u64 = 1_000_000;
/// No store gives out a number so large.
const LAST: u64 = 1 << 53;

/// Numbers of one kind.
#[derive(Debug, Default)]
struct Numbers {
    actual: Vec<u64>,
    common: BTreeMap<u64, u64>,
}

impl Numbers {
    fn common(&mut self, actual: u64) -> u64 {
        if !(FIRST..LAST).contains(&actual) {
            return actual;
        }
        let next = FIRST + self.actual.len() as u64;
        *self.common.entry(actual).or_insert_with(|| {
            self.actual.push(actual);
            next
        })
    }

    fn actual(&self, common: u64) -> u64 {
        let index = common.checked_sub(FIRST).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.actual.get(index)).copied().unwrap_or(common)
    }
}

/// What one store calls things.
#[derive(Debug, Default)]
pub struct Names {
    runs: Numbers,
    tokens: Numbers,
    versions: Numbers,
    /// Instants that a store made of its own clock, by the second: cursors are compared and set.
    cursors: BTreeMap<Millis, Millis>,
}

impl Names {
    /// The common name of a run.
    pub fn run(&mut self, run: RunId) -> RunId {
        RunId::new(self.runs.common(run.number()))
    }

    /// The common name of an item.
    pub fn item(&mut self, item: ItemId) -> ItemId {
        ItemId::new(self.runs.common(item.number()), item.n())
    }

    /// The common name of a lease.
    pub fn token(&mut self, token: Token) -> Token {
        Token(self.tokens.common(token.0))
    }

    /// The common name of a cell's version.
    pub fn version(&mut self, version: u64) -> u64 {
        self.versions.common(version)
    }

    /// A cursor by the second.
    pub fn cursor(&mut self, cursor: Millis) -> Millis {
        let common = time::by_the_second(cursor);
        self.cursors.insert(common, cursor);
        common
    }

    fn actual_run(&self, run: RunId) -> RunId {
        RunId::new(self.runs.actual(run.number()))
    }

    fn actual_item(&self, item: ItemId) -> ItemId {
        ItemId::new(self.runs.actual(item.number()), item.n())
    }

    fn actual_token(&self, token: Token) -> Token {
        Token(self.tokens.actual(token.0))
    }

    /// Remembers the instants that a call names: a cursor may stand at one of them.
    pub fn asked(&mut self, call: &Call) {
        let mut passed: Vec<Millis> = Vec::new();
        match call {
            Call::Fire(_, fires, _) => {
                for fire in fires {
                    if let Cause::Tick { tick, passed: over, .. } = &fire.cause {
                        passed.extend(over.last().map(|info| Millis::from(info.last)));
                        passed.push(*tick);
                    }
                }
            }
            Call::Pass(passes) => {
                let last = passes.iter().filter_map(|pass| pass.passed.last());
                passed.extend(last.map(|info| Millis::from(info.last)));
            }
            _ => {}
        }
        for instant in passed {
            self.cursors.entry(time::by_the_second(instant)).or_insert(instant);
        }
    }

    fn actual_cursor(&self, cursor: Millis) -> Millis {
        let known = self.cursors.get(&cursor).copied();
        known.unwrap_or(cursor)
    }

    /// An operation as this store is asked for it.
    #[must_use]
    pub fn actual(&self, call: &Call) -> Call {
        match call.clone() {
            Call::Beat(beat) => {
                let held =
                    beat.held.map(|held| held.into_iter().map(|token| self.actual_token(token)).collect());
                Call::Beat(Beat { held, ..beat })
            }
            Call::Fire(session, fires, want) => {
                Call::Fire(session, fires.into_iter().map(|fire| self.actual_fire(fire)).collect(), want)
            }
            Call::Pass(passes) => Call::Pass(
                passes
                    .into_iter()
                    .map(|pass| Pass { cursor: self.actual_cursor(pass.cursor), ..pass })
                    .collect(),
            ),
            Call::Append(append) => Call::Append(Append { token: self.actual_token(append.token), ..append }),
            Call::Settle(settle) => {
                let settlements = settle.settlements.into_iter();
                let settlements = settlements
                    .map(|one| Settlement { token: self.actual_token(one.token), ..one })
                    .collect();
                Call::Settle(Settle { settlements, ..settle })
            }
            Call::Complete(runs) => Call::Complete(
                runs.into_iter().map(|one| Complete { run: self.actual_run(one.run), ..one }).collect(),
            ),
            Call::Cancel(run) => Call::Cancel(self.actual_run(run)),
            Call::Requeue(requeue) => {
                let items = requeue.items.into_iter().map(|item| self.actual_item(item)).collect();
                Call::Requeue(Requeue { items, ..requeue })
            }
            Call::Discard(request, items) => {
                Call::Discard(request, items.into_iter().map(|item| self.actual_item(item)).collect())
            }
            Call::PutIf(name, version, put) => Call::PutIf(name, self.versions.actual(version), put),
            Call::Run(run) => Call::Run(self.actual_run(run)),
            Call::Items(run, limit) => Call::Items(self.actual_run(run), limit),
            other => other,
        }
    }

    fn actual_fire(&self, mut fire: Fire) -> Fire {
        if let Cause::Tick { cursor, .. } = &mut fire.cause {
            *cursor = self.actual_cursor(*cursor);
        }
        fire
    }
}
