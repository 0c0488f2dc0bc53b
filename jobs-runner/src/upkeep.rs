//! Upkeep: any node does a bounded share of what keeps the store in order.

use std::{sync::Arc, time::Duration};

use crate::node::{Node, Phase};

/// So much is done in one round.
const SHARE: usize = 1_000;

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
        // Whoever ended the last item of a run may have died before it could say so.
        let ended = node.persist(|store| store.completable(SHARE)).await;
        node.complete(ended).await;
        if node.env.uptime().saturating_sub(last_share) >= node.lease / 5 {
            last_share = node.env.uptime();
            let reaped = node.persist(|store| store.reap(node.session)).await;
            node.reaped(reaped).await;
            node.persist(|store| store.prune(SHARE)).await;
            let sessions = node.persist(|store| store.sessions()).await;
            node.meet(&sessions);
        }
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
