//! cronie's own answers, recorded from its code under a simulated clock.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{Schedule, bundled};
use crate::{Expression, Field, ScheduleErrorKind, zone};

/// The corpus was recorded under tzdata 2025b.
fn rules_of_2025b(name: &str) -> TimeZone {
    let (name, data) = tzdb_2025b::get(name).unwrap();
    TimeZone::tzif(name, data).unwrap()
}

#[derive(Deserialize)]
struct Case {
    id: u32,
    expr: String,
    zone: String,
    start: i64,
    /// Unix seconds, strictly after `start`; none for a text that cronie refuses.
    expect: Option<Vec<i64>>,
    error: Option<String>,
    /// With fewer than ten ticks: the list is complete up to here.
    complete_until: Option<i64>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../tests/cron-corpus.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn field(name: &str) -> Field {
    match name {
        "second" => Field::Second,
        "minute" => Field::Minute,
        "hour" => Field::Hour,
        "dom" => Field::DayOfMonth,
        "month" => Field::Month,
        "dow" => Field::DayOfWeek,
        other => panic!("unknown field {other}"),
    }
}

/// Up to ten ticks, and not beyond where the recorded list ends.
fn ticks(schedule: &Schedule, case: &Case) -> Vec<i64> {
    let until = case.complete_until.unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let mut at = Timestamp::from_second(case.start).unwrap();
    while found.len() < 10 {
        let Some(next) = schedule.next_after(at).filter(|next| next.as_second() <= until) else { break };
        assert!(next > at, "{} {:?} goes back", case.id, case.expr);
        found.push(next.as_second());
        at = next;
    }
    assert!(found.len() == 10 || case.complete_until.is_some(), "{} {:?} ends", case.id, case.expr);
    found
}

#[test]
fn every_line_of_cronies_corpus_is_answered_alike() {
    assert_eq!(tzdb_2025b::VERSION, Some("2025b"));
    let mut wrong = Vec::new();
    let mut compared = 0;
    let cases = cases();
    assert!(cases.len() >= 3_600, "the corpus has {} lines", cases.len());
    for case in &cases {
        let Some(expect) = &case.expect else { continue };
        let expression =
            Expression::parse(&case.expr).unwrap_or_else(|error| panic!("{:?}: {error}", case.expr));
        let name = zone::canonical(&case.zone).unwrap();
        let schedule = Schedule::by_rules_of(expression, name, |name| Ok(rules_of_2025b(name))).unwrap();
        let found = ticks(&schedule, case);
        compared += found.len();
        if found != *expect {
            wrong.push(format!("{} {:?} {}: {expect:?} but {found:?}", case.id, case.expr, case.zone));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(compared > 20_000, "{compared} ticks compared");
}

#[test]
fn the_bundled_rules_differ_from_the_corpus_only_where_a_zones_law_has_changed_since() {
    for case in cases() {
        let Some(expect) = &case.expect else { continue };
        let found = ticks(&Schedule::parse(&case.expr, &case.zone).unwrap(), &case);
        if found == *expect {
            continue;
        }
        let (then, now) = (rules_of_2025b(&case.zone), bundled(&case.zone).unwrap());
        let law_changed = found.iter().chain(expect).any(|second| {
            let instant = Timestamp::from_second(*second).unwrap();
            then.to_offset(instant) != now.to_offset(instant)
        });
        assert!(law_changed, "{} {:?} {}: {expect:?} but {found:?}", case.id, case.expr, case.zone);
    }
}

#[test]
fn every_text_that_cronie_refuses_is_refused_at_the_same_field() {
    let mut refused = 0;
    for case in cases() {
        let Some(name) = &case.error else { continue };
        assert!(case.expect.is_none());
        let error = Expression::parse(&case.expr).expect_err(&case.expr);
        assert_eq!(error.field(), Some(field(name)), "{:?}: {error}", case.expr);
        assert_ne!(error.kind(), ScheduleErrorKind::FieldCount, "{:?}: {error}", case.expr);
        refused += 1;
    }
    assert_eq!(refused, 29);
}

#[test]
fn the_canonical_text_of_every_line_is_the_same_schedule() {
    for case in cases() {
        let Ok(expression) = Expression::parse(&case.expr) else { continue };
        let text = expression.to_string();
        assert_eq!(Expression::parse(&text).as_ref(), Ok(&expression), "{:?} -> {text:?}", case.expr);
    }
}
