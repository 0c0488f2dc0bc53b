//! The scheduler: a heap of next ticks, in store time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use jobs_core::{
    Ahead, Attached, Cause, Due, Fire, FireTick, Firing, IfBusy, Millis, Pass, Passing, ScheduleState,
    TickInfo, Trigger, Verdict, decide, ledger::Patience, notice,
};

use crate::{
    batch::Batch,
    desk::Desk,
    dispatcher::{Reserved, take_in},
    event::Event,
    leases::Granted,
    node::{Node, Phase},
    refusal::Refusal,
    tries::Tries,
};

/// The most schedules that are decided in one round.
const BATCH: usize = 256;
/// A tick that the store refused is tried again after this long, if no other follows it before.
const REFUSED: Duration = Duration::from_secs(60);
/// Ticks that cannot be passed over yet, for the store's clock is behind them, are looked at again after this long.
const NOT_YET: Duration = Duration::from_millis(100);

/// One schedule as the scheduler follows it.
struct Entry {
    desk: Arc<Desk>,
    state: ScheduleState,
    /// Its place in the heap; another is out of date.
    generation: u64,
    /// Another declaration is in force.
    stale: bool,
    /// The tick that fired last was caught up.
    catching_up: bool,
    /// The store said that nothing of it can be done before, or it has not answered.
    not_before: Millis,
    /// The tries of its tick alone that were not answered.
    unanswered: Option<Tries>,
    /// When the store was asked first to fire its tick, which it has not answered: it may have been done then.
    asked: Option<Duration>,
}

/// Fires ticks until the runner drains.
pub(crate) async fn run(node: Arc<Node>, attached: Attached) {
    let mut scheduler = Scheduler::new(node, attached);
    let node = scheduler.node.clone();
    tokio::select! {
        biased;
        () = node.reached(Phase::Draining) => {}
        () = scheduler.follow() => {}
    }
}

struct Scheduler {
    node: Arc<Node>,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Those of which a tick is due that waits for the last run.
    busy: BTreeSet<Arc<str>>,
    heap: BinaryHeap<Reverse<(Millis, Arc<str>, u64)>>,
    batch: Batch,
}

/// What is told to the store: what is passed over in one call, what fires in another.
#[derive(Default)]
struct Round {
    fires: Vec<(Arc<str>, Fire, FireTick)>,
    passes: Vec<(Arc<str>, Pass)>,
}

impl Scheduler {
    fn new(node: Arc<Node>, attached: Attached) -> Self {
        let mut scheduler = Self {
            node,
            entries: BTreeMap::new(),
            busy: BTreeSet::new(),
            heap: BinaryHeap::new(),
            batch: Batch::of_at_most(BATCH),
        };
        scheduler.take(attached);
        scheduler
    }

    /// Follows the schedules as the store has them.
    fn take(&mut self, mut attached: Attached) {
        // A renewed attach repeats what the first one found.
        for (job, instant) in
            attached.past.into_iter().filter(|(job, _)| !self.entries.contains_key(job)).collect::<Vec<_>>()
        {
            let at = instant.timestamp();
            notice::warn("past", format_args!("{job}: its instant, {at}, was past when it was first seen"));
            let job = job.to_string();
            self.node.bus.say(Event::TicksMissed { job, first: at, last: at, count: 1 });
        }
        let node = self.node.clone();
        node.meet(&attached.others);
        self.report_ahead(&attached.ahead);
        for (job, desk) in &node.desks {
            let Some(mut state) = attached.schedules.remove(job) else { continue };
            let declared = desk.job.link.schedule.as_ref();
            let stale = declared.is_none_or(|declared| declared.fingerprint != state.fingerprint);
            let known = self.entries.get(job);
            let generation = known.map_or(0, |entry| entry.generation);
            let catching_up = known.is_some_and(|entry| entry.catching_up);
            let not_before = known.map_or(Millis(0), |entry| entry.not_before);
            let (unanswered, asked) = known.map_or((None, None), |entry| (entry.unanswered, entry.asked));
            // The answer may be older than what was fired since it was asked for.
            let set_back = attached.ahead.iter().any(|ahead| ahead.schedule == *job && ahead.set_back);
            if let Some(known) = known.filter(|known| known.state.cursor > state.cursor)
                && known.state.fingerprint == state.fingerprint
                && !set_back
            {
                state = known.state.clone();
            }
            if stale {
                node.set_stale();
            }
            let entry = Entry {
                desk: desk.clone(),
                state,
                generation,
                stale,
                catching_up,
                not_before,
                unanswered,
                asked,
            };
            self.entries.insert(job.clone(), entry);
            self.plan(job);
        }
    }

