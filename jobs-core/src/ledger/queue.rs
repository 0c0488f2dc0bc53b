//! Ready queues: chunks of which all may be leased to the same sessions, so that the first of each speaks for it.

use crate::{FORMAT, Header, Stage};

/// Why chunks of one job stand in different queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum QueueKind {
    /// Fill and finish items: they count against no limit of the job.
    Control = 0,
    /// Items of the job.
    Work = 1,
    /// Items that a dead node held: one at a time, one per session.
    Suspect = 2,
    /// Items that certain builds could not decode.
    Aside = 3,
    /// Chunks of a newer format: for nobody here.
    Newer = 4,
    /// What a query has found so far.
    Staged = 5,
    /// What is for nobody any more, and still to be deleted.
    Dropped = 6,
}

impl QueueKind {
    /// The kind with this number; a number that this version does not know is for nobody here.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Control,
            1 => Self::Work,
            2 => Self::Suspect,
            3 => Self::Aside,
            5 => Self::Staged,
            6 => Self::Dropped,
            _ => Self::Newer,
        }
    }
}

/// What tells the queues of a job apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    /// Its kind.
    pub kind: QueueKind,
    /// The run that the items belong to; 0 for what is not kept apart by run.
    pub run: u64,
    /// The builds that could not decode the items, as a JSON array; empty for other kinds.
    pub builds: String,
}

impl QueueKey {
    /// Of the queue that a chunk belongs in.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let kind = match header {
            Header { format, .. } if *format > FORMAT => QueueKind::Newer,
            Header { undecodable: Some(_), .. } => QueueKind::Aside,
            Header { suspect: true, .. } => QueueKind::Suspect,
            Header { stage: Stage::Work, .. } => QueueKind::Work,
            _ => QueueKind::Control,
        };
        let run = if kind == QueueKind::Work && !header.tracked { header.number } else { 0 };
        let builds = match &header.undecodable {
            // A list of strings is always JSON.
            Some(failed) if kind == QueueKind::Aside => {
                serde_json::to_string(&failed.builds).unwrap_or_default()
            }
            _ => String::new(),
        };
        Self { kind, run, builds }
    }

    /// The same, not kept apart by run.
    #[must_use]
    pub fn of_job(self) -> Self {
        Self { run: 0, ..self }
    }

    /// Whether nothing of this queue is for that build.
    #[must_use]
    pub fn excludes(&self, build: &str) -> bool {
        match self.kind {
            QueueKind::Control | QueueKind::Work | QueueKind::Suspect => false,
            QueueKind::Aside => {
                // Builds that cannot be read may be any.
                let builds = serde_json::from_str::<Vec<String>>(&self.builds);
                builds.map_or(true, |builds| builds.iter().any(|failed| failed == build))
            }
            QueueKind::Newer | QueueKind::Staged | QueueKind::Dropped => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Millis, ledger::sample};

    fn header() -> Header {
        sample::header(9, Millis(0))
    }

    fn key(header: &Header) -> (QueueKind, u64) {
        let key = QueueKey::of(header);
        (key.kind, key.run)
    }

    #[test]
    fn items_stand_apart_by_who_may_have_them() {
        let mut failed = header();
        failed.not_decoded(&"one".into(), "no", Millis(0));
        failed.suspect = true;
        assert_eq!(key(&header()), (QueueKind::Work, 9));
        assert_eq!(key(&Header { tracked: true, ..header() }), (QueueKind::Work, 0));
        assert_eq!(key(&Header { stage: Stage::Fill, ..header() }), (QueueKind::Control, 0));
        assert_eq!(key(&Header { stage: Stage::Finish, ..header() }), (QueueKind::Control, 0));
        assert_eq!(key(&Header { suspect: true, ..header() }), (QueueKind::Suspect, 0));
        assert_eq!(key(&failed), (QueueKind::Aside, 0));
        assert_eq!(key(&Header { format: FORMAT + 1, ..failed }), (QueueKind::Newer, 0));
    }

    #[test]
    fn what_a_build_could_not_decode_is_for_other_builds() {
        let mut failed = header();
        failed.not_decoded(&"one".into(), "no", Millis(0));
        failed.not_decoded(&"two".into(), "no", Millis(0));
        let key = QueueKey::of(&failed);
        assert!(key.excludes("one") && key.excludes("two") && !key.excludes("three"));
        assert!(QueueKey { builds: "[".into(), ..key }.excludes("three"), "nobody knows which");
        assert!(!QueueKey::of(&header()).excludes("one"));
    }

    #[test]
    fn a_kind_that_is_not_known_is_for_nobody() {
        for kind in
            [QueueKind::Control, QueueKind::Work, QueueKind::Suspect, QueueKind::Aside, QueueKind::Newer]
        {
            assert_eq!(QueueKind::from_number(kind as i64), kind);
        }
        let unknown = QueueKey { kind: QueueKind::from_number(99), run: 0, builds: String::new() };
        assert!(unknown.excludes("one"));
    }

    #[test]
    fn what_is_staged_or_dropped_is_for_nobody() {
        for kind in [QueueKind::Staged, QueueKind::Dropped] {
            assert_eq!(QueueKind::from_number(kind as i64), kind);
            assert!(QueueKey { kind, run: 9, builds: String::new() }.excludes("one"));
        }
        let key = QueueKey::of(&header());
        assert_eq!((key.run, key.clone().of_job()), (9, QueueKey { run: 0, ..key }));
    }
}
