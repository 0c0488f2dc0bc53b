//! What the loops of one runner share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_core::{
    Attach, Attached, Delivery, Lease, Millis, Reaped, Reply, SessionId, SessionRecord, Store, StoreError,
    StoreResult, covers, notice,
};
use tokio::sync::Notify;

use crate::{
    aside::Aside,
    attempts::Attempts,
    clock::StoreClock,
    desk::Desk,
    ending::Ending,
    env::{Env, Tasks},
    event::{Bus, Event},
    lease::{Held, Revoked},
    leases::Leases,
    lock::lock,
    outbox::Outbox,
    refusal::Refusal,
    rivals::Rivals,
    skew::Skew,
    slots::Slots,
    trust::{Trust, nanos},
};

/// What the loops of one runner share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) env: Env,
    pub(crate) clock: StoreClock,
    pub(crate) store: Stored,
    pub(crate) session: SessionId,
    pub(crate) info: jobs_core::Node,
    pub(crate) name: Arc<str>,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    pub(crate) slots: Slots,
    pub(crate) trust: Trust,
    pub(crate) desks: BTreeMap<Arc<str>, Arc<Desk>>,
    pub(crate) bus: Bus,
    pub(crate) tasks: Tasks,
    pub(crate) outbox: Outbox,
    pub(crate) ending: Ending,
    pub(crate) aside: Aside,
    pub(crate) attempts: Attempts,
    /// How far the runner is.
    phase: AtomicU8,
    phase_changed: Notify,
    /// What handlers see of it.
    pub(crate) shutting_down: Arc<AtomicBool>,
    /// Tells the dispatcher that there is room, or work.
    pub(crate) kick: Notify,
    /// Tells the heartbeat that the store knows something newer.
    pub(crate) refresh: Notify,
    /// Tells the scheduler that what is stopped or paused has changed.
    pub(crate) reschedule: Notify,
    pub(crate) leases: Leases,
    pub(crate) rivals: Rivals,
    skew: Skew,
    /// Jobs with items here.
    active: Mutex<BTreeMap<Arc<str>, Arc<Desk>>>,
    /// What a renewed attach found, for the scheduler.
    attached: Mutex<Option<Attached>>,
    /// Whether a schedule is declared otherwise by another node.
    stale: AtomicBool,
    paused: Mutex<Vec<(String, String)>>,
    /// Jobs that the store has leased although this node knows of a pause.
    resumed: Mutex<BTreeSet<Arc<str>>>,
    stopped: Mutex<BTreeSet<Arc<str>>>,
    /// Since when, by this machine's uptime, the store has not answered.
    lost_since: Mutex<Option<Duration>>,
    /// When it has answered last, in nanoseconds of the uptime.
    answered: AtomicU64,
}

/// A store, which has no text of its own.
pub(crate) struct Stored(pub(crate) Arc<dyn Store>);

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl std::ops::Deref for Stored {
    type Target = Arc<dyn Store>;

    fn deref(&self) -> &Arc<dyn Store> {
        &self.0
    }
}

/// How far a runner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running = 0,
    /// No ticks, no new leases; what runs may end.
    Draining,
    /// Nothing is worked on, unless it blocks; what is done is settled.
    Ended,
    /// All is settled, and the session closed.
    Closed,
}

