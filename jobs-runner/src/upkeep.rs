//! Upkeep: any node does a bounded share of what keeps the store in order.

use std::{sync::Arc, time::Duration};

use crate::{
    event::Event,
    node::{Node, Phase},
};

/// So much is done in one round.
const SHARE: usize = 1_000;

/// Does its share as often as it beats, until the runner drains.
pub(crate) async fn run(node: Arc<Node>) {
    tokio::select! {
        biased;
        () = node.reached(Phase::Draining) => {}
        () = keep_up(&node) => {}
    }
}

async fn keep_up(node: &Node) {
    loop {
        let until = node.env.uptime() + node.env.about((node.lease / 5).max(Duration::from_millis(100)));
        while node.env.uptime() < until {
            node.env.sleep(until.saturating_sub(node.env.uptime())).await;
        }
        let reaped = node.persist(|store| store.reap(node.session)).await;
        for name in reaped.nodes {
            node.bus.say(Event::NodeLost { node: name });
        }
        for (job, run, item, failure) in reaped.dead {
            node.bus.say(Event::ItemDead { job: job.to_string(), run, item, failure });
        }
        node.complete(reaped.ended).await;
        // Whoever ended the last item of a run may have died before it could say so.
        let ended = node.persist(|store| store.completable(SHARE)).await;
        node.complete(ended).await;
        node.persist(|store| store.prune(SHARE)).await;
    }
}
