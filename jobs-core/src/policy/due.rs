//! Which ticks fire now, and what becomes of the others (DESIGN §6, "Due ticks").

use std::{collections::VecDeque, time::Duration};

use crate::{CatchUp, IfBusy, Millis, Overlap, Policy, SkipReason, TickInfo, Timetable, Trigger, Verdict};

/// A tick noticed at most this long after it may fire is on time under every policy.
pub const ON_TIME: Duration = Duration::from_secs(10);

/// `catch_up = "all"` fires at most this many missed ticks.
pub const MAX_CATCH_UP: usize = 1_000;

/// So many ticks are looked at in one decision; after a long stop of a frequent schedule several follow.
const MAX_SCAN: usize = 10_000;

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// When the schedule is due.
    pub timetable: &'a Timetable,
    /// The job's options.
    pub policy: &'a Policy,
    /// All ticks up to here have a verdict.
    pub cursor: Millis,
    /// A tick that was noticed on time and waits for the last run.
    pub waiting: Option<Millis>,
    /// The store's time.
    pub now: Millis,
    /// Whether the job is paused.
    pub paused: bool,
    /// Whether the last run was found busy.
    pub busy: bool,
    /// Whether the tick that fired last was caught up.
    pub catching_up: bool,
}

/// What to do with the ticks that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdicts of those that do not fire, oldest first. If one fires, all are before it.
    pub passed: Vec<TickInfo>,
    /// The one that fires.
    pub fire: Option<FireTick>,
    /// Whether there is more to decide at once.
    pub again: bool,
}

/// A tick that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FireTick {
    /// The scheduled instant.
    pub tick: Millis,
    /// When it may fire.
    pub at: Millis,
    /// Fired or late.
    pub verdict: Verdict,
    /// By schedule or by catch-up.
    pub trigger: Trigger,
    /// What to do while a run of the job is busy.
    pub if_busy: IfBusy,
}

/// Decides over the ticks in (cursor, now].
#[must_use]
pub fn decide(due: &Due<'_>) -> Decision {
    let (missed, on_time, more) = due.scan();
    if due.paused {
        let all = missed.into_iter().chain(on_time);
        return Decision::pass(all, Verdict::Skipped(SkipReason::Paused), more);
    }
    let (dropped, caught_up) = due.catch_up(missed, !on_time.is_empty(), more);
    let mut passed = Passed::default();
    passed.extend(dropped, Verdict::Missed);
    if let Some(tick) = caught_up {
        return Decision { passed: passed.0, fire: Some(due.late(tick)), again: false };
    }
    // While the last run is still busy, a newer tick takes the place of one that waits.
    let replaces = due.busy && due.policy.overlap == Overlap::Queue;
    let (replaced, rest) = on_time.split_at(if replaces { on_time.len().saturating_sub(1) } else { 0 });
    passed.extend(replaced.iter().copied(), Verdict::Skipped(SkipReason::Replaced));
    let fire = rest.first().map(|tick| due.on_time(*tick));
    Decision { again: more && fire.is_none(), passed: passed.0, fire }
}