    /// Says which cursors are ahead of the store's clock: it was in the future when they were written.
    fn report_ahead(&self, ahead: &[Ahead]) {
        for Ahead { schedule, cursor, set_back } in ahead {
            let by = cursor.since(self.node.clock.now());
            let what = if *set_back {
                format!(
                    "{schedule}: its ticks had been decided up to {cursor}; they are decided again from now on"
                )
            } else {
                format!("{schedule}: its ticks have been decided up to {cursor}; none fires before that")
            };
            self.node.bus.say(Event::ClockAhead { what, by });
        }
    }

    /// Asks for a new attach if a schedule waits for an instant that no clock should have reached: it is set back then.
    fn look_ahead(&self) {
        let now = self.node.clock.now();
        let ahead = |entry: &Entry| Patience::with(entry.state.cursor, now) == Patience::SetBack;
        if self.entries.values().any(ahead) {
            self.node.set_stale();
        }
    }

    /// Puts a schedule where its next tick belongs.
    fn plan(&mut self, job: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(job) else { return };
        entry.generation += 1;
        let Some(timetable) = entry.desk.job.timetable.as_ref().filter(|_| !entry.stale) else { return };
        // While one waits for the last run, the next that matters is the one that takes its place.
        let busy = self.busy.contains(job);
        let after = match entry.state.waiting.filter(|_| busy) {
            Some(waiting) => waiting,
            None if busy => return,
            None => entry.state.cursor,
        };
        if let Some(tick) = timetable.next_after(after) {
            let turn = self.node.rivals.wait(self.node.session, job, tick);
            let at = (timetable.fires_at(tick) + turn).max(entry.not_before);
            self.heap.push(Reverse((at, job.clone(), entry.generation)));
        }
        // What is out of date would stay until its time comes.
        if self.heap.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.heap.retain(|Reverse((_, job, generation))| {
                entries.get(job).is_some_and(|entry| entry.generation == *generation)
            });
        }
    }

    async fn follow(&mut self) {
        let node = self.node.clone();
        let wakeups = node.store.wakeups();
        let mut runs = wakeups.marks().runs;
        loop {
            let due = self.due(node.clock.now());
            let mut left = &due[..];
            while !left.is_empty() {
                let (batch, rest) = left.split_at(left.len().min(self.batch.size()));
                self.decide(batch).await;
                left = rest;
            }
            if !due.is_empty() {
                self.node.answering().await;
                continue;
            }
            let waits = !self.busy.is_empty();
            let wait = self.heap.peek().map(|Reverse((at, ..))| node.clock.until(*at));
            let wait = if waits { Some(wait.unwrap_or(node.poll).min(node.poll)) } else { wait };
            tokio::select! {
                biased;
                () = node.reschedule.notified() => match node.take_attached() {
                    Some(attached) => self.take(attached),
                    None => {
                        self.look_ahead();
                        self.again();
                    }
                },
                mark = wakeups.changed(|marks| marks.runs, runs), if waits => {
                    runs = mark;
                    self.again_if_busy();
                }
                () = sleep(&node, wait) => {
                    if self.heap.peek().is_none_or(|Reverse((at, ..))| *at > node.clock.now()) {
                        self.again_if_busy();
                    }
                }
            }
            if !waits {
                runs = wakeups.marks().runs;
            }
        }
    }

    /// Looks again at all schedules.
    fn again(&mut self) {
        self.busy.clear();
        for job in self.entries.keys().cloned().collect::<Vec<_>>() {
            self.plan(&job);
        }
    }

    /// Looks again at the schedules that wait for a run.
    fn again_if_busy(&mut self) {
        for job in std::mem::take(&mut self.busy) {
            self.plan(&job);
        }
    }

    /// The schedules of which a tick may fire.
    fn due(&mut self, now: Millis) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        while let Some(Reverse((at, ..))) = self.heap.peek()
            && *at <= now
        {
            let Some(Reverse((_, job, generation))) = self.heap.pop() else { break };
            let current = self.entries.get(&job).is_some_and(|entry| entry.generation == generation);
            if current && !self.node.is_stopped(&job) {
                due.push(job);
            }
        }
        due
    }

    /// Decides what becomes of due ticks, and tells the store.
    async fn decide(&mut self, jobs: &[Arc<str>]) {
        let mut round = Round::default();
        for job in jobs {
            let paused = self.node.is_paused(job);
            self.decide_one(job, paused, &mut round);
        }
        while !round.passes.is_empty() || !round.fires.is_empty() {
            round = self.carry_out(round).await;
        }
    }

    fn decide_one(&mut self, job: &Arc<str>, paused: bool, round: &mut Round) {
        let Some(entry) = self.entries.get(job) else { return };
        let (Some(timetable), Some(declared)) = (&entry.desk.job.timetable, &entry.desk.job.link.schedule)
        else {
            return;
        };
        let policy = &entry.desk.job.policy;
        let decision = decide(&Due {
            timetable,
            policy,
            cursor: entry.state.cursor,
            waiting: entry.state.waiting,
            now: self.node.clock.now(),
            paused,
            busy: self.busy.contains(job),
            catching_up: entry.catching_up,
        });
        let (schedule, cursor) = (job.clone(), entry.state.cursor);
        let fingerprint = declared.fingerprint.clone();
        if let Some(tick) = decision.fire {
            let link = &entry.desk.job.link;
            let FireTick { tick: instant, at, verdict, trigger, if_busy } = tick;
            let passed = decision.passed;
            let cause =
                Cause::Tick { schedule, fingerprint, cursor, tick: instant, at, verdict, trigger, passed };
            let item_type = link.item_type.clone().unwrap_or_default();
            let (query, exclusive, priority) = (link.query, link.exclusive(), link.priority);
            let fire = Fire { job: job.clone(), cause, if_busy, priority, query, exclusive, item_type };
            round.fires.push((job.clone(), fire, tick));
        } else if decision.passed.is_empty() {
            self.plan(job);
        } else {
            round.passes.push((job.clone(), Pass { schedule, fingerprint, cursor, passed: decision.passed }));
        }
    }

    /// Tells the store, and takes in what it answers. Gives what has to be decided once more.
    async fn carry_out(&mut self, round: Round) -> Round {
        if !round.passes.is_empty() {
            self.pass(round.passes).await;
        }
        if round.fires.is_empty() { Round::default() } else { self.fire(round.fires).await }
    }

    async fn pass(&mut self, passes: Vec<(Arc<str>, Pass)>) {
        let node = self.node.clone();
        let call = node.store.pass(passes.iter().map(|(_, pass)| pass.clone()).collect());
        let count = passes.len();
        let asked = node.env.uptime();
        match node.ask_or_refusal(call).await {
            Ok(Some(passings)) => {
                self.batch.took(count, node.env.uptime().saturating_sub(asked));
                for ((job, pass), passing) in passes.into_iter().zip(passings) {
                    self.passed(&job, pass, passing);
                }
            }
            Ok(None) => {
                self.batch.failed(count);
                passes.iter().for_each(|(job, _)| self.plan(job));
            }
            Err(refusal) => {
                let last = |pass: &Pass| pass.passed.last().map(|last| Millis::from(last.last));
                let jobs = passes.iter().map(|(job, pass)| (job, last(pass)));
                self.refused(jobs.collect(), &refusal);
            }
        }
    }

    /// Gives what has to be decided once more.
    async fn fire(&mut self, fires: Vec<(Arc<str>, Fire, FireTick)>) -> Round {
        let mut again = Round::default();
        let node = self.node.clone();
        let count = fires.len();
        // Each brings one item at the most.
        let reserved = Reserved::at_most(&node, u32::try_from(count).unwrap_or(u32::MAX));
        let asked = node.env.uptime();
        let mut known = false;
        for (job, ..) in &fires {
            self.set(job, |entry| {
                known |= entry.unanswered.is_some();
                entry.asked = entry.asked.or(Some(asked));
            });
        }
        let call = fires.iter().map(|(_, fire, _)| fire.clone()).collect();
        let call = node.store.fire(Some(node.session), call, reserved.want.clone());
        let fired = if known { node.ask_again(call).await } else { node.ask_or_refusal(call).await };
        match fired {
            Ok(Some(firings)) => {
                self.batch.took(count, node.env.uptime().saturating_sub(asked));
                for ((job, fire, tick), firing) in fires.into_iter().zip(firings) {
                    let first = self.answered(&job).unwrap_or(asked);
                    self.fired(&job, fire, tick, (firing, first), &mut again);
                }
            }
            // Meanwhile they may have become late: they are decided anew, when the store answers again.
            Ok(None) => {
                self.batch.failed(count);
                if let [(job, ..)] = &fires[..] {
                    self.unanswered(job, asked);
                }
                fires.iter().for_each(|(job, ..)| self.plan(job));
            }
            Err(refusal) => {
                let jobs = fires.iter().map(|(job, _, tick)| (job, Some(tick.tick)));
                self.refused(jobs.collect(), &refusal);
            }
        }
        drop(reserved);
        // What it had asked for may be wanted by others.
        node.kick.notify_one();
        again
    }

    /// The store has answered for a tick. Gives when it was asked first.
    fn answered(&mut self, job: &Arc<str>) -> Option<Duration> {
        let entry = self.entries.get_mut(job)?;
        entry.unanswered = None;
        entry.asked.take()
    }

    /// The store has not answered for this tick alone. While it answers others, it is asked ever more rarely.
    fn unanswered(&mut self, job: &Arc<str>, asked: Duration) {
        let node = self.node.clone();
        let before = self.entries.get(job).and_then(|entry| entry.unanswered);
        let mut tries = before.unwrap_or_else(|| Tries::from(asked));
        tries.failed();
        if tries.are_too_many(&node) {
            let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(tries.beyond()));
            self.postpone(job, wait.min(REFUSED));
            let text =
                "the store does not answer for its tick, although it answers others; it is tried again";
            notice::warn("unanswered", format_args!("{job}: {text}"));
        }
        self.set(job, |entry| entry.unanswered = Some(tries));
    }

    fn passed(&mut self, job: &Arc<str>, pass: Pass, passing: Passing) {
        match passing {
            Passing::Passed => self.moved(job, &pass.passed),
            Passing::Already(state) => self.set(job, |entry| entry.state = state),
            Passing::Stale => self.stale(job),
            Passing::NotYet => self.postpone(job, NOT_YET),
        }
        self.plan(job);
    }

    fn fired(
        &mut self,
        job: &Arc<str>,
        fire: Fire,
        tick: FireTick,
        (firing, asked): (Firing, Duration),
        again: &mut Round,
    ) {
        let node = self.node.clone();
        let Cause::Tick { passed, .. } = fire.cause else { return };
        match firing {
            Firing::Fired { run, lease } => {
                self.moved(job, &passed);
                self.busy.remove(job);
                self.set(job, |entry| {
                    entry.catching_up = tick.trigger == Trigger::CatchUp;
                    entry.state.cursor = tick.tick;
                    entry.state.waiting = None;
                });
                let late_by = node.clock.now().since(tick.at);
                let instant = tick.tick.timestamp();
                let span = tracing::info_span!(target: "jobs", "tick", job = &**job, tick = %instant);
                let _in_span = span.enter();
                node.bus.say(Event::TickFired { job: job.to_string(), tick: instant, run, late_by });
                node.bus.say(Event::RunStarted { job: job.to_string(), run, trigger: tick.trigger });
                if let Some(lease) = lease {
                    take_in(&node, Granted { lease, asked });
                }
            }
            Firing::Already(state) => {
                self.busy.remove(job);
                self.set(job, |entry| entry.state = state);
            }
            Firing::Busy { .. } => self.busy(job, &passed, tick),
            Firing::Paused { .. } => return self.decide_one(job, true, again),
            // The store's clock is behind what was known of it.
            Firing::NotYet { wait } => self.postpone(job, wait),
            Firing::Stale => self.stale(job),
        }
        self.plan(job);
    }

    /// The store refused these ticks, each of its job: one by one shows which of them. That one is tried again with the
    /// next tick, which says what became of it; the others go on.
    fn refused(&mut self, ticks: Vec<(&Arc<str>, Option<Millis>)>, refusal: &Refusal) {
        if ticks.len() > 1 {
            self.batch.one_at_a_time();
        } else {
            for (job, tick) in &ticks {
                self.put_off(job, *tick, refusal);
            }
        }
        ticks.iter().for_each(|(job, _)| self.plan(job));
    }

    fn put_off(&mut self, job: &Arc<str>, tick: Option<Millis>, refusal: &Refusal) {
        let later = self.node.clock.now() + REFUSED;
        self.set(job, |entry| {
            let next = entry.desk.job.timetable.as_ref().and_then(|timetable| {
                let next = timetable.next_after(tick?)?;
                Some(timetable.fires_at(next))
            });
            entry.not_before = next.unwrap_or(later);
        });
        let at = tick.map(Millis::timestamp).map(|at| format!(" of {at}")).unwrap_or_default();
        let text = "it is tried again with the next one";
        notice::warn("refused", format_args!("{job}: the store refused its tick{at}: {refusal}; {text}"));
    }

    /// Nothing is asked of the store for a schedule for so long.
    fn postpone(&mut self, job: &Arc<str>, wait: Duration) {
        let until = self.node.clock.now() + wait;
        self.set(job, |entry| entry.not_before = until);
    }

    /// Another declaration is in force, until those who declare it are gone.
    fn stale(&mut self, job: &Arc<str>) {
        self.set(job, |entry| entry.stale = true);
        self.node.set_stale();
    }

    fn busy(&mut self, job: &Arc<str>, passed: &[TickInfo], tick: FireTick) {
        self.moved(job, passed);
        if tick.if_busy == IfBusy::Skip {
            let (instant, reason) = (tick.tick.timestamp(), jobs_core::SkipReason::Overlap);
            self.moved(job, &[TickInfo::passed(instant, instant, 1, Verdict::Skipped(reason))]);
            return;
        }
        self.busy.insert(job.clone());
        if tick.if_busy == IfBusy::Queue {
            self.set(job, |entry| entry.state.waiting = Some(tick.tick));
        }
    }

    /// The cursor has moved over ticks that did not fire; says so.
    fn moved(&mut self, job: &Arc<str>, passed: &[TickInfo]) {
        for TickInfo { tick, last, count, verdict, .. } in passed {
            let (id, tick, last) = (job.to_string(), *tick, *last);
            match verdict {
                Verdict::Skipped(reason) => {
                    self.node.bus.say(Event::TickSkipped { job: id, tick, reason: *reason });
                }
                _ => self.node.bus.say(Event::TicksMissed { job: id, first: tick, last, count: *count }),
            }
        }
        if let Some(last) = passed.last() {
            let last = Millis::from(last.last);
            self.set(job, |entry| {
                entry.state.cursor = last;
                entry.state.waiting = entry.state.waiting.filter(|waiting| *waiting > last);
            });
        }
    }

    fn set(&mut self, job: &Arc<str>, set: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(job) {
            set(entry);
        }
    }
}

async fn sleep(node: &Node, wait: Option<Duration>) {
    match wait {
        Some(wait) => node.env.sleep(wait).await,
        None => std::future::pending().await,
    }
}
