//! Reads the log from its beginning: keeps the model of what the store should hold, and notes where it differs.

use jobs_core::{
    AfterCrash, Appended, Cancellation, Cause, Completion, FailureKind, Fire, Firing, IfBusy, Millis, Pass,
    Passing, Reaped, RunId, SessionId, SkipReason, Stage, TickInfo, Token, Trigger, Verdict, after_crash,
};

use super::{
    Report,
    model::{Ending, Epoch, LeaseFate, Model, Run, Session},
    nodes::Nodes,
};
use crate::{
    coverage::Coverage,
    log::{Change, Entry, Fault, Step, What},
};

#[derive(Default)]
pub(super) struct Journal {
    pub(super) report: Report,
    pub(super) coverage: Coverage,
    pub(super) model: Model,
    pub(super) nodes: Nodes,
    /// When the entry that is read was written.
    pub(super) at: u64,
    pub(super) now: Millis,
}

impl Journal {
    pub(super) fn take(&mut self, entry: &Entry) {
        (self.at, self.now) = (entry.at, entry.now);
        self.nodes.note(entry);
        match &entry.what {
            What::Step { step, .. } => self.step(step),
            What::Attempt(attempt) => self.attempt(attempt),
            What::Fault { fault, .. } => self.coverage.saw(match fault {
                Fault::Refused => "fault: refused",
                Fault::ReplyLost => "fault: reply lost",
                Fault::LateReply => "fault: late reply",
                Fault::Delayed => "fault: delayed",
                Fault::CutOff => "fault: cut off",
                Fault::Unanswered => "fault: cut off from answers",
            }),
            What::ClockStep(by) => {
                self.coverage.saw(if *by > 0 { "clock: forward" } else { "clock: back" });
            }
            What::Node { change, .. } => self.changed(*change),
            What::Note(note) if note.contains("does not start") => {
                self.coverage.saw("node: does not start at first");
            }
            What::Loops => {
                let here = self.here();
                self.report.stuck.push(format!("{here} thousands of calls and no time passes"));
            }
            What::Note(_) | What::Calm | What::Stopped => {}
        }
    }

    fn changed(&mut self, change: Change) {
        match change {
            Change::Crashed { gone, .. } => {
                self.coverage.saw(if gone { "node: crash, known to be gone" } else { "node: crash" });
            }
            Change::Frozen => self.coverage.saw("node: frozen"),
            Change::Down { .. } => self.coverage.saw("node: shut down"),
            Change::Up { build, .. } if build != Default::default() => {
                self.coverage.saw("node: another build");
            }
            _ => {}
        }
    }

