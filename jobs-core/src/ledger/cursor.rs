//! Where a schedule stands: which declaration is in force, and up to where its ticks have verdicts.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Declaration, Millis, RunId, ScheduleState, SessionId, TickInfo, Verdict};

/// How many declarations that were in force before are known again.
pub const SUPERSEDED: usize = 100;

/// Where a schedule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// All ticks up to here have a verdict.
    pub cursor: Millis,
    /// A tick that was noticed on time and waits for the last run.
    pub waiting: Option<Millis>,
    /// The declaration in force.
    pub fingerprint: Arc<str>,
    /// Declarations that were in force before, oldest first.
    superseded: VecDeque<Arc<str>>,
    /// The last tick that fired, its run and who fired it, for a repeat.
    pub last_fire: Option<(Millis, RunId, Option<SessionId>)>,
}

/// What a session's declaration is to a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is in force.
    InForce,
    /// It becomes the one in force.
    Takes,
    /// It was in force before: it becomes the one in force again if no live session declares the current one.
    TakesIfAbandoned,
}

impl Cursor {
    /// Of a schedule that is first seen now.
    #[must_use]
    pub fn new(cursor: Millis, fingerprint: Arc<str>) -> Self {
        Self { cursor, waiting: None, fingerprint, superseded: VecDeque::new(), last_fire: None }
    }

    /// What is shown of it.
    #[must_use]
    pub fn state(&self) -> ScheduleState {
        let Self { cursor, waiting, fingerprint, .. } = self;
        ScheduleState { cursor: *cursor, waiting: *waiting, fingerprint: fingerprint.clone() }
    }

    fn was(&self, fingerprint: &Arc<str>) -> bool {
        self.superseded.contains(fingerprint)
    }

    /// What a declaration is to a schedule; `current` is `None` if the schedule was never seen.
    #[must_use]
    pub fn claim(current: Option<&Self>, declared: &Declaration) -> Claim {
        match current {
            Some(current) if current.fingerprint == declared.fingerprint => Claim::InForce,
            Some(current) if current.was(&declared.fingerprint) => Claim::TakesIfAbandoned,
            _ => Claim::Takes,
        }
    }

    /// Puts a declaration in force. Returns the instant of a schedule that was past when the schedule was first seen,
    /// with the verdict that is to be recorded.
    pub fn declare(
        current: &mut Option<Self>,
        declared: &Declaration,
        now: Millis,
    ) -> Option<(Millis, TickInfo)> {
        let fingerprint = &declared.fingerprint;
        let first = current.as_ref().is_none_or(|cursor| !cursor.was(fingerprint));
        let cursor = current.get_or_insert_with(|| Self::new(now, fingerprint.clone()));
        if cursor.fingerprint != *fingerprint {
            cursor.redeclare(fingerprint, now);
        }
        let past = declared.instant.filter(|instant| first && *instant <= now)?;
        let missed = TickInfo::passed(past.timestamp(), past.timestamp(), 1, Verdict::Missed);
        cursor.advance([&missed]);
        Some((past, missed))
    }

    fn redeclare(&mut self, fingerprint: &Arc<str>, now: Millis) {
        let former = std::mem::replace(&mut self.fingerprint, fingerprint.clone());
        self.superseded.retain(|other| other != fingerprint);
        self.superseded.push_back(former);
        if self.superseded.len() > SUPERSEDED {
            self.superseded.pop_front();
        }
        self.cursor = self.cursor.max(now);
        self.waiting = None;
    }

