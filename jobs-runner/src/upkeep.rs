//! Upkeep: any node does a bounded share of what keeps the store in order.

use std::{sync::Arc, time::Duration};

use jobs_core::STEP_RECORDS;

use crate::node::{Node, Phase};

/// How many records of each kind are removed in one step: four kinds are within what a step may touch.
const PRUNED: usize = STEP_RECORDS / 4;

/// Does its share as often as it beats, and ends runs as often as it polls, until the runner drains.
pub(crate) async fn run(node: Arc<Node>) {
    tokio::select! {
        biased;
        () = node.reached(Phase::Draining) => {}
        () = keep_up(&node) => {}
    }
}

async fn keep_up(node: &Node) {
    let mut last_share = node.env.uptime();
    loop {
        rest(node, node.poll).await;
        node.ending.ask_again();
        // Whoever ended the last item of a run may have died before it could say so.
        let ended = node.ask("list the runs that may be over", node.store.completable(STEP_RECORDS)).await;
        node.ending.put(ended.unwrap_or_default());
        if node.env.uptime().saturating_sub(last_share) >= node.lease / 5 {
            last_share = node.env.uptime();
            share(node).await;
            if let Some(sessions) = node.ask("list its sessions", node.store.sessions()).await {
                node.meet(&sessions);
            }
        }
    }
}

/// Takes back and removes step by step, for as long as there is more: so it keeps up with what is made. What the store
/// does not answer is asked for again in the next round.
async fn share(node: &Node) {
    while let Some(reaped) = node.ask("take back what dead nodes hold", node.store.reap(node.session)).await {
        let more = reaped.more;
        node.reaped(reaped);
        if !more {
            break;
        }
        tokio::task::yield_now().await;
    }
    while let Some(pruned) = node.ask("remove what is not kept", node.store.prune(PRUNED)).await
        && pruned.more
    {
        tokio::task::yield_now().await;
    }
}

async fn rest(node: &Node, time: Duration) {
    let until = node.env.uptime() + node.env.about(time.min(node.lease / 5));
    loop {
        let left = until.saturating_sub(node.env.uptime());
        if left.is_zero() {
            return;
        }
        node.env.sleep(left).await;
    }
}