    /// A mark for a finding: where in the log it is.
    pub(super) fn here(&self) -> String {
        format!("at {}.{:03}:", self.at / 1_000, self.at % 1_000)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Attach { session, node, lease, links, gone, before, after, .. } => {
                for gone in gone {
                    self.die(*gone, &mut Vec::new());
                }
                let links = links.iter().map(|link| (link.job.clone(), link.clone())).collect();
                let (now, until) = (self.now, self.now + *lease);
                let session = self.model.sessions.entry(*session).or_insert_with(|| Session {
                    node: node.clone(),
                    lease: *lease,
                    until,
                    connected_at: now,
                    links: Default::default(),
                    open: Default::default(),
                    lanes: Default::default(),
                });
                session.until = until;
                session.links = links;
                self.declared(before, after);
            }
            Step::Detach(session) => {
                let open = self.model.sessions.get(session).map(|s| s.open.clone()).unwrap_or_default();
                for token in open {
                    self.coverage.saw("lease: given back");
                    self.give_back(token, LeaseFate::Detached);
                }
                self.model.sessions.remove(session);
            }
            Step::Beat(beat, pulse) => self.beat(beat, pulse),
            Step::Fire(session, fires, firings) => {
                for (fire, firing) in fires.iter().zip(firings) {
                    self.fire(*session, fire, firing);
                }
            }
            Step::Pass(passes, passings) => {
                for (pass, passing) in passes.iter().zip(passings) {
                    self.pass(pass, passing);
                }
            }
            Step::Append { token, seq, count, paged, last, appended } => {
                self.append(*token, (*seq, *count), *paged, *last, appended);
            }
            Step::Settle(settle, settled) => self.settle(settle, settled),
            Step::Complete(runs, completions) => {
                for (complete, completion) in runs.iter().zip(completions) {
                    self.complete(complete.run, completion);
                }
            }
            Step::Cancel(run, answer) => self.cancel(*run, *answer),
            Step::Reap(by, reaped) => self.reap(*by, reaped),
            Step::Pause(pattern, there) => {
                self.coverage.saw(if *there { "pause" } else { "resume" });
                self.model.paused.retain(|paused| paused != pattern);
                self.model.paused.extend(there.then(|| pattern.clone()));
            }
        }
    }

    fn declared(
        &mut self,
        before: &[(std::sync::Arc<str>, jobs_core::ScheduleState)],
        after: &[(std::sync::Arc<str>, jobs_core::ScheduleState)],
    ) {
        for (job, state) in after {
            let old = before.iter().find(|(id, _)| id == job).map(|(_, state)| state);
            if old.is_some_and(|old| old.fingerprint == state.fingerprint) {
                continue;
            }
            let epochs = self.model.epochs.entry(job.clone()).or_default();
            if let (Some(last), Some(old)) = (epochs.last_mut(), old) {
                last.to = Some(old.cursor);
                let back = epochs.iter().any(|epoch| epoch.fingerprint == state.fingerprint);
                self.coverage.saw(if back { "schedule: rolled back" } else { "schedule: changed" });
                if state.cursor < old.cursor {
                    let here = self.here();
                    self.report.extra.push(format!("{here} the cursor of {job} went back"));
                }
            }
            let (fingerprint, from) = (state.fingerprint.clone(), state.cursor);
            self.model.epochs.entry(job.clone()).or_default().push(Epoch { fingerprint, from, to: None });
        }
    }

    fn beat(&mut self, beat: &jobs_core::Beat, pulse: &jobs_core::Pulse) {
        let (here, now) = (self.here(), self.now);
        let Some(session) = self.model.sessions.get_mut(&beat.session) else {
            if pulse.alive {
                self.report.fencing.push(format!("{here} {} beats on after its death", beat.session));
            }
            return;
        };
        if !pulse.alive {
            self.report.fencing.push(format!("{here} {} is dead without a cause", beat.session));
            return;
        }
        if !session.is_alive(now) {
            self.coverage.saw("session: renewed after its lease");
        }
        if beat.reconnected || !session.is_alive(now) {
            session.connected_at = now;
        }
        // Not even a clock of the future can have connected it later than now.
        session.connected_at = session.connected_at.min(now);
        session.until = now + session.lease;
        let (lease, open) = (session.lease, session.open.clone());
        if let Some(held) = &beat.held {
            for token in open.into_iter().filter(|token| !held.contains(token)) {
                // A beat says nothing of what was leased after it was written.
                let as_of = beat.as_of.min(now);
                // What a clock of the future granted would never be old.
                let orphan = |granted_at| as_of.since(granted_at) > lease || granted_at > now + lease;
                if self.model.leases.get(&token).is_some_and(|held| orphan(held.granted_at)) {
                    self.coverage.saw("lease: orphaned");
                    // The last beat of a process that has ended knows nothing, and it is as good as dead.
                    let since = self.at.saturating_sub(u64::try_from(lease.as_millis()).unwrap_or(0));
                    let up = self.nodes.is_up(beat.session) && !self.nodes.stepped(since, self.at);
                    self.give_back(token, if up { LeaseFate::Orphaned } else { LeaseFate::Died });
                }
            }
        }
    }

    /// The unsettled items of a lease are ready again.
    fn give_back(&mut self, token: Token, fate: LeaseFate) {
        let Some(lease) = self.model.leases.get(&token) else { return };
        for key in lease.unsettled() {
            self.release(key);
        }
        self.model.close(token, fate);
    }

    /// A session is dead: what it held is under suspicion.
    fn die(&mut self, id: SessionId, dead: &mut Vec<super::model::Key>) {
        let Some(session) = self.model.sessions.get(&id) else { return };
        for token in session.open.clone() {
            let Some(lease) = self.model.leases.get(&token) else { continue };
            let (fate, header) = (after_crash(&lease.header), lease.header.clone());
            for key in lease.unsettled() {
                self.coverage.saw("take-over");
                let item = self.model.item(key);
                item.deaths += 1;
                match fate {
                    AfterCrash::Suspect => item.suspect = true,
                    AfterCrash::Charged => item.crashes = header.crashes + 1,
                    AfterCrash::Poison => {
                        (item.token, item.end) = (None, Some(Ending::Poison));
                        self.fill_ended(key, true);
                        dead.push(key);
                    }
                }
                match fate {
                    AfterCrash::Charged => self.coverage.saw("suspect: charged"),
                    AfterCrash::Poison => self.coverage.saw("poison"),
                    AfterCrash::Suspect => {}
                }
                self.release(key);
            }
            self.model.close(token, LeaseFate::Died);
        }
        self.model.sessions.remove(&id);
    }

    fn reap(&mut self, by: SessionId, reaped: &Reaped) {
        let (here, now) = (self.here(), self.now);
        let may = self.model.sessions.get(&by);
        let may = may.is_some_and(|s| s.is_alive(now) && now.since(s.connected_at) >= s.lease);
        if !may && !reaped.nodes.is_empty() {
            self.report.reaped.push(format!("{here} {by} reaps although it may not yet"));
        }
        if may {
            // No session ends later than a beat of now would make it end.
            for session in self.model.sessions.values_mut() {
                session.until = session.until.min(now + session.lease);
            }
        }
        let mut dead = Vec::new();
        for name in &reaped.nodes {
            let expired = |(_, s): &(&SessionId, &Session)| s.node == *name && !s.is_alive(now);
            let Some(id) = self.model.sessions.iter().find(expired).map(|(id, _)| *id) else {
                self.report.reaped.push(format!("{here} {name} is taken for dead and is alive"));
                continue;
            };
            let lease = self.model.sessions[&id].lease;
            let since = self.at.saturating_sub(u64::try_from(lease.as_millis()).unwrap_or(0));
            if self.nodes.is_well(id, self.at, since) {
                self.report.reaped.push(format!("{here} {name} let its lease expire without trouble"));
            }
            if self.nodes.is_up(id) {
                self.coverage.saw("session: reaped while it runs");
                if self.nodes.is_frozen(id) {
                    self.coverage.saw("node: frozen past its lease");
                }
            }
            self.die(id, &mut dead);
        }
        for (_, run, item, failure) in &reaped.dead {
            let key = (item.number(), Stage::Work, item.n());
            let fill = (item.number(), Stage::Fill, item.n());
            match failure.kind {
                FailureKind::Poison if !dead.contains(&key) && !dead.contains(&fill) => {
                    self.report.poison.push(format!("{here} {item} of {run:?} is called poison"));
                }
                FailureKind::Undecodable => {
                    self.coverage.saw("item: undecodable for good");
                    self.ends(key, Ending::Undecodable);
                }
                _ => {}
            }
        }
    }

    fn fire(&mut self, session: Option<SessionId>, fire: &Fire, firing: &Firing) {
        let here = self.here();
        if let (Cause::Tick { schedule, passed, tick, .. }, Firing::Busy { .. }) = (&fire.cause, firing) {
            self.passed(schedule, passed);
            match fire.if_busy {
                IfBusy::Skip => {
                    let skipped = Verdict::Skipped(SkipReason::Overlap);
                    let skipped = TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, skipped);
                    self.passed(schedule, &[skipped]);
                }
                IfBusy::Queue => drop(self.model.waiting.insert(schedule.clone(), *tick)),
                _ => {}
            }
        }
        let (run, lease) = match firing {
            Firing::Fired { run, lease } => (*run, lease),
            Firing::Already(_) => return self.coverage.saw("fire: already"),
            Firing::Busy { .. } => return self.coverage.saw("fire: busy"),
            Firing::Paused { .. } => return self.coverage.saw("fire: paused"),
            Firing::NotYet { .. } => return self.coverage.saw("fire: not yet"),
            Firing::Stale => return self.coverage.saw("fire: stale"),
        };
        if self.model.runs.contains_key(&run) {
            self.coverage.saw("fire: repeated");
        } else {
            if self.model.is_paused(&fire.job) {
                self.report.steering.push(format!("{here} {} is paused and gets a run", fire.job));
            }
            let mut of_tick = None;
            match &fire.cause {
                Cause::Manual { .. } => self.coverage.saw("run by hand"),
                Cause::Tick { schedule, tick, passed, verdict, trigger, .. } => {
                    of_tick = Some(*tick);
                    self.passed(schedule, passed);
                    self.model.waiting.remove(schedule);
                    if *trigger == Trigger::CatchUp {
                        self.coverage.saw("fire: caught up");
                    }
                    let late = *verdict == Verdict::Late;
                    self.coverage.saw(if late { "verdict: late" } else { "verdict: fired" });
                    if *tick > self.now {
                        self.report.extra.push(format!("{here} {schedule} fires a tick of the future"));
                    }
                    if let Some(other) = self.model.fired.insert((schedule.clone(), *tick), run) {
                        let tick = tick.timestamp();
                        self.report.extra.push(format!("{here} {schedule} {tick} has {other} and {run}"));
                    }
                }
            }
            let run_of = Run {
                job: fire.job.clone(),
                query: fire.query,
                tick: of_tick,
                cancelled: false,
                over: false,
                total: u64::from(!fire.query),
                published: !fire.query,
                query_failed: false,
                fill: (None, 0, 0),
                filled: None,
                retries: 0,
            };
            self.model.runs.insert(run, run_of);
            self.model.last_fired.insert(fire.job.clone(), self.at);
        }
        if let (Some(session), Some(lease)) = (session, lease) {
            self.granted(session, lease);
        }
    }

    fn pass(&mut self, pass: &Pass, passing: &Passing) {
        match passing {
            Passing::Passed => self.passed(&pass.schedule, &pass.passed),
            Passing::Already(_) => self.coverage.saw("pass: already"),
            Passing::NotYet | Passing::Stale => {}
        }
    }

    /// Verdicts of ticks that did not fire.
    fn passed(&mut self, schedule: &std::sync::Arc<str>, passed: &[TickInfo]) {
        for tick in passed {
            self.coverage.saw(match tick.verdict {
                Verdict::Skipped(SkipReason::Overlap) => "verdict: overlap",
                Verdict::Skipped(SkipReason::Paused) => "verdict: paused",
                Verdict::Skipped(_) => "verdict: replaced",
                _ => "verdict: missed",
            });
            self.model.passed.push((schedule.clone(), tick.clone(), self.at, self.now));
        }
    }

    fn append(&mut self, token: Token, what: (u64, u64), paged: bool, last: bool, appended: &Appended) {
        let (here, (seq, count)) = (self.here(), what);
        let lease = self.model.leases.get(&token).filter(|lease| lease.fate == LeaseFate::Open);
        let header = self.model.leases.get(&token).map(|lease| lease.header.clone());
        let Some(header) = header else {
            self.report.fencing.push(format!("{here} an append under a lease that nobody has"));
            return;
        };
        let held = lease.is_some();
        let Some(run) = header.run().and_then(|run| self.model.runs.get_mut(&run)) else { return };
        let Appended::Stored { .. } = appended else {
            self.coverage.saw("query: append of a lost lease");
            return;
        };
        if run.filled == Some(token) {
            return self.coverage.saw("query: appended again");
        }
        if !held || run.cancelled {
            self.report.fencing.push(format!("{here} an append of a lost lease is stored, {}", header.job));
            return;
        }
        if run.fill.0 != Some(token) {
            if paged && run.total > 0 {
                self.coverage.saw("query: resumed at a page");
            }
            run.fill = (Some(token), 0, 0);
        }
        if seq < run.fill.1 {
            return self.coverage.saw("query: appended again");
        }
        run.fill.1 += 1;
        run.fill.2 += count;
        if seq > 0 && !paged {
            self.coverage.saw("query: staged in pieces");
        }
        if last || paged {
            run.total += std::mem::take(&mut run.fill.2);
            run.published = true;
        }
        if paged {
            let item = self.model.item((header.number, Stage::Fill, 0));
            (item.attempt, item.crashes, item.suspect) = (0, 0, false);
            if let Some(lease) = self.model.leases.get_mut(&token) {
                lease.header.begin_anew();
            }
        }
        if last {
            if let Some(run) = header.run().and_then(|run| self.model.runs.get_mut(&run)) {
                run.filled = Some(token);
            }
            self.ends((header.number, Stage::Fill, 0), Ending::Done);
            self.model.close(token, LeaseFate::Settled);
        }
    }

    fn complete(&mut self, run: RunId, completion: &Completion) {
        if let Completion::Completed(report) = completion {
            let here = self.here();
            let Some(of) = self.model.runs.get_mut(&run) else { return };
            if std::mem::replace(&mut of.over, true) {
                self.report.extra.push(format!("{here} {run} is over twice"));
            }
            if report.counts.ended() != report.counts.total {
                self.report.counts.push(format!("{here} {run} is over with {:?}", report.counts));
            }
        }
    }

    fn cancel(&mut self, run: RunId, answer: Cancellation) {
        if !matches!(answer, Cancellation::Cancelled { .. }) {
            return;
        }
        self.coverage.saw("cancel");
        if let Some(run) = self.model.runs.get_mut(&run) {
            run.cancelled = true;
        }
        let number = run.number();
        let of_run = self.model.items.range_mut((number, Stage::Fill, 0)..(number + 1, Stage::Fill, 0));
        for (_, item) in of_run.filter(|(_, item)| item.token.is_none() && item.end.is_none()) {
            item.end = Some(Ending::Cancelled);
        }
    }
}
