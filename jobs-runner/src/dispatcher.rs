//! The dispatcher: free slots become leases, and results become settlements, in one call of the store.

use std::{sync::Arc, time::Duration};

use jobs_core::{End, Header, JobWant, Millis, Stage, Trigger, Want};

use crate::{
    desk::put_back,
    event::Event,
    lane::Lane,
    lease::Unstarted,
    leases::Granted,
    node::{Node, Phase},
    worker::start_workers,
};

/// Results are settled this long after the first of them, if there are not enough before.
const SETTLE_WITHIN: Duration = Duration::from_millis(20);

/// Settles and leases until the runner has ended.
pub(crate) async fn run(node: Arc<Node>) {
    let wakeups = node.store.wakeups();
    let mut lane = Lane::of_dispatcher(node.clone());
    let mut seen = wakeups.marks().work;
    let mut next_due = None;
    // What was leased last may not have been all.
    let mut more = true;
    loop {
        if !more {
            let work = wakeups.changed(|marks| marks.work, seen);
            tokio::select! {
                biased;
                () = node.outbox.enough() => {}
                () = node.kick.notified() => {}
                () = results(&node) => {}
                mark = work => seen = mark,
                () = due(&node, next_due) => {}
                () = node.over() => {}
            }
        }
        let now = node.env.uptime();
        for desk in node.active() {
            if desk.returns_at().is_some_and(|at| at < now) {
                desk.return_unstarted(&node);
            }
        }
        // Looked at before the results are: whoever ends last has put its own.
        let over = node.phase() >= Phase::Ended && !node.is_busy();
        let settlements = node.outbox.take();
        let reserved = Reserved::new(&node);
        if settlements.is_empty() && reserved.want.slots == 0 {
            if over {
                return node.ending.close();
            }
            // A slot that is freed, or trust that is won back, is told of; until then nothing is due.
            (more, next_due) = (false, None);
            continue;
        }
        let settled = lane.settle(settlements, &reserved.want).await;
        more = !settled.leases.is_empty();
        next_due = settled.next_due;
        for granted in settled.leases {
            take_in(&node, granted);
        }
        drop(reserved);
    }
}

/// Waits until there are results, and a little longer for more.
async fn results(node: &Node) {
    node.outbox.some().await;
    tokio::time::sleep(SETTLE_WITHIN).await;
}

/// Waits until an item is due, a queued one has waited too long, or it is time to look whether there is work that
/// nobody told of.
async fn due(node: &Node, next_due: Option<Millis>) {
    let until = next_due.map(|due| node.clock.until(due));
    let returns = node.active().iter().filter_map(|desk| desk.returns_at()).min();
    let returns = returns.map(|at| at.saturating_sub(node.env.uptime()) + Duration::from_millis(1));
    let wait = until.into_iter().chain(returns).min().unwrap_or(node.poll).min(node.poll);
    node.env.sleep(wait).await;
}

/// Room that a call under way has asked for, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    node: &'a Node,
    pub(crate) want: Want,
}

impl<'a> Reserved<'a> {
    /// Asks for all that there is room for.
    pub(crate) fn new(node: &'a Node) -> Self {
        Self::at_most(node, u32::MAX)
    }

    /// Asks for so many slots at the most.
    pub(crate) fn at_most(node: &'a Node, most: u32) -> Self {
        // Whoever asks next sees what this one has reserved.
        let _alone = node.slots.lock_reservations();
        let mut want = want(node);
        want.slots = want.slots.min(most);
        node.slots.reserve(want.slots);
        Self { node, want }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.node.slots.release(self.want.slots);
    }
}

/// The room of the process, and of the jobs whose items are here.
fn want(node: &Node) -> Want {
    if node.phase() > Phase::Running || !node.is_trusted() || node.aside.is_full() {
        return Want::default();
    }
    let mut taken = 0;
    let mut jobs = Vec::new();
    for desk in node.active() {
        node.forget_if_idle(&desk);
        let (want, slots) = desk.want();
        taken += slots;
        if !desk.is_paused() {
            jobs.push(want);
        }
    }
    // What is paused the store leaves out itself. It may know of a resume before this node does; until then it would be
    // leased and given back.
    let unwanted = node.resumed_jobs().into_iter().chain(node.leases.unannounced_jobs());
    jobs.extend(unwanted.map(|job| JobWant { job, slots: 0, per_slot: 0 }));
    let slots = node.slots.left(taken);
    Want { slots, jobs }
}

/// Takes in a lease: its items wait for a worker, or its query begins.
pub(crate) fn take_in(node: &Arc<Node>, granted: Granted) {
    let Some(granted) = node.leases.kept_back(granted) else { return };
    let ours = node.trust.covers(granted.asked, node.env.uptime());
    let lease = granted.lease;
    let Some(desk) = node.desks.get(&lease.chunk.header.job) else { return };
    // The repeat of an answer names the same leases.
    if node.leases.holds(lease.token) {
        return;
    }
    let held = node.hold(lease, desk);
    let header = &held.header;
    if !ours {
        return put_back(node, &held, 0..held.count());
    }
    if desk.is_paused() {
        // The store has leased it since: it knows of a resume that is not known here.
        node.set_resumed(&desk.job.id);
    }
    if begins_by_hand(header, desk.job.def.query.is_some())
        && let Some(run) = held.run()
    {
        let (job, trigger) = (header.job.to_string(), header.trigger);
        node.bus.say(Event::RunStarted { job, run, trigger });
    }
    match header.stage {
        Stage::Work => {
            // In this order: a worker that leaves meanwhile sees the items, and keeps the desk.
            desk.queue(Unstarted::new(held));
            node.set_active(desk);
            start_workers(node, desk);
        }
        Stage::Fill if !node.may_start(desk, &held, node.env.uptime()) => put_back(node, &held, 0..1),
        Stage::Fill => {
            node.slots.take_for_fill();
            let fill = crate::fill::run(node.clone(), desk.clone(), held);
            node.tasks.spawn(fill);
        }
        // It comes from a build that declares one: this one gives it back, and is not offered it again.
        Stage::Finish => {
            let none = End::Undecodable("this build declares no `on_finish`".to_owned());
            node.outbox.put(held.token, 0, 1, none);
        }
    }
}

/// Whether this is the first attempt of a run that was asked for. Of a run for a tick, whoever fired it says so.
fn begins_by_hand(header: &Header, query: bool) -> bool {
    match header.trigger {
        Trigger::Manual => {
            let first = header.stage == if query { Stage::Fill } else { Stage::Work };
            first && header.fresh && header.redelivered == 0
        }
        Trigger::Requeued => {
            (header.stage, header.start, header.attempt, header.redelivered) == (Stage::Work, 0, 0, 0)
        }
        _ => false,
    }
}
