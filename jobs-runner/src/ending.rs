//! Ending runs of which nothing is left to do: many in one call, and beside the dispatcher, which never waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs_core::{Complete, Completion, RunId, STEP_RECORDS, notice};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{batch::halves, event::Event, lock::lock, node::Node, tries::Tries};

/// Runs that may be over.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Whether this node has asked for the end of a run before, and got no answer.
    waiting: Mutex<BTreeMap<RunId, bool>>,
    /// Runs that the store has not ended, although it answers others: it may have, and this node says so then.
    left: Mutex<BTreeSet<RunId>>,
    some: Notify,
    closed: CancellationToken,
}

impl Ending {
    /// Adds runs that may be over.
    pub(crate) fn put(&self, runs: impl IntoIterator<Item = RunId>) {
        let mut waiting = lock(&self.waiting);
        for run in runs {
            waiting.entry(run).or_insert(false);
        }
        drop(waiting);
        self.some.notify_one();
    }

    /// No more runs come: the dispatcher has ended.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.some.notify_one();
    }

    /// Waits until no more runs come.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Asks again for what was left.
    pub(crate) fn ask_again(&self) {
        let left = std::mem::take(&mut *lock(&self.left));
        lock(&self.waiting).extend(left.into_iter().map(|run| (run, true)));
        self.some.notify_one();
    }

    fn take(&self) -> Vec<(RunId, bool)> {
        let mut waiting = lock(&self.waiting);
        let first: Vec<RunId> = waiting.keys().copied().take(STEP_RECORDS).collect();
        first.into_iter().filter_map(|run| waiting.remove_entry(&run)).collect()
    }

    /// Waits for runs; returns none once no more come.
    async fn next(&self) -> Vec<(RunId, bool)> {
        loop {
            let closed = self.closed.is_cancelled();
            let runs = self.take();
            if !runs.is_empty() || closed {
                return runs;
            }
            self.some.notified().await;
        }
    }
}

/// Ends runs until the dispatcher has settled the last item.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        let runs = node.ending.next().await;
        if runs.is_empty() {
            return;
        }
        end(&node, runs).await;
    }
}

/// Ends some runs. A call that is refused, or that the store does not manage, is sent in halves; a single run that it
/// does not take is left to the upkeep, which asks for it again.
async fn end(node: &Node, runs: Vec<(RunId, bool)>) {
    let mut parts = vec![runs];
    while let Some(runs) = parts.pop() {
        parts.extend(end_part(node, runs).await);
    }
}

/// Ends some runs in one call, and returns what is to be sent in parts instead.
async fn end_part(node: &Node, mut runs: Vec<(RunId, bool)>) -> Vec<Vec<(RunId, bool)>> {
    let mut tries = Tries::from(node.env.uptime());
    let completions = loop {
        let complete = runs.iter().map(|(run, _)| Complete { run: *run, finish: false }).collect();
        let refused = match node.ask_or_refusal(node.store.complete(complete)).await {
            Ok(Some(completions)) => break completions,
            Ok(None) => None,
            Err(refusal) => Some(refusal),
        };
        tries.failed();
        runs.iter_mut().for_each(|(_, asked)| *asked = true);
        if refused.is_some() || tries.are_too_many(node) {
            if runs.len() > 1 {
                return halves(runs).into();
            }
            match (refused, runs.first()) {
                (Some(refusal), Some((run, _))) => {
                    notice::warn("refused", format_args!("the store refused to end run {run}: {refusal}"));
                }
                (None, Some((run, _))) => drop(lock(&node.ending.left).insert(*run)),
                (_, None) => {}
            }
            return Vec::new();
        }
        node.env.sleep(node.env.about(Duration::from_millis(50))).await;
    };
    for ((_, asked_before), completion) in runs.into_iter().zip(completions) {
        match completion {
            Completion::Completed(report) => node.bus.say(Event::RunFinished(*report)),
            // It was this node, and the answer was lost; or another at the same time.
            Completion::Already(report) if asked_before => node.bus.say(Event::RunFinished(*report)),
            _ => {}
        }
    }
    Vec::new()
}
