//! Verdict records of ticks: neighbours that say the same are one.

use crate::TickInfo;

/// Merges new verdicts with the last record that is stored, if there is one. Returns what that record becomes, if it
/// changes, and the records that are added behind it.
#[must_use]
pub fn merged(
    last: Option<TickInfo>,
    verdicts: impl IntoIterator<Item = TickInfo>,
) -> (Option<TickInfo>, Vec<TickInfo>) {
    let (mut last, mut changed, mut added) = (last, false, Vec::<TickInfo>::new());
    for verdict in verdicts {
        let before = if added.is_empty() { last.as_mut() } else { added.last_mut() };
        match before.map(|before| before.merge(&verdict)) {
            Some(true) => changed |= added.is_empty(),
            _ => added.push(verdict),
        }
    }
    (last.filter(|_| changed), added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Millis, RunId, SkipReason, Verdict};

    fn passed(at: i64, verdict: Verdict) -> TickInfo {
        TickInfo::passed(Millis(at).timestamp(), Millis(at).timestamp(), 1, verdict)
    }

    #[test]
    fn neighbours_that_say_the_same_are_one_record() {
        let (missed, skipped) = (Verdict::Missed, Verdict::Skipped(SkipReason::Overlap));
        let fired = TickInfo::fired(Millis(4).timestamp(), Verdict::Fired, RunId::new(1));
        let (last, added) = merged(
            Some(passed(0, missed)),
            [passed(1, missed), passed(2, skipped), passed(3, skipped), fired.clone(), fired.clone()],
        );
        assert_eq!(last.map(|last| (last.count, last.last)), Some((2, Millis(1).timestamp())));
        assert_eq!(
            added.iter().map(|info| info.count).collect::<Vec<_>>(),
            [2, 1, 1],
            "what fired stands alone"
        );
    }

    #[test]
    fn a_record_that_grows_is_written_again() {
        let (last, added) = merged(Some(passed(0, Verdict::Missed)), [passed(1, Verdict::Missed)]);
        assert_eq!((last.map(|last| last.count), added.len()), (Some(2), 0));
    }

    #[test]
    fn a_record_that_does_not_change_is_not_written_again() {
        let (last, added) =
            merged(Some(passed(0, Verdict::Missed)), [passed(1, Verdict::Skipped(SkipReason::Paused))]);
        assert_eq!((last, added.len()), (None, 1));
        assert_eq!(merged(None, []), (None, Vec::new()));
    }
}
