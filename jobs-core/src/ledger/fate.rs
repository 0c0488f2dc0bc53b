//! How items go on after an attempt of them has ended.

use crate::{AfterCrash, End, Failure, FailureKind, Header, Millis, Stage, after_crash};

/// What becomes of items.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// They are stored again under this header: ready if they are due, or else until their time has come. `changed` says
    /// whether the header is another one than before.
    Stored {
        /// The header.
        header: Box<Header>,
        /// Whether it differs from the one they had.
        changed: bool,
    },
    /// They are dead: kept with their failed attempts.
    Dead,
    /// They have ended. If attempts of them may have failed before, those are forgotten, and otherwise nothing is: a query has
    /// the number of the first item that it found.
    Ended {
        /// Whether attempts may have failed before.
        failed_before: bool,
    },
}

/// What becomes of items whose attempt ended so, and how that is counted, with texts that are cut. `cancelled`: whether
/// their run was cancelled; nothing of it is tried again.
#[must_use]
pub fn fate(header: Header, mut end: End, cancelled: bool, now: Millis) -> (End, Fate) {
    end.cut();
    let goes_on = matches!(end, End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_));
    let end = if cancelled && goes_on { End::Cancelled } else { end };
    let fate = match &end {
        End::Retry { at, wait, .. } => {
            let header = Header { attempt: header.attempt.saturating_add(1), ..header };
            stored(waiting(header, *at, *wait, now))
        }
        End::Snooze { at, wait } => stored(waiting(header, *at, *wait, now)),
        End::Back => {
            let due = header.due.min(now);
            let changed = due != header.due || header.waits_since.is_some();
            Fate::Stored { header: Box::new(Header { due, waits_since: None, ..header }), changed }
        }
        End::Undecodable(_) => stored(Header { due: header.due.min(now), waits_since: None, ..header }),
        End::Dead(_) if header.stage == Stage::Work => Fate::Dead,
        // Only attempts of work are kept with its item: a query has the number of the first one.
        _ => Fate::Ended {
            failed_before: header.stage == Stage::Work && (header.attempt > 0 || header.crashes > 0),
        },
    };
    (end, fate)
}

fn stored(header: Header) -> Fate {
    Fate::Stored { header: Box::new(header), changed: true }
}

/// Items that are settled and wait: until `at`, but no longer than `wait` from now.
fn waiting(header: Header, at: Millis, wait: std::time::Duration, now: Millis) -> Header {
    let due = at.min(now + wait);
    let waits_since = (due > now).then_some(now);
    Header { due, waits_since, fresh: false, suspect: false, undecodable: None, ..header }
}

/// Marks items whose node died, and says whether they are dead now: then with what is said of them.
pub fn after_crash_of(header: &mut Header) -> Option<String> {
    let fate = after_crash(header);
    header.redelivered = header.redelivered.saturating_add(1);
    match fate {
        AfterCrash::Suspect => header.suspect = true,
        AfterCrash::Charged => header.crashes += 1,
        AfterCrash::Poison => return Some(poison_message(header.redelivered)),
    }
    None
}

/// What is said of an item that nodes died holding.
#[must_use]
pub fn poison_message(deaths: u32) -> String {
    format!("{deaths} nodes died holding it, the last ones with nothing else under suspicion")
}

