//! Results that the store does not settle, although it answers others: they are tried again, one after the other, and nothing
//! else waits for them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jobs_core::{STEP_RECORDS, Want, notice};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    lane::{Lane, Part},
    lock::lock,
    node::Node,
};

/// They are tried again after this long at first, and at last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(30);
/// When all else is settled they are tried for this long.
const AT_THE_END: Duration = Duration::from_secs(5);
/// With more items than these nothing more is begun.
const FULL: usize = 4 * STEP_RECORDS;
/// The most parts that are tried in one round.
const ROUND: usize = 64;

/// What was set aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    waiting: Mutex<Vec<Part>>,
    some: Notify,
    /// How many items there are, with those that are being tried.
    items: AtomicUsize,
    /// All is over: what was there has been tried for the last time.
    closed: CancellationToken,
}

impl Aside {
    /// Sets something aside.
    pub(crate) fn put(&self, part: Part) {
        self.items.fetch_add(part.items(), Ordering::AcqRel);
        lock(&self.waiting).push(part);
        self.some.notify_one();
    }

    /// Whether there is so much that nothing more should be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.items() > FULL
    }

    /// Waits until what was there has been tried for the last time.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// The next parts, those first that were not tried for the longest time.
    fn take(&self, most: usize) -> Vec<Part> {
        let mut waiting = lock(&self.waiting);
        let n = waiting.len().min(most);
        waiting.drain(..n).collect()
    }

    fn items(&self) -> usize {
        self.items.load(Ordering::Acquire)
    }

    /// Whether all is settled.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    async fn some(&self) {
        while self.is_empty() {
            self.some.notified().await;
        }
    }
}

/// Tries again until the dispatcher has settled all else, and a little longer. What is left then is done again, when the
/// lease of the session has ended.
pub(crate) async fn run(node: Arc<Node>) {
    let mut lane = Lane::of_aside(node.clone());
    let mut wait = FIRST;
    loop {
        tokio::select! {
            biased;
            () = node.ending.closed() => break,
            () = rest(&node, wait) => {}
        }
        let before = node.aside.items();
        try_again(&node, &mut lane, ROUND).await;
        wait = if node.aside.items() < before { FIRST } else { (wait * 2).min(LAST) };
    }
    let until = node.env.uptime() + AT_THE_END;
    while !node.aside.is_empty() && node.env.uptime() < until {
        try_again(&node, &mut lane, usize::MAX).await;
        node.env.sleep(node.env.about(FIRST / 10)).await;
    }
    if !node.aside.is_empty() {
        notice::warn(
            "aside",
            "results are not settled, for the store does not answer; their items are done again",
        );
    }
    node.aside.closed.cancel();
}

async fn rest(node: &Node, wait: Duration) {
    node.aside.some().await;
    node.env.sleep(node.env.about(wait)).await;
}

async fn try_again(node: &Arc<Node>, lane: &mut Lane, most: usize) {
    let parts = node.aside.take(most);
    let text = "results are not settled yet: the store does not answer for them, although it answers others";
    notice::warn("aside", format_args!("{} {text}", node.aside.items()));
    for part in parts {
        let items = part.items();
        lane.settle_part(part, Want::default()).await;
        // What is still not settled is there again.
        node.aside.items.fetch_sub(items, Ordering::AcqRel);
    }
    node.kick.notify_one();
}
