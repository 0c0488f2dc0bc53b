//! What becomes of an item after an attempt that did not end well (DESIGN §6, "Attempts and crashes").

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{FailureKind, Header, Millis, Undecodable};

/// An item is dead as poison when more nodes than this died holding it as a suspect.
pub const MAX_CRASHES: u32 = 3;

/// An item that no live build can decode is dead after this long: a deploy has until then to bring one that can.
pub const UNDECODABLE_AFTER: Duration = Duration::from_secs(15 * 60);

/// What becomes of an item whose node died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCrash {
    /// It is ready at once, uncharged, and a suspect from now on.
    Suspect,
    /// It is ready at once, charged with a crash: it was held alone.
    Charged,
    /// It is dead.
    Poison,
}

/// What becomes of an item that a node held when it died. A suspect was alone under suspicion, so it is charged.
#[must_use]
pub fn after_crash(header: &Header) -> AfterCrash {
    match (header.suspect, header.crashes) {
        (false, _) => AfterCrash::Suspect,
        (true, crashes) if crashes < MAX_CRASHES => AfterCrash::Charged,
        (true, _) => AfterCrash::Poison,
    }
}

/// Whether an attempt that failed is followed by another: `attempts` were counted, the failed one included.
#[must_use]
pub fn after_failure(kind: FailureKind, attempts: u32, retries: u32) -> bool {
    kind != FailureKind::Fatal && attempts <= retries
}

/// Whether every live build that links the job has failed to decode the item, for long enough. A time of the future says
/// only that the store's clock was wrong then: that may have been long ago.
#[must_use]
pub fn is_undecodable(failed: &Undecodable, live: &BTreeSet<Arc<str>>, now: Millis) -> bool {
    let long_ago = now.since(failed.since) >= UNDECODABLE_AFTER;
    let of_the_future = failed.since.since(now) > UNDECODABLE_AFTER;
    (long_ago || of_the_future) && !live.is_empty() && live.iter().all(|build| failed.builds.contains(build))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_attempts_after_the_first() {
        assert!(!after_failure(FailureKind::Error, 1, 0));
        assert!(after_failure(FailureKind::Panic, 3, 3));
        assert!(!after_failure(FailureKind::Timeout, 4, 3));
        assert!(!after_failure(FailureKind::Fatal, 1, 3), "a fatal error is not tried again");
    }

    #[test]
    fn an_item_waits_for_a_build_that_can_decode_it() {
        let failed =
            Undecodable { since: Millis(0), builds: vec!["1".into(), "2".into()], message: String::new() };
        let live = |builds: &[&str]| builds.iter().map(|b| Arc::from(*b)).collect();
        let late = Millis(0) + UNDECODABLE_AFTER;
        assert!(is_undecodable(&failed, &live(&["1", "2"]), late));
        assert!(!is_undecodable(&failed, &live(&["1", "2"]), late - Duration::from_millis(1)));
        assert!(!is_undecodable(&failed, &live(&["1", "3"]), late), "build 3 has not tried");
        let soon = Millis(0) - UNDECODABLE_AFTER;
        let future = soon - Duration::from_millis(1);
        assert!(!is_undecodable(&failed, &live(&["1", "2"]), soon), "it is a little ahead, and waits");
        assert!(
            is_undecodable(&failed, &live(&["1", "2"]), future),
            "nobody waits for a clock of the future"
        );
        assert!(!is_undecodable(&failed, &live(&[]), late), "nobody is there to decode it");
    }
}