    /// Moves on to the last of these verdicts.
    pub fn advance<'a>(&mut self, verdicts: impl IntoIterator<Item = &'a TickInfo>) {
        for verdict in verdicts {
            self.cursor = self.cursor.max(verdict.last.into());
        }
        if self.waiting.is_some_and(|tick| tick <= self.cursor) {
            self.waiting = None;
        }
    }

    /// Sets a cursor back that is ahead of the store's clock.
    pub fn set_back(&mut self, now: Millis) {
        self.cursor = now;
        self.waiting = None;
        self.last_fire = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(fingerprint: &str, instant: Option<i64>) -> Declaration {
        Declaration {
            text: "".into(),
            tz: "UTC".into(),
            fingerprint: fingerprint.into(),
            instant: instant.map(Millis),
        }
    }

    #[test]
    fn a_declaration_that_was_never_seen_takes_over() {
        let mut cursor = None;
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("a", None)), Claim::Takes);
        Cursor::declare(&mut cursor, &declared("a", None), Millis(5));
        assert_eq!(cursor.as_ref().map(Cursor::state), Some(Cursor::new(Millis(5), "a".into()).state()));
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("a", None)), Claim::InForce);
        Cursor::declare(&mut cursor, &declared("b", None), Millis(3));
        let state = cursor.as_ref().map(Cursor::state).unwrap_or_else(|| panic!("it is there"));
        assert_eq!((state.cursor, &*state.fingerprint), (Millis(5), "b"), "a cursor only grows");
    }

    #[test]
    fn a_rollback_takes_over_once_the_newer_one_is_abandoned() {
        let mut cursor = Some(Cursor::new(Millis(0), "a".into()));
        Cursor::declare(&mut cursor, &declared("b", None), Millis(1));
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("a", None)), Claim::TakesIfAbandoned);
        Cursor::declare(&mut cursor, &declared("a", None), Millis(2));
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("b", None)), Claim::TakesIfAbandoned);
    }

    #[test]
    fn a_hundred_declarations_are_known_again() {
        let mut cursor = None;
        for n in 0..=101 {
            Cursor::declare(&mut cursor, &declared(&n.to_string(), None), Millis(n));
        }
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("1", None)), Claim::TakesIfAbandoned);
        assert_eq!(Cursor::claim(cursor.as_ref(), &declared("0", None)), Claim::Takes, "one too many");
    }

    #[test]
    fn an_instant_that_was_past_when_first_seen_is_missed() {
        let mut cursor = None;
        let missed = Cursor::declare(&mut cursor, &declared("a", Some(5)), Millis(5));
        assert_eq!(missed.map(|(at, info)| (at, info.verdict)), Some((Millis(5), Verdict::Missed)));
        Cursor::declare(&mut cursor, &declared("b", None), Millis(6));
        assert_eq!(
            Cursor::declare(&mut cursor, &declared("a", Some(5)), Millis(7)),
            None,
            "it was seen before"
        );
        assert_eq!(
            Cursor::declare(&mut None, &declared("a", Some(6)), Millis(5)),
            None,
            "it is still to come"
        );
    }

    #[test]
    fn a_tick_waits_until_the_cursor_has_passed_it() {
        let mut cursor = Cursor { waiting: Some(Millis(10)), ..Cursor::new(Millis(0), "a".into()) };
        let to =
            |at: i64| TickInfo::passed(Millis(at).timestamp(), Millis(at).timestamp(), 1, Verdict::Missed);
        cursor.advance([&to(9)]);
        assert_eq!((cursor.cursor, cursor.waiting), (Millis(9), Some(Millis(10))));
        cursor.advance([&to(4), &to(10)]);
        assert_eq!((cursor.cursor, cursor.waiting), (Millis(10), None));
    }

    #[test]
    fn a_cursor_never_goes_back_by_itself() {
        let to =
            |at: i64| TickInfo::passed(Millis(at).timestamp(), Millis(at).timestamp(), 1, Verdict::Missed);
        let mut cursor = Cursor::new(Millis(10), "a".into());
        cursor.advance([&to(4)]);
        assert_eq!(cursor.cursor, Millis(10));
    }

    #[test]
    fn a_changed_declaration_has_no_tick_that_waits() {
        let mut cursor = Some(Cursor { waiting: Some(Millis(10)), ..Cursor::new(Millis(0), "a".into()) });
        Cursor::declare(&mut cursor, &declared("a", None), Millis(20));
        let state = cursor.as_ref().map(Cursor::state);
        assert_eq!(state.map(|state| (state.cursor, state.waiting)), Some((Millis(0), Some(Millis(10)))));
        Cursor::declare(&mut cursor, &declared("b", None), Millis(20));
        let state = cursor.as_ref().map(Cursor::state);
        assert_eq!(state.map(|state| (state.cursor, state.waiting)), Some((Millis(20), None)));
    }

    #[test]
    fn a_cursor_that_is_set_back_remembers_nothing_of_the_future() {
        let mut cursor = Cursor { waiting: Some(Millis(90)), ..Cursor::new(Millis(80), "a".into()) };
        cursor.last_fire = Some((Millis(80), RunId::new(1), None));
        cursor.set_back(Millis(5));
        assert_eq!(cursor, Cursor::new(Millis(5), "a".into()));
    }
}
