//! The heartbeat: the session stays alive, and what the store says about it is obeyed.

use std::{sync::Arc, time::Duration};

use jobs_core::{Beat, Pulse, notice};

use crate::{lease::Revoked, node::Node};

/// Every so many beats the store is told which leases are known here.
const NAMED_EVERY: u32 = 10;

/// Beats until the runner has ended.
pub(crate) async fn run(node: Arc<Node>) {
    let wakeups = node.store.wakeups();
    let (mut control, mut beats, mut failed) = (wakeups.marks().control, 0_u32, false);
    let mut dead = false;
    loop {
        let wait = if failed { Duration::from_millis(200) } else { interval(&node) };
        let mut timed = false;
        tokio::select! {
            biased;
            // As long as there are results, it has to be known whether the store is there.
            () = node.aside.closed() => return,
            // A pause or a cancel is obeyed at once where the store tells of it.
            mark = wakeups.changed(|marks| marks.control, control) => control = mark,
            () = node.refresh.notified() => {}
            () = wait_for(&node, node.env.about(wait)) => timed = true,
        }
        beats += 1;
        let (held, as_of) =
            (beats.is_multiple_of(NAMED_EVERY).then(|| node.leases.tokens()), node.clock.now());
        let began = node.env.uptime();
        let beat = Beat { session: node.session, held, as_of, reconnected: failed };
        let pulse = node.ask("keep this session alive", node.store.beat(beat)).await;
        failed = pulse.is_none();
        let Some(pulse) = pulse else { continue };
        node.compare_clocks();
        // An attach that was done and not answered is answered by another.
        if dead || !pulse.alive {
            // Somebody took this session for dead: nothing it holds is its own any more.
            if !std::mem::replace(&mut dead, true) {
                notice::warn("session", "this runner was taken for dead; it begins anew");
                node.revoke(|_| true, Revoked::Lost);
            }
            failed = !attach(&node).await;
            if failed {
                continue;
            }
            node.trust.begin_anew(node.env.uptime());
        } else if timed && node.take_stale() && !attach_within(&node, interval(&node)).await {
            // The node that declares otherwise may be gone by now. Asked at the pace of the beats: an attach may wake others.
            node.set_stale();
        }
        dead = false;
        obey(&node, pulse, began);
    }
}

/// Opens the session anew, and hands what it found to the scheduler. Returns whether the store has answered.
async fn attach(node: &Arc<Node>) -> bool {
    let attached = node.ask("open this session", node.store.attach(node.attach(Vec::new()))).await;
    attached.map(|attached| node.hand_over(attached)).is_some()
}

/// The same, unless the next beat is due before.
async fn attach_within(node: &Arc<Node>, time: Duration) -> bool {
    tokio::select! {
        biased;
        answered = attach(node) => answered,
        () = node.env.sleep(time) => false,
    }
}

fn interval(node: &Node) -> Duration {
    node.lease / 5
}

async fn wait_for(node: &Node, wait: Duration) {
    let until = node.env.uptime() + wait;
    loop {
        let left = until.saturating_sub(node.env.uptime());
        if left.is_zero() {
            return;
        }
        node.env.sleep(left).await;
    }
}

fn obey(node: &Node, pulse: Pulse, began: Duration) {
    let trusted = node.is_trusted();
    node.trust.renew(began);
    if !trusted {
        node.kick.notify_one();
    }
    if !pulse.lost.is_empty() {
        node.revoke(|held| pulse.lost.contains(&held.token), Revoked::Lost);
    }
    if !pulse.cancelled.is_empty() {
        let of = |held: &crate::lease::Held| held.run().is_some_and(|run| pulse.cancelled.contains(&run));
        node.revoke(of, Revoked::Cancelled);
    }
    if pulse.alive {
        node.set_paused(pulse.paused);
    }
}

/// Breaks off what runs when the leases can no longer be trusted: another node may have them by now.
pub(crate) async fn watch_trust(node: Arc<Node>) {
    loop {
        let left = node.trust.until().saturating_sub(node.env.uptime());
        if left.is_zero() {
            notice::warn("trust", "the store has not answered for too long; running attempts are broken off");
            node.revoke(|_| true, Revoked::Lost);
            while !node.is_trusted() {
                tokio::select! {
                    biased;
                    () = node.over() => return,
                    () = node.env.sleep(Duration::from_millis(200)) => {}
                }
            }
        } else {
            tokio::select! {
                biased;
                () = node.over() => return,
                () = node.env.sleep(left) => {}
            }
        }
    }
}