impl Due<'_> {
    /// The due ticks, oldest first: those noticed late, those noticed on time, and whether there are more.
    fn scan(&self) -> (VecDeque<Millis>, Vec<Millis>, bool) {
        let (mut missed, mut on_time) = (VecDeque::new(), Vec::new());
        let mut cursor = self.cursor;
        while let Some(tick) = self.timetable.next_after(cursor) {
            let at = self.timetable.fires_at(tick);
            if at > self.now {
                break;
            }
            if missed.len() + on_time.len() == MAX_SCAN {
                return (missed, on_time, true);
            }
            // One that waits was noticed on time, however long ago.
            if self.waiting == Some(tick) || self.now.since(at) <= ON_TIME {
                on_time.push(tick);
            } else {
                // What was missed behind one that waits stays behind it.
                if on_time.is_empty() { missed.push_back(tick) } else { on_time.push(tick) }
            }
            cursor = tick;
        }
        (missed, on_time, false)
    }

    /// Of the ticks noticed late: those dropped, oldest first, and the one that fires now.
    fn catch_up(
        &self,
        mut missed: VecDeque<Millis>,
        on_time: bool,
        more: bool,
    ) -> (VecDeque<Millis>, Option<Millis>) {
        let window = self.policy.catch_up_window.unwrap_or(Duration::MAX);
        let recent = missed.partition_point(|tick| self.now.since(self.timetable.fires_at(*tick)) > window);
        match self.policy.catch_up {
            CatchUp::Once if !on_time && !more && recent < missed.len() => {
                let latest = missed.pop_back();
                (missed, latest)
            }
            CatchUp::Skip | CatchUp::Once => (missed, None),
            CatchUp::All => {
                let newest = missed.len().saturating_sub(MAX_CATCH_UP);
                let mut kept = missed.split_off(recent.max(newest));
                // While there is more to look at, the newest are not known yet.
                let fire = if more && !missed.is_empty() { None } else { kept.pop_front() };
                (missed, fire)
            }
        }
    }

    fn late(&self, tick: Millis) -> FireTick {
        let if_busy = match (self.policy.catch_up, self.policy.overlap) {
            // The next is fired when the run is no longer busy, whatever `overlap` says.
            (CatchUp::All, _) => IfBusy::Wait,
            (_, overlap) => if_busy(overlap),
        };
        let at = self.timetable.fires_at(tick);
        FireTick { tick, at, verdict: Verdict::Late, trigger: Trigger::CatchUp, if_busy }
    }

    fn on_time(&self, tick: Millis) -> FireTick {
        let at = self.timetable.fires_at(tick);
        let late = self.now.since(at) > self.policy.late_after;
        let verdict = if late { Verdict::Late } else { Verdict::Fired };
        // The tick that ends a catch-up comes after those caught up, as they come after one another.
        let last = self.catching_up && self.policy.catch_up == CatchUp::All;
        let if_busy = if last { IfBusy::Wait } else { if_busy(self.policy.overlap) };
        FireTick { tick, at, verdict, trigger: Trigger::Schedule, if_busy }
    }
}

fn if_busy(overlap: Overlap) -> IfBusy {
    match overlap {
        Overlap::Skip => IfBusy::Skip,
        Overlap::Queue => IfBusy::Queue,
        Overlap::Allow => IfBusy::Fire,
    }
}

impl Decision {
    fn pass(ticks: impl IntoIterator<Item = Millis>, verdict: Verdict, again: bool) -> Self {
        let mut passed = Passed::default();
        passed.extend(ticks, verdict);
        Self { passed: passed.0, fire: None, again }
    }
}

/// Verdicts of ticks that did not fire, neighbours with the same verdict in one record.
#[derive(Default)]
struct Passed(Vec<TickInfo>);

