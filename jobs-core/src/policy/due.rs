//! Which ticks fire now, and what becomes of the others.

use std::time::Duration;

use crate::{CatchUp, IfBusy, Millis, Overlap, Policy, SkipReason, TickInfo, Timetable, Trigger, Verdict};

/// A tick noticed at most this long after it may fire is on time under every policy.
pub const ON_TIME: Duration = Duration::from_secs(10);

/// `catch_up = "all"` fires at most this many missed ticks.
pub const MAX_CATCH_UP: u64 = 1_000;

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

/// Ticks are whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// Decides over the ticks in (cursor, now].
///
/// They are counted, not walked through: the cost does not grow with how many they are.
#[must_use]
pub fn decide(due: &Due<'_>) -> Decision {
    let mut decision = Decision { passed: Vec::new(), fire: None };
    let Some(noticed) = due.noticed() else { return decision };
    if due.paused {
        decision.pass(due.timetable, due.cursor, noticed.last, Verdict::Skipped(SkipReason::Paused));
        return decision;
    }
    let missed = due.missed(noticed);
    if let Some(tick) = due.catch_up(missed, noticed.last > missed) {
        decision.pass(due.timetable, due.cursor, tick - TICK, Verdict::Missed);
        decision.fire = Some(due.late(tick));
        return decision;
    }
    decision.pass(due.timetable, due.cursor, missed, Verdict::Missed);
    // While the last run is still busy, a newer tick takes the place of one that waits.
    let replaces = due.busy && due.policy.overlap == Overlap::Queue;
    let replaced = if replaces { missed.max(noticed.last - TICK) } else { missed };
    decision.pass(due.timetable, missed, replaced, Verdict::Skipped(SkipReason::Replaced));
    let first = if replaced == due.cursor { Some(noticed.first) } else { due.timetable.next_after(replaced) };
    decision.fire = first.filter(|first| *first <= noticed.last).map(|tick| due.on_time(tick));
    decision
}

/// The ticks that may fire by now.
#[derive(Clone, Copy)]
struct Noticed {
    first: Millis,
    last: Millis,
}

impl Due<'_> {
    fn noticed(&self) -> Option<Noticed> {
        let first = self.timetable.next_after(self.cursor)?;
        if self.timetable.fires_at(first) > self.now {
            return None;
        }
        // Most often there is one alone.
        let last = match self.timetable.next_after(first) {
            Some(second) if second <= self.now => self.timetable.last_fired_by(self.now)?,
            _ => first,
        };
        Some(Noticed { first, last })
    }

    /// The ticks behind the cursor and up to here were noticed late; those behind it were noticed on time.
    fn missed(&self, noticed: Noticed) -> Millis {
        if self.now.since(self.timetable.fires_at(noticed.first)) <= ON_TIME {
            return self.cursor;
        }
        let late = self.older_than(ON_TIME);
        // One that waits was noticed on time, however long ago, and what was missed behind it stays behind it.
        match self.waiting {
            Some(waiting) if waiting > self.cursor => late.min(waiting - TICK),
            _ => late,
        }
    }

    /// The last tick that might have fired longer ago than this. The cursor, if none is behind it.
    fn older_than(&self, wait: Duration) -> Millis {
        let before = self.now - wait - TICK;
        let last = if before > self.cursor { self.timetable.last_fired_by(before) } else { None };
        last.map_or(self.cursor, |last| last.max(self.cursor))
    }

    /// Of the ticks noticed late, up to `missed`: the one that fires now. Those before it are dropped.
    fn catch_up(&self, missed: Millis, on_time: bool) -> Option<Millis> {
        if missed == self.cursor || self.policy.catch_up == CatchUp::Skip {
            return None;
        }
        let too_old = self.policy.catch_up_window.map_or(self.cursor, |window| self.older_than(window));
        match self.policy.catch_up {
            CatchUp::All => {
                let before = self.timetable.before_the_newest(MAX_CATCH_UP, too_old, missed);
                self.timetable.next_after(before).filter(|oldest| *oldest <= missed)
            }
            _ if on_time => None,
            _ => self.timetable.last_at_or_before(missed).filter(|latest| *latest > too_old),
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
    /// Gives the ticks in (`after`, `until`] a verdict, if there are any.
    fn pass(&mut self, timetable: &Timetable, after: Millis, until: Millis, verdict: Verdict) {
        if until <= after {
            return;
        }
        let Some(first) = timetable.next_after(after).filter(|first| *first <= until) else { return };
        let Some(last) = timetable.last_at_or_before(until) else { return };
        let count = timetable.count_between(after, until);
        self.passed.push(TickInfo::passed(first.timestamp(), last.timestamp(), count, verdict));
    }
}

#[cfg(test)]
mod walked_test;

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
        assert_eq!(nothing, Decision { passed: vec![], fire: None });
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
    fn a_downtime_of_years_is_decided_at_once() {
        let years = 30 * 365 * 24 * 3_600_i64;
        let every_second =
            [("1s", "UTC"), ("* * * * * *", "Europe/Paris"), ("0-59 0-59 0-23 * * *", "Europe/Paris")];
        for (text, tz) in every_second {
            let schedule = Schedule::parse(text, tz).unwrap();
            let timetable = Timetable::new("g.j".into(), schedule.clone(), Duration::ZERO);
            for (catch_up, trigger, fires) in [
                (CatchUp::Skip, Trigger::Schedule, years + 1),
                (CatchUp::Once, Trigger::Schedule, years + 1),
                (CatchUp::All, Trigger::CatchUp, years - 999),
            ] {
                let policy = Policy::resolve(&[options().catch_up(catch_up)], false).unwrap();
                // Walked through, these would be more than 10¹¹ ticks.
                for second in 0..100 {
                    let at = |later: i64| Millis((second + later) * 1_000);
                    let decision = super::decide(&Due {
                        timetable: &timetable,
                        policy: &policy,
                        cursor: at(0),
                        waiting: None,
                        now: at(years) + Duration::from_millis(10_999),
                        paused: false,
                        busy: false,
                        catching_up: false,
                    });
                    assert_eq!(
                        decision.fire.map(|fire| (fire.tick, fire.trigger)),
                        Some((at(fires), trigger))
                    );
                    let last = at(fires - 1).timestamp();
                    let count = schedule.count_between(at(0).timestamp(), last);
                    let missed = TickInfo::passed(at(1).timestamp(), last, count, Verdict::Missed);
                    assert_eq!(decision.passed, [missed]);
                }
            }
        }
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
