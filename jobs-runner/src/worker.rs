//! One slot: it takes items of a job, one after the other, until there are none.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    attempt,
    desk::{Desk, put_back, start_workers},
    lease::Taken,
    node::{Node, Phase},
};

/// Works until the job's queue is empty.
pub(crate) async fn work(node: Arc<Node>, desk: Arc<Desk>) {
    while let Some(taken) = desk.take() {
        if may_start(&node, &desk, &taken) {
            for (index, payload) in (taken.from..).zip(taken.items.items()) {
                let end = attempt::run(&node, &desk, &taken.held, index, payload).await;
                node.outbox.put(taken.held.token, index, index + 1, end);
            }
        } else {
            put_back(&node, &taken.held, taken.from, taken.from + taken.items.count());
        }
    }
    leave(&node, &desk);
}

fn may_start(node: &Node, desk: &Desk, taken: &Taken) -> bool {
    taken.held.revoked().is_none()
        && node.phase() == Phase::Running
        && node.is_trusted()
        && !node.is_paused(&desk.job.id)
}

/// Frees the slot: for another job that waits for one, or for the dispatcher to fill.
fn leave(node: &Arc<Node>, desk: &Desk) {
    node.running.fetch_sub(1, Ordering::AcqRel);
    if desk.is_idle() {
        node.set_active(&desk.job.id, false);
        // Something may have come in between.
        if !desk.is_idle() {
            node.set_active(&desk.job.id, true);
        }
    }
    for job in node.active() {
        if let Some(desk) = node.desks.get(&job) {
            start_workers(node, desk);
        }
    }
    node.idle.notify_one();
    node.kick.notify_one();
}