impl Failure {
    /// Of an item that a store ends: because nobody can decode it, or because it kills its nodes.
    #[must_use]
    pub fn of_store(kind: FailureKind, message: String, header: &Header, node: &str, now: Millis) -> Self {
        let mut failure = Self::new(kind, message, now.timestamp());
        failure.attempt = header.attempt.saturating_add(1);
        node.clone_into(&mut failure.node);
        failure
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::sample;

    const NOW: Millis = Millis(1_000);

    fn header() -> Header {
        sample::header(1, Millis(900))
    }

    fn failure() -> Box<Failure> {
        Box::new(Failure::new(FailureKind::Error, "no", NOW.timestamp()))
    }

    fn after(header: Header, end: End) -> Header {
        match fate(header, end, false, NOW) {
            (_, Fate::Stored { header, .. }) => *header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failed_attempt_is_counted_and_the_next_waits() {
        let wait = Duration::from_millis(50);
        let before = Header { suspect: true, ..header() };
        let next = after(before, End::Retry { at: Millis(1_040), wait, failure: failure() });
        assert_eq!((next.attempt, next.due, next.waits_since), (1, Millis(1_040), Some(NOW)));
        assert!(!next.fresh && !next.suspect, "its first attempt is settled, and its node lives");
        let snoozed = after(header(), End::Snooze { at: Millis(1_040), wait });
        assert_eq!((snoozed.attempt, snoozed.due, snoozed.fresh), (0, Millis(1_040), false));
    }

    #[test]
    fn nothing_waits_longer_than_it_was_meant_to() {
        let (at, wait) = (Millis(i64::MAX / 2), Duration::from_millis(50));
        assert_eq!(after(header(), End::Snooze { at, wait }).due, Millis(1_050));
        assert_eq!(after(header(), End::Retry { at, wait, failure: failure() }).due, Millis(1_050));
    }

    #[test]
    fn what_goes_back_is_ready_at_once_whatever_clock_stored_it() {
        let of_the_future = Header { due: Millis(i64::MAX / 2), ..header() };
        assert_eq!(after(of_the_future.clone(), End::Back).due, NOW);
        assert_eq!(after(of_the_future, End::Undecodable("no".into())).due, NOW);
        let (_, fate) = fate(header(), End::Back, false, NOW);
        assert_eq!(
            fate,
            Fate::Stored { header: Box::new(header()), changed: false },
            "it stands where it stood"
        );
    }

    #[test]
    fn nothing_of_a_cancelled_run_is_tried_again() {
        let wait = Duration::ZERO;
        let ends = [
            End::Retry { at: NOW, wait, failure: failure() },
            End::Snooze { at: NOW, wait },
            End::Back,
            End::Undecodable("no".into()),
        ];
        for end in ends {
            let (end, fate) = fate(header(), end, true, NOW);
            assert_eq!((end, fate), (End::Cancelled, Fate::Ended { failed_before: false }));
        }
        assert_eq!(fate(header(), End::Done(None), true, NOW).0, End::Done(None), "what is done is done");
        assert_eq!(fate(header(), End::Dead(failure()), true, NOW).1, Fate::Dead);
    }

    #[test]
    fn what_is_said_of_an_end_is_cut() {
        let long = "x".repeat(1 << 20);
        let failure = || Box::new(Failure { message: long.clone(), ..*failure() });
        let ends = [
            End::Retry { at: NOW, wait: Duration::ZERO, failure: failure() },
            End::Dead(failure()),
            End::Discarded(long.clone()),
            End::Undecodable(long.clone()),
        ];
        for end in ends {
            let (end, _) = fate(header(), end, false, NOW);
            let text = match &end {
                End::Retry { failure, .. } | End::Dead(failure) => &failure.message,
                End::Discarded(text) | End::Undecodable(text) => text,
                other => panic!("{other:?}"),
            };
            assert!(
                text.len() <= crate::MAX_TEXT && text.ends_with("(cut, 1,048,576 bytes in all)"),
                "{end:?}"
            );
        }
    }

    #[test]
    fn items_die_and_queries_fail() {
        assert_eq!(fate(header(), End::Dead(failure()), false, NOW).1, Fate::Dead);
        let query = Header { stage: Stage::Fill, attempt: 2, ..header() };
        let (_, ended) = fate(query, End::Dead(failure()), false, NOW);
        assert_eq!(
            ended,
            Fate::Ended { failed_before: false },
            "it has the number of an item, and not its attempts"
        );
        let work = Header { attempt: 2, ..header() };
        let (_, ended) = fate(work, End::Done(None), false, NOW);
        assert_eq!(ended, Fate::Ended { failed_before: true });
    }

    #[test]
    fn an_item_is_poison_when_the_fourth_node_died_holding_it_alone() {
        let mut header = header();
        assert_eq!(after_crash_of(&mut header), None);
        assert!(header.suspect && header.crashes == 0, "the first death says nothing of it");
        for crashes in 1..=3 {
            assert_eq!(after_crash_of(&mut header), None);
            assert_eq!(header.crashes, crashes);
        }
        assert_eq!(after_crash_of(&mut header), Some(poison_message(5)));
    }
}
