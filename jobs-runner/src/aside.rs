//! Results that the store does not settle, although it answers others: they are tried again, one after the other, and nothing
//! else waits for them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs_core::{Want, notice};
use tokio::sync::Notify;

use crate::{
    lane::{Lane, Part},
    lock::lock,
    node::Node,
};

/// They are tried again after this long at first, and at last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(30);

/// What was set aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    waiting: Mutex<Vec<Part>>,
    some: Notify,
}

impl Aside {
    /// Sets something aside.
    pub(crate) fn put(&self, part: Part) {
        lock(&self.waiting).push(part);
        self.some.notify_one();
    }

    fn take(&self) -> Vec<Part> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    async fn some(&self) {
        while self.is_empty() {
            self.some.notified().await;
        }
    }
}

/// Tries again until the runner has ended. What is left then goes back with the session, and is done again.
pub(crate) async fn run(node: Arc<Node>) {
    tokio::select! {
        biased;
        () = node.over() => {}
        () = try_again(&node) => {}
    }
}

async fn try_again(node: &Arc<Node>) {
    let mut lane = Lane::of_aside(node.clone());
    let mut wait = FIRST;
    loop {
        node.aside.some().await;
        node.env.sleep(node.env.about(wait)).await;
        let parts = node.aside.take();
        let text =
            "results are not settled yet: the store does not answer for them, although it answers others";
        notice::warn("aside", format_args!("{} {text}", parts.len()));
        for part in parts {
            lane.settle_part(part, Want::default()).await;
        }
        wait = if node.aside.is_empty() { FIRST } else { (wait * 2).min(LAST) };
    }
}
