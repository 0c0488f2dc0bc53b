//! One session: whether it lives, what a beat renews, and when it may take over from others.

use std::{sync::Arc, time::Duration};

use crate::{Attach, Beat, Millis, Node, SessionId};

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// How long it lives without a beat.
    pub lease: Duration,
    /// Alive until then, if no beat comes.
    pub until: Millis,
    /// Since when it has been connected without a break: it takes over from nobody during its first lease.
    pub connected_at: Millis,
    /// The process.
    pub node: Node,
    /// The instants that were past when it opened, for a repeat.
    pub past: Vec<(Arc<str>, Millis)>,
}

impl Session {
    /// What `until` is for a session that has left: it leases nothing, and what it still holds goes back uncharged.
    pub const LEFT: Millis = Millis::MIN;
    /// What `until` is for a session whose process is gone for certain.
    pub const GONE: Millis = Millis(0);

    /// A session as it is after an attach; `known`: as it was before.
    #[must_use]
    pub fn open(known: Option<&Self>, attach: &Attach, past: Vec<(Arc<str>, Millis)>, now: Millis) -> Self {
        let connected = known.filter(|known| known.is_alive(now));
        Self {
            id: attach.session,
            lease: attach.lease,
            until: now + attach.lease,
            connected_at: connected.map_or(now, |known| known.connected_at.min(now)),
            node: attach.node.clone(),
            past,
        }
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_alive(&self, now: Millis) -> bool {
        now <= self.until
    }

    /// Whether it has left, and is only there because of what it held: a beat of it that comes late is answered as if it
    /// were not there.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.until == Self::LEFT
    }

    /// Renews it. Returns whether it had expired: while it had, it was given nothing, and now it may ask again. A session
    /// that was not heard of for a lease was cut off, whatever it says.
    pub fn renew(&mut self, beat: &Beat, now: Millis) -> bool {
        let expired = !self.is_alive(now);
        if beat.reconnected || expired {
            self.connected_at = now;
        }
        self.connected_at = self.connected_at.min(now);
        self.until = now + self.lease;
        expired
    }

    /// Whether it may take over from others: not before it has been connected for one lease of its own, so that an
    /// outage of the store by itself gives nobody's work to others.
    #[must_use]
    pub fn may_reap(&self, now: Millis) -> bool {
        self.is_alive(now) && now.since(self.connected_at) >= self.lease
    }

    /// Whether it ends later than a beat of now would make it end: a clock of the future has renewed it. Then that is
    /// set right: it lives for one lease from now.
    pub fn set_right(&mut self, now: Millis) -> bool {
        let ahead = self.until > now + self.lease;
        if ahead {
            self.until = now + self.lease;
        }
        ahead
    }

    /// Whether a lease that a beat does not name is an orphan: the answer that carried a young one may still be on its
    /// way, and so may the beat.
    #[must_use]
    pub fn is_orphan(&self, granted_at: Millis, beat: &Beat, now: Millis) -> bool {
        let as_of = beat.as_of.min(now);
        as_of.since(granted_at) > self.lease || granted_at > now + self.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(100);

    fn session(now: i64) -> Session {
        let attach = Attach {
            session: SessionId(1),
            lease: LEASE,
            node: Node::default(),
            links: Vec::new(),
            gone: Vec::new(),
        };
        Session::open(None, &attach, Vec::new(), Millis(now))
    }

    fn beat(reconnected: bool) -> Beat {
        Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected }
    }

    #[test]
    fn a_session_lives_for_its_lease_and_a_beat_renews_it() {
        let mut session = session(0);
        assert!(session.is_alive(Millis(100)) && !session.is_alive(Millis(101)));
        assert!(!session.renew(&beat(false), Millis(100)));
        assert!(session.is_alive(Millis(200)));
        assert!(session.renew(&beat(false), Millis(201)), "it had expired, and nobody took it for dead");
        assert_eq!(session.connected_at, Millis(201), "so it was cut off");
    }

    #[test]
    fn nobody_is_reaped_during_the_first_lease_after_a_connection() {
        let mut session = session(0);
        assert!(!session.may_reap(Millis(99)) && session.may_reap(Millis(100)));
        session.renew(&beat(true), Millis(100));
        assert!(!session.may_reap(Millis(199)) && session.may_reap(Millis(200)));
        assert!(!session.may_reap(Millis(201)), "it has expired itself");
    }

    #[test]
    fn a_repeated_attach_does_not_begin_the_first_lease_anew() {
        let known = session(0);
        let attach = Attach {
            session: SessionId(1),
            lease: LEASE,
            node: Node::default(),
            links: Vec::new(),
            gone: Vec::new(),
        };
        assert_eq!(Session::open(Some(&known), &attach, Vec::new(), Millis(60)).connected_at, Millis(0));
        assert_eq!(Session::open(Some(&known), &attach, Vec::new(), Millis(160)).connected_at, Millis(160));
    }

    #[test]
    fn no_session_outlives_a_clock_of_the_future() {
        let mut session = session(1_000_000);
        assert!(session.set_right(Millis(0)));
        assert!(session.is_alive(Millis(100)) && !session.is_alive(Millis(101)));
        assert!(!session.set_right(Millis(0)), "it is right");
        let mut session = self::session(1_000_000);
        session.renew(&beat(false), Millis(0));
        assert!(!session.is_alive(Millis(101)), "a beat sets it right too");
        assert!(session.may_reap(Millis(100)), "and it takes over again after a lease");
    }

    #[test]
    fn a_lease_that_nobody_knows_of_is_an_orphan_once_it_is_old() {
        let session = session(0);
        let beat = |as_of| Beat { as_of: Millis(as_of), ..beat(false) };
        assert!(!session.is_orphan(Millis(0), &beat(500), Millis(100)));
        assert!(session.is_orphan(Millis(0), &beat(500), Millis(101)));
        assert!(!session.is_orphan(Millis(0), &beat(50), Millis(500)), "the beat was long on its way");
        assert!(
            session.is_orphan(Millis(1_000_000), &beat(0), Millis(0)),
            "it was granted by a clock of the future"
        );
    }

    #[test]
    fn a_session_that_has_left_is_neither_alive_nor_gone_for_certain() {
        let left = Session { until: Session::LEFT, ..session(0) };
        assert!(left.has_left() && !left.is_alive(Millis(0)));
        let gone = Session { until: Session::GONE, ..session(0) };
        assert!(!gone.has_left() && !gone.is_alive(Millis(1)));
    }
}
