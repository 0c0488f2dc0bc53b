//! How much of what is first in a queue a session may lease.

use super::Room;
use crate::{Header, Lease, Link, Millis, STEP_RECORDS, Stage};

/// What is first in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What part of a run its items are.
    pub stage: Stage,
    /// Whether they were enqueued one by one.
    pub tracked: bool,
    /// Whether a node died holding them.
    pub suspect: bool,
    /// How many there are.
    pub count: u32,
}

/// Items of a job in flight over all live sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// All of them.
    pub all: u32,
    /// Those of runs: what was enqueued one by one is not exclusive.
    pub of_runs: u32,
}

impl Head {
    /// Of a chunk.
    #[must_use]
    pub fn of(header: &Header, count: u32) -> Self {
        Self { stage: header.stage, tracked: header.tracked, suspect: header.suspect, count }
    }

    /// How many are leased together at the most: a suspect alone, and so an item that is no work.
    #[must_use]
    pub fn alike(&self) -> u32 {
        if self.stage != Stage::Work || self.suspect { self.count.min(1) } else { self.count }
    }

    /// Whether what is in flight has to be counted before some of it is leased.
    #[must_use]
    pub fn is_limited(&self, link: &Link) -> bool {
        self.stage == Stage::Work && link.is_limited()
    }
}

/// How many items of a head may be leased: what there is room for in the session, and over all sessions.
pub fn share(room: &mut Room<'_>, link: &Link, head: &Head, in_flight: InFlight) -> u32 {
    let mut n = room.left(link, head.stage).min(head.alike());
    if head.is_limited(link) {
        if let Some(limit) = link.global_concurrency {
            n = n.min(limit.saturating_sub(in_flight.all));
        }
        if link.exclusive() && !head.tracked {
            n = n.min(1_u32.saturating_sub(in_flight.of_runs));
        }
    }
    n
}

/// When a session asks again: at once, if it was granted as many leases as one step grants.
#[must_use]
pub fn next_due(granted: &[Lease], waits: Option<Millis>, now: Millis) -> Option<Millis> {
    if granted.len() >= STEP_RECORDS { Some(now) } else { waits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Overlap, Want};

    fn work(count: u32) -> Head {
        Head { stage: Stage::Work, tracked: false, suspect: false, count }
    }

    fn shared(link: &Link, head: Head, all: u32, of_runs: u32) -> u32 {
        let want = Want { slots: 100, jobs: Vec::new() };
        share(&mut Room::new(&want), link, &head, InFlight { all, of_runs })
    }

    #[test]
    fn a_session_gets_what_it_has_room_for() {
        let link = Link { query: true, concurrency: 7, ..Link::new("a.b") };
        assert_eq!(shared(&link, work(50), 1_000, 1_000), 7);
        assert_eq!(shared(&link, work(3), 0, 0), 3);
    }

    #[test]
    fn a_suspect_is_leased_alone_and_so_is_a_query() {
        let link = Link { query: true, concurrency: 7, ..Link::new("a.b") };
        assert_eq!(shared(&link, Head { suspect: true, ..work(50) }, 0, 0), 1);
        assert_eq!(shared(&link, Head { stage: Stage::Fill, ..work(1) }, 0, 0), 1);
    }

    #[test]
    fn a_limit_over_all_sessions_counts_what_is_in_flight() {
        let link = Link { query: true, concurrency: 7, global_concurrency: Some(5), ..Link::new("a.b") };
        assert_eq!(shared(&link, work(50), 2, 2), 3);
        assert_eq!(shared(&link, work(50), 9, 9), 0);
        let fill = Head { stage: Stage::Fill, ..work(1) };
        assert_eq!(shared(&link, fill, 9, 9), 1, "a query counts against no limit of its job");
    }

    #[test]
    fn runs_of_a_job_without_a_query_are_exclusive_unless_they_may_overlap() {
        let link = Link { concurrency: 7, ..Link::new("a.b") };
        assert_eq!(shared(&link, work(1), 0, 0), 1);
        assert_eq!(shared(&link, work(1), 1, 1), 0);
        assert_eq!(shared(&link, work(1), 1, 0), 1, "what was enqueued one by one is not exclusive");
        assert_eq!(shared(&link, Head { tracked: true, ..work(1) }, 1, 1), 1);
        let allowed = Link { overlap: Overlap::Allow, ..link };
        assert_eq!(shared(&allowed, work(1), 1, 1), 1);
    }
}
