//! One slot: it takes items of a job, one after the other, until there are none.

use std::sync::Arc;

use crate::{
    attempt,
    desk::{Desk, free_slot, put_back},
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
