//! What is decided by counting, against the same rules said tick by tick.

use proptest::prelude::*;

use super::*;
use crate::JobOptions;

/// The rules, walking through each tick.
fn walked(due: &Due<'_>) -> Decision {
    let mut missed = Vec::new();
    let mut on_time = Vec::new();
    let mut cursor = due.cursor;
    while let Some(tick) =
        due.timetable.next_after(cursor).filter(|tick| due.timetable.fires_at(*tick) <= due.now)
    {
        let late = due.now.since(due.timetable.fires_at(tick)) > ON_TIME;
        let list =
            if late && due.waiting != Some(tick) && on_time.is_empty() { &mut missed } else { &mut on_time };
        list.push(tick);
        cursor = tick;
    }
    let mut decision = Decision { passed: Vec::new(), fire: None };
    if due.paused {
        missed.extend(on_time);
        record(&mut decision, &missed, Verdict::Skipped(SkipReason::Paused));
        return decision;
    }
    let window = due.policy.catch_up_window.unwrap_or(Duration::MAX);
    let recent: Vec<_> = missed
        .iter()
        .filter(|tick| due.now.since(due.timetable.fires_at(**tick)) <= window)
        .copied()
        .collect();
    let caught_up = match due.policy.catch_up {
        CatchUp::Once if on_time.is_empty() => recent.last(),
        CatchUp::All => recent.iter().rev().take(1_000).next_back(),
        _ => None,
    };
    if let Some(fires) = caught_up {
        missed.retain(|tick| tick < fires);
        record(&mut decision, &missed, Verdict::Missed);
        decision.fire = Some(due.late(*fires));
        return decision;
    }
    record(&mut decision, &missed, Verdict::Missed);
    if due.busy && due.policy.overlap == Overlap::Queue {
        let replaced: Vec<_> = on_time.drain(..on_time.len().saturating_sub(1)).collect();
        record(&mut decision, &replaced, Verdict::Skipped(SkipReason::Replaced));
    }
    decision.fire = on_time.first().map(|tick| due.on_time(*tick));
    decision
}

fn record(decision: &mut Decision, ticks: &[Millis], verdict: Verdict) {
    if let (Some(first), Some(last)) = (ticks.first(), ticks.last()) {
        let record = TickInfo::passed(first.timestamp(), last.timestamp(), ticks.len() as u64, verdict);
        decision.passed.push(record);
    }
}

const TEXTS: [(&str, &str); 7] = [
    ("1ms", "UTC"),
    ("7s", "UTC"),
    ("* * * * *", "UTC"),
    ("*/3 * * * * *", "Europe/Paris"),
    ("0,30 0-59 0-23 * * *", "America/New_York"),
    ("3 */2 * * *", "Europe/Paris"),
    ("2026-10-25T01:00:00Z", "UTC"),
];

/// An hour before Europe's clocks are set back.
const START: i64 = 1_792_886_400_000;

prop_compose! {
    fn policy()(
        catch_up in prop_oneof![Just(CatchUp::Skip), Just(CatchUp::Once), Just(CatchUp::All)],
        overlap in prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue), Just(Overlap::Allow)],
        window in proptest::option::of(1u64..100_000),
        jitter in prop_oneof![Just(0u64), 1u64..10, 1u64..100_000],
    ) -> Policy {
        let mut options = JobOptions::new().catch_up(catch_up).overlap(overlap);
        options = options.jitter(Duration::from_millis(jitter));
        if let Some(window) = window {
            options = options.catch_up_window(Duration::from_millis(window));
        }
        Policy::resolve(&[options], false).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_counted_is_decided_as_if_it_was_walked(
        policy in policy(),
        (text, tz) in proptest::sample::select(&TEXTS[..]),
        cursor in 0i64..7_200_000,
        ahead in prop_oneof![0i64..30_000, 0i64..20_000_000],
        waiting in proptest::option::of(0i64..40_000),
        (paused, busy, catching_up) in any::<(bool, bool, bool)>(),
    ) {
        let schedule = jobs_schedule::Schedule::parse(text, tz).unwrap();
        let timetable = Timetable::new("g.j".into(), schedule, policy.jitter);
        let ahead = if text == "1ms" { ahead % 15_000 } else { ahead };
        let cursor = Millis(START + cursor);
        let waiting = waiting.and_then(|after| timetable.next_after(Millis(cursor.0 + after)));
        let now = Millis(cursor.0 + ahead);
        let due = Due { timetable: &timetable, policy: &policy, cursor, waiting, now, paused, busy, catching_up };
        prop_assert_eq!(decide(&due), walked(&due));
    }
}
