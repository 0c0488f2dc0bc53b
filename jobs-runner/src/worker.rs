//! One slot: it takes items of a job, one after the other, until there are none.

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    attempt,
    desk::{Desk, put_back},
    node::Node,
};

/// Works until the job's queue is empty.
pub(crate) async fn work(node: Arc<Node>, desk: Arc<Desk>) {
    let (mut now, mut took) = (node.env.uptime(), None);
    while let Some(taken) = desk.take(took) {
        if node.may_start(&desk, &taken.held, now) {
            let end = attempt::run(&node, &desk, &taken, now).await;
            node.outbox.put(taken.held.token, taken.index, taken.index + 1, end);
            // One look at the clock between two items.
            let ended = node.env.uptime();
            took = Some(ended.saturating_sub(now));
            now = ended;
            if node.slots.is_crowded() {
                // Another job waits for a slot of the process; this one takes its turn.
                desk.leave(took);
                break;
            }
        } else {
            put_back(&node, &taken.held, taken.index..taken.index + 1);
            (now, took) = (node.env.uptime(), None);
        }
    }
    node.forget_if_idle(&desk);
    free_slot(&node);
}

/// Starts as many workers as there is room and work for.
pub(crate) fn start_workers(node: &Arc<Node>, desk: &Arc<Desk>) {
    while desk.hire() {
        let Some(turn) = node.slots.take() else {
            desk.dismiss();
            if node.slots.wait() {
                continue;
            }
            return;
        };
        desk.turn.store(turn, Ordering::Relaxed);
        let (node, desk) = (node.clone(), desk.clone());
        node.clone().tasks.spawn(async move { work(node, desk).await });
    }
}

/// Frees a slot: for a job that waits for one, or for the dispatcher to fill.
pub(crate) fn free_slot(node: &Arc<Node>) {
    if node.slots.free() {
        // The highest priority first; of those that tie, the one that has had no slot for the longest time.
        let mut desks = node.active();
        // The turns of desks change meanwhile, so each is read once.
        desks.sort_by_cached_key(|desk| {
            (Reverse(desk.job.policy.priority), desk.turn.load(Ordering::Relaxed))
        });
        for desk in desks {
            start_workers(node, &desk);
        }
    }
    node.kick.notify_one();
}
