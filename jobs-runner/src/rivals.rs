//! The other nodes that would fire the same ticks.
//!
//! Without an order, all nodes would ask the store for every tick of midnight in the same millisecond, and all but one
//! in vain. So each waits for its turn, which is long enough for the one before it to be done. That is a hint alone:
//! who is mistaken about the others asks too early, or a little late, and the store decides all the same.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs_core::{Millis, Node, SessionId, SessionRecord};
use jobs_schedule::rendezvous::weight;

use crate::lock::lock;

/// How long a node waits for each of those whose turn is before its own.
const TURN: Duration = Duration::from_millis(50);

/// The sessions that live and link the same, but this one.
#[derive(Debug, Default)]
pub(crate) struct Rivals(Mutex<Arc<[SessionId]>>);

impl Rivals {
    /// Takes the sessions that there are: those of the same build link the same.
    pub(crate) fn set(&self, sessions: &[SessionRecord], session: SessionId, node: &Node, now: Millis) {
        let same = sessions
            .iter()
            .filter(|other| other.session != session && other.node.build == node.build && other.until > now);
        *lock(&self.0) = same.map(|other| other.session).collect();
    }

    /// How long this session leaves a tick to those whose turn is before its own.
    pub(crate) fn wait(&self, session: SessionId, schedule: &str, tick: Millis) -> Duration {
        let rivals = lock(&self.0).clone();
        if rivals.is_empty() {
            return Duration::ZERO;
        }
        let tick = tick.timestamp();
        // Two of the same weight are told apart by their numbers.
        let turn = |session: SessionId| (weight(session.0, schedule, tick), session);
        let own = turn(session);
        let before = rivals.iter().filter(|rival| turn(**rival) > own).count();
        TURN * u32::try_from(before).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(session: u64, build: &str, until: i64) -> SessionRecord {
        let node = Node { build: build.into(), ..Node::default() };
        SessionRecord { session: SessionId(session), node, holds: 0, until: Millis(until) }
    }

    #[test]
    fn of_those_that_live_and_link_the_same_each_has_its_turn() {
        let sessions =
            [record(1, "a", 9), record(2, "a", 9), record(3, "a", 9), record(4, "b", 9), record(5, "a", 1)];
        for tick in 0..100 {
            let mut waits: Vec<_> = (1..=3)
                .map(|session| {
                    let rivals = Rivals::default();
                    rivals.set(&sessions, SessionId(session), &sessions[0].node, Millis(5));
                    rivals.wait(SessionId(session), "digest.send", Millis(tick))
                })
                .collect();
            waits.sort_unstable();
            assert_eq!(waits, [Duration::ZERO, TURN, TURN * 2]);
        }
    }

    #[test]
    fn who_is_alone_waits_for_nobody() {
        let rivals = Rivals::default();
        assert_eq!(rivals.wait(SessionId(1), "digest.send", Millis(0)), Duration::ZERO);
    }
}