impl Passed {
    fn extend(&mut self, ticks: impl IntoIterator<Item = Millis>, verdict: Verdict) {
        for tick in ticks {
            let next = TickInfo::passed(tick.timestamp(), tick.timestamp(), 1, verdict);
            if !self.0.last_mut().is_some_and(|last| last.merge(&next)) {
                self.0.push(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jobs_schedule::Schedule;

    use super::*;
    use crate::{JobOptions, Millis};

    const MINUTE: i64 = 60_000;

    struct Case {
        options: JobOptions,
        cursor: i64,
        now: i64,
        waiting: Option<i64>,
        paused: bool,
        busy: bool,
    }

    /// A job every minute, whose ticks up to minute 0 have a verdict.
    fn at(now: i64, options: JobOptions) -> Case {
        Case { options, cursor: 0, now, waiting: None, paused: false, busy: false }
    }

    fn decide(case: &Case) -> Decision {
        let policy = Policy::resolve(std::slice::from_ref(&case.options), false).unwrap();
        let schedule: Schedule = "* * * * *".parse().unwrap();
        let timetable = Timetable::new("g.j".into(), schedule, policy.jitter);
        super::decide(&Due {
            timetable: &timetable,
            policy: &policy,
            cursor: Millis(case.cursor),
            waiting: case.waiting.map(Millis),
            now: Millis(case.now),
            paused: case.paused,
            busy: case.busy,
            catching_up: false,
        })
    }

    fn options() -> JobOptions {
        JobOptions::new()
    }

    fn passed(decision: &Decision) -> Vec<(i64, i64, u64, Verdict)> {
        let minute = |t: jiff::Timestamp| t.as_millisecond() / MINUTE;
        decision.passed.iter().map(|p| (minute(p.tick), minute(p.last), p.count, p.verdict)).collect()
    }

    fn fired(decision: &Decision) -> Option<(i64, Verdict, Trigger, IfBusy)> {
        decision.fire.map(|f| (f.tick.0 / MINUTE, f.verdict, f.trigger, f.if_busy))
    }

    #[test]
    fn nothing_is_due_before_its_instant() {
        let nothing = decide(&at(MINUTE - 1, options()));
        assert_eq!(nothing, Decision { passed: vec![], fire: None, again: false });
        assert_eq!(fired(&decide(&at(MINUTE, options()))), on_time(1, IfBusy::Skip));
    }

    fn on_time(minute: i64, if_busy: IfBusy) -> Option<(i64, Verdict, Trigger, IfBusy)> {
        Some((minute, Verdict::Fired, Trigger::Schedule, if_busy))
    }

    fn caught_up(minute: i64, if_busy: IfBusy) -> Option<(i64, Verdict, Trigger, IfBusy)> {
        Some((minute, Verdict::Late, Trigger::CatchUp, if_busy))
    }

    #[test]
    fn ten_seconds_late_is_on_time_under_every_policy() {
        for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All] {
            let on = decide(&at(MINUTE + 10_000, options().catch_up(catch_up)));
            assert_eq!(fired(&on), on_time(1, IfBusy::Skip), "{catch_up:?}");
            let late = decide(&at(MINUTE + 10_001, options().catch_up(catch_up)));
            let expected = match catch_up {
                CatchUp::Skip => None,
                CatchUp::Once => caught_up(1, IfBusy::Skip),
                CatchUp::All => caught_up(1, IfBusy::Wait),
            };
            assert_eq!(fired(&late), expected, "{catch_up:?}");
        }
    }

    #[test]
    fn once_fires_the_latest_of_the_missed() {
        let decision = decide(&at(5 * MINUTE + 30_000, options()));
        assert_eq!(passed(&decision), [(1, 4, 4, Verdict::Missed)]);
        assert_eq!(fired(&decision), caught_up(5, IfBusy::Skip));
    }

    #[test]
    fn a_tick_on_time_stands_for_all_that_once_would_catch_up() {
        let decision = decide(&at(5 * MINUTE + 3_000, options()));
        assert_eq!(passed(&decision), [(1, 4, 4, Verdict::Missed)]);
        assert_eq!(fired(&decision), on_time(5, IfBusy::Skip));
    }

    #[test]
    fn all_fires_the_oldest_first_and_waits_whatever_overlap_says() {
        for overlap in [Overlap::Skip, Overlap::Queue, Overlap::Allow] {
            let options = options().catch_up(CatchUp::All).overlap(overlap);
            let decision = decide(&at(5 * MINUTE + 3_000, options));
            assert_eq!((passed(&decision).len(), fired(&decision)), (0, caught_up(1, IfBusy::Wait)));
        }
    }

    #[test]
    fn all_catches_up_at_most_the_newest_thousand() {
        let decision = decide(&at(3_000 * MINUTE + 30_000, options().catch_up(CatchUp::All)));
        assert_eq!(passed(&decision), [(1, 2_000, 2_000, Verdict::Missed)]);
        assert_eq!(fired(&decision), caught_up(2_001, IfBusy::Wait));
    }

    #[test]
    fn the_window_bounds_what_is_caught_up() {
        let window = Duration::from_secs(120);
        let all = decide(&at(5 * MINUTE + 30_000, options().catch_up(CatchUp::All).catch_up_window(window)));
        assert_eq!(
            (passed(&all), fired(&all)),
            (vec![(1, 3, 3, Verdict::Missed)], caught_up(4, IfBusy::Wait))
        );
        let narrow = Duration::from_secs(20);
        let once = decide(&at(5 * MINUTE + 30_000, options().catch_up_window(narrow)));
        assert_eq!((passed(&once), fired(&once)), (vec![(1, 5, 5, Verdict::Missed)], None));
    }

    #[test]
    fn a_paused_job_skips_what_is_due() {
        let decision =
            decide(&Case { paused: true, ..at(5 * MINUTE + 3_000, options().catch_up(CatchUp::All)) });
        assert_eq!(passed(&decision), [(1, 5, 5, Verdict::Skipped(SkipReason::Paused))]);
        assert_eq!(decision.fire, None);
    }

    #[test]
    fn a_tick_that_waits_is_not_dropped_by_catch_up() {
        for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All] {
            let options = options().overlap(Overlap::Queue).catch_up(catch_up);
            let waits = Case { waiting: Some(MINUTE), ..at(MINUTE + 50_000, options) };
            let late = Some((1, Verdict::Late, Trigger::Schedule, IfBusy::Queue));
            assert_eq!(fired(&decide(&waits)), late, "{catch_up:?}");
        }
    }

    #[test]
    fn a_newer_tick_takes_the_place_of_one_that_waits() {
        let waits = Case { waiting: Some(MINUTE), ..at(2 * MINUTE, options().overlap(Overlap::Queue)) };
        assert_eq!(fired(&decide(&waits)).map(|f| f.0), Some(1), "the older fires if the last run is over");
        let busy = decide(&Case { busy: true, ..waits });
        assert_eq!(passed(&busy), [(1, 1, 1, Verdict::Skipped(SkipReason::Replaced))]);
        assert_eq!(fired(&busy), on_time(2, IfBusy::Queue));
    }

    #[test]
    fn a_year_of_missed_seconds_is_decided_in_pieces() {
        let year = 365 * 24 * 3_600_000_i64;
        let policy = Policy::resolve(&[options()], false).unwrap();
        let timetable = Timetable::new("g.j".into(), "1s".parse().unwrap(), Duration::ZERO);
        let mut due = Due {
            timetable: &timetable,
            policy: &policy,
            cursor: Millis(year - 25_000_000),
            waiting: None,
            now: Millis(year),
            paused: false,
            busy: false,
            catching_up: false,
        };
        let mut dropped = 0;
        let fired = loop {
            let decision = super::decide(&due);
            dropped += decision.passed.iter().map(|p| p.count).sum::<u64>();
            if let Some(fire) = decision.fire {
                break fire;
            }
            assert!(decision.again);
            due.cursor = Millis::from(decision.passed.last().unwrap().last);
        };
        assert_eq!(dropped, 25_000 - 11, "the last eleven seconds are on time");
        assert_eq!(fired.tick, Millis(year - 10_000));
    }

    #[test]
    fn jitter_counts_for_lateness_and_not_for_identity() {
        let jittered = options().jitter(Duration::from_secs(40)).catch_up(CatchUp::Skip);
        let at_of = |minute: i64| {
            let timetable =
                Timetable::new("g.j".into(), "* * * * *".parse().unwrap(), Duration::from_secs(40));
            timetable.fires_at(Millis(minute * MINUTE))
        };
        let due = at_of(1);
        assert!(due > Millis(MINUTE) && due < Millis(MINUTE + 40_000));
        assert_eq!(decide(&at(due.0 - 1, jittered.clone())).fire, None);
        let fire = decide(&at(due.0 + 10_000, jittered.clone())).fire.unwrap();
        assert_eq!((fire.tick, fire.at), (Millis(MINUTE), due));
        assert_eq!(decide(&at(due.0 + 10_001, jittered)).fire, None);
    }
}