/// What a node is made from.
pub(crate) struct Parts {
    pub(crate) env: Env,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) session: SessionId,
    pub(crate) info: jobs_core::Node,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    pub(crate) max_concurrency: usize,
    pub(crate) desks: BTreeMap<Arc<str>, Arc<Desk>>,
    pub(crate) bus: Bus,
    pub(crate) tasks: Tasks,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { env, store, session, info, lease, poll, max_concurrency, desks, bus, tasks } = parts;
        Self {
            clock: StoreClock::new(env.clone()),
            env,
            store: Stored(store),
            session,
            name: info.name.as_str().into(),
            info,
            lease,
            poll,
            slots: Slots::new(max_concurrency),
            trust: Trust::new(lease),
            desks,
            bus,
            tasks,
            outbox: Outbox::default(),
            ending: Ending::default(),
            aside: Aside::default(),
            attempts: Attempts::default(),
            phase: AtomicU8::new(Phase::Running as u8),
            phase_changed: Notify::new(),
            shutting_down: Arc::default(),
            kick: Notify::new(),
            refresh: Notify::new(),
            reschedule: Notify::new(),
            leases: Leases::default(),
            rivals: Rivals::default(),
            skew: Skew::default(),
            active: Mutex::default(),
            attached: Mutex::default(),
            stale: AtomicBool::new(false),
            paused: Mutex::default(),
            resumed: Mutex::default(),
            stopped: Mutex::default(),
            lost_since: Mutex::default(),
            answered: AtomicU64::new(0),
        }
    }

    /// Takes in the answer of one call, if there is one. A refusal is none, and is reported: `to` says what was refused.
    pub(crate) async fn ask<T>(&self, to: &str, call: StoreResult<'_, T>) -> Option<T> {
        match self.ask_or_refusal(call).await {
            Ok(answer) => answer,
            Err(refusal) => {
                notice::warn("refused", format_args!("the store refused to {to}: {refusal}"));
                None
            }
        }
    }

    /// Takes in the answer of one call, if there is one; `Err` if the store refused it, which is no outage.
    pub(crate) async fn ask_or_refusal<T>(&self, call: StoreResult<'_, T>) -> Result<Option<T>, Refusal> {
        let asked = self.env.uptime();
        let answer = self.answer(call).await?;
        Ok(answer.inspect_err(|error| self.store_fails(error, asked)).ok())
    }

    /// The same for a call that the store has not answered before although it answers others: that it does not again says
    /// nothing of the store.
    pub(crate) async fn ask_again<T>(&self, call: StoreResult<'_, T>) -> Result<Option<T>, Refusal> {
        Ok(self.answer(call).await?.ok())
    }

    /// The answer of one call, or why there is none; `Err` if the store refused it, which is an answer too.
    async fn answer<T>(&self, call: StoreResult<'_, T>) -> Result<Result<T, StoreError>, Refusal> {
        let asked = self.env.uptime();
        let answer = call.await;
        let refusal = answer.as_ref().err().and_then(Refusal::of);
        if answer.is_ok() || refusal.is_some() {
            self.store_answers();
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(answer.map(|reply| self.observe(reply, asked))),
        }
    }

    /// Says so if this machine's time of day is not the store's.
    pub(crate) fn compare_clocks(&self) {
        if let Some(here) = self.env.time_of_day() {
            self.skew.look(here, self.clock.now());
        }
    }

    /// Takes in which other sessions there are.
    pub(crate) fn meet(&self, sessions: &[SessionRecord]) {
        self.rivals.set(sessions, self.session, &self.info, self.clock.now());
    }

    /// Takes the time from a reply, and gives what it says.
    pub(crate) fn observe<T>(&self, reply: Reply<T>, asked: Duration) -> T {
        let value = self.clock.observe(reply, asked);
        if self.clock.take_step() {
            self.reschedule.notify_one();
            self.kick.notify_one();
        }
        value
    }

    /// Waits until the store answers; at once if it does.
    pub(crate) async fn answering(&self) {
        while lock(&self.lost_since).is_some() {
            self.env.sleep(Duration::from_millis(50)).await;
        }
    }

    /// A call failed that was made then. The store is lost unless it has answered another since.
    fn store_fails(&self, error: &StoreError, asked: Duration) {
        let mut since = lock(&self.lost_since);
        if since.is_none() && !self.has_been_answered_since(asked) {
            *since = Some(self.env.uptime());
            self.bus.say(Event::StoreLost { message: error.to_string() });
        }
    }

    /// Whether the store has answered any call since then.
    pub(crate) fn has_been_answered_since(&self, uptime: Duration) -> bool {
        self.answered_at() > uptime
    }

    /// When the store has answered last.
    pub(crate) fn answered_at(&self) -> Duration {
        Duration::from_nanos(self.answered.load(Ordering::Acquire))
    }

    fn store_answers(&self) {
        self.answered.fetch_max(nanos(self.env.uptime()), Ordering::AcqRel);
        if let Some(since) = lock(&self.lost_since).take() {
            let after = self.env.uptime().saturating_sub(since);
            self.bus.say(Event::StoreBack { after });
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            2 => Phase::Ended,
            _ => Phase::Closed,
        }
    }

    /// Takes a phase, if it is later than the one there is.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.phase_changed.notify_waiters();
    }

    /// Waits for a phase.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            // The waiter is made before the phase is read: a change in between finds it.
            let changed = self.phase_changed.notified();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }

    /// Waits until all is over: the runner has ended, and so has the last blocking handler.
    pub(crate) async fn over(&self) {
        self.reached(Phase::Ended).await;
        while self.is_busy() {
            self.env.sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether an attempt runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.slots.taken() > 0
    }

    /// All is over, for those who wait and those who listen.
    pub(crate) fn close(&self) {
        self.enter(Phase::Closed);
        self.bus.end();
    }

    /// Closes the session; what it holds goes back.
    pub(crate) async fn detach(&self) {
        loop {
            match self.store.detach(self.session).await {
                Ok(reply) if reply.value => {}
                Ok(_) => return,
                Err(error) => {
                    let text = "the session is not closed, and ends with its lease";
                    notice::warn("detach", format_args!("{text}: {error}"));
                    return;
                }
            }
        }
    }

    /// Says what was taken back from dead nodes, and ends the runs that it was the last of.
    pub(crate) fn reaped(&self, reaped: Reaped) {
        for node in reaped.nodes {
            self.bus.say(Event::NodeLost { node });
        }
        for (job, run, item, failure) in reaped.dead {
            self.bus.say(Event::ItemDead { job: job.to_string(), run, item, failure });
        }
        self.ending.put(reaped.ended);
    }

    // What is held.

    /// Notes a lease that came.
    pub(crate) fn hold(&self, lease: Lease, desk: &Desk) -> Arc<Held> {
        let header = &lease.chunk.header;
        let retries = header.options.retries.unwrap_or(desk.job.policy.retries);
        let delivery = Delivery {
            job: header.job.clone(),
            run: header.run(),
            trigger: header.trigger,
            tick: header.tick.map(Millis::timestamp),
            attempt: header.attempt + 1,
            max_attempts: retries.saturating_add(1),
            redelivered: header.redelivered,
            enqueued_at: header.enqueued_at.timestamp(),
            token: lease.token.0,
            node: self.name.clone(),
            shutting_down: self.shutting_down.clone(),
        };
        self.leases.hold(Held::new(lease, Arc::new(delivery), self.env.uptime()))
    }

    /// Ends the attempts of leases, and keeps their other items from being started.
    pub(crate) fn revoke(&self, which: impl Fn(&Held) -> bool, why: Revoked) {
        self.leases.revoke(&which, why);
        self.attempts.cancel(which);
        self.return_unstarted();
    }

    /// Settles the items that may no longer be started.
    pub(crate) fn return_unstarted(&self) {
        for desk in self.active() {
            desk.return_unstarted(self);
        }
    }

    // What may run.

    pub(crate) fn is_trusted(&self) -> bool {
        self.env.uptime() < self.trust.until()
    }

    /// The jobs of this node that the store has leased although they are paused, as far as this node knows: it will hear
    /// of a resume.
    pub(crate) fn resumed_jobs(&self) -> Vec<Arc<str>> {
        lock(&self.resumed).iter().cloned().collect()
    }

    /// The store has leased items of a job that is paused, as far as this node knows.
    pub(crate) fn set_resumed(&self, job: &Arc<str>) {
        lock(&self.resumed).insert(job.clone());
        self.refresh.notify_one();
    }

    pub(crate) fn is_paused(&self, job: &str) -> bool {
        self.desks.get(job).is_some_and(|desk| desk.is_paused())
    }

    /// Takes what is paused from the store, and says what has changed.
    pub(crate) fn set_paused(&self, paused: Vec<(String, String)>) {
        lock(&self.resumed).clear();
        let mut now = lock(&self.paused);
        if *now == paused {
            return;
        }
        let before = std::mem::replace(&mut *now, paused);
        let lifted: Vec<_> =
            before.iter().filter(|old| !now.iter().any(|new| new.0 == old.0)).cloned().collect();
        let added: Vec<_> = now.iter().filter(|new| !before.contains(new)).cloned().collect();
        for (job, desk) in &self.desks {
            desk.set_paused(now.iter().any(|(pattern, _)| covers(pattern, job)));
        }
        drop(now);
        for (pattern, _) in lifted {
            self.bus.say(Event::Resumed { pattern });
        }
        for (pattern, note) in added {
            self.bus.say(Event::Paused { pattern, note });
        }
        self.return_unstarted();
        self.reschedule.notify_one();
        self.kick.notify_one();
    }

    pub(crate) fn set_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    pub(crate) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }

    /// Hands what an attach found to the scheduler.
    pub(crate) fn hand_over(&self, attached: Attached) {
        *lock(&self.attached) = Some(attached);
        self.reschedule.notify_one();
    }

    pub(crate) fn take_attached(&self) -> Option<Attached> {
        lock(&self.attached).take()
    }

    /// What this node says when it opens its session, or opens it again.
    pub(crate) fn attach(&self, gone: Vec<SessionId>) -> Attach {
        let links = self.desks.values().map(|desk| desk.job.link.clone()).collect();
        Attach { session: self.session, lease: self.lease, node: self.info.clone(), links, gone }
    }

    pub(crate) fn stop_ticks(&self, jobs: impl IntoIterator<Item = Arc<str>>) {
        lock(&self.stopped).extend(jobs);
        self.reschedule.notify_one();
    }

    pub(crate) fn is_stopped(&self, job: &str) -> bool {
        lock(&self.stopped).contains(job)
    }

    /// Whether an attempt of a job may begin at this uptime.
    pub(crate) fn may_start(&self, desk: &Desk, held: &Held, now: Duration) -> bool {
        held.revoked().is_none()
            && self.phase() == Phase::Running
            && now < self.trust.until()
            && !desk.is_paused()
    }

    // Which jobs have items here.

    /// The desks with items or workers.
    pub(crate) fn active(&self) -> Vec<Arc<Desk>> {
        lock(&self.active).values().cloned().collect()
    }

    pub(crate) fn set_active(&self, desk: &Arc<Desk>) {
        lock(&self.active).entry(desk.job.id.clone()).or_insert_with(|| desk.clone());
    }

    /// Forgets a desk that nobody is at.
    pub(crate) fn forget_if_idle(&self, desk: &Arc<Desk>) {
        let now = self.env.uptime();
        if desk.is_forgotten(now) {
            lock(&self.active).remove(&desk.job.id);
            // Something may have come in between.
            if !desk.is_forgotten(now) {
                self.set_active(desk);
            }
        }
    }
}
