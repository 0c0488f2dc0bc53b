//! What a node had to put up with, and when.

use std::collections::BTreeMap;

use jobs_core::{Millis, SessionId};

use crate::log::{Build, Change, Entry, Fault, What};

/// What each node had to put up with, in virtual milliseconds.
#[derive(Default)]
pub(super) struct Nodes {
    nodes: BTreeMap<usize, Node>,
    /// The store's clock: from when on it is this much ahead of virtual time, and the steps.
    pub(super) steps: Vec<(u64, i64)>,
}

#[derive(Default)]
struct Node {
    session: Option<SessionId>,
    /// Since when something is in force.
    since: BTreeMap<&'static str, u64>,
    troubles: Vec<(u64, u64)>,
    /// Starts, each with what it ran.
    starts: Vec<(u64, Build)>,
}

impl Nodes {
    pub(super) fn note(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.what {
            What::ClockStep(by) => self.steps.push((at, *by)),
            What::Fault { node, until, fault, .. } => {
                let until = if matches!(fault, Fault::CutOff | Fault::Unanswered) { at } else { *until };
                // Whoever lost an answer asks again after a while.
                self.nodes.entry(*node).or_default().troubles.push((at, until + 1_500));
            }
            What::Node { node, change } => {
                let node = self.nodes.entry(*node).or_default();
                match change {
                    Change::Up { session, build } => {
                        node.session = Some(*session);
                        node.starts.push((at, *build));
                        node.end("down", at);
                    }
                    Change::Crashed { .. } | Change::ShuttingDown => {
                        node.session = None;
                        node.since.insert("down", at);
                    }
                    Change::Down { .. } => {}
                    Change::Frozen => drop(node.since.insert("frozen", at)),
                    Change::Thawed => node.end("frozen", at),
                    Change::Cut => drop(node.since.insert("cut", at)),
                    Change::Joined => node.end("cut", at),
                }
            }
            _ => {}
        }
    }

    /// Whether a session belongs to a node that is up and had no trouble for so long.
    pub(super) fn is_well(&self, session: SessionId, at: u64, since: u64) -> bool {
        let node = self.nodes.values().find(|node| node.session == Some(session));
        node.is_some_and(|node| node.is_well(since, at)) && !self.stepped(since, at)
    }

    /// Whether a session's process runs.
    pub(super) fn is_up(&self, session: SessionId) -> bool {
        self.nodes.values().any(|node| node.session == Some(session))
    }

    pub(super) fn is_frozen(&self, session: SessionId) -> bool {
        let node = self.nodes.values().find(|node| node.session == Some(session));
        node.is_some_and(|node| node.since.contains_key("frozen"))
    }

    /// Whether some node was up and without trouble all the while.
    pub(super) fn some_is_well(&self, from: u64, to: u64) -> Option<usize> {
        let well = |node: &Node| {
            node.starts.iter().rev().find(|(at, _)| *at <= to).is_some_and(|(at, _)| *at <= from)
                && node.is_well(from, to)
        };
        self.nodes.iter().find(|(_, node)| well(node)).map(|(node, _)| *node)
    }

    pub(super) fn stepped(&self, from: u64, to: u64) -> bool {
        self.steps.iter().any(|(at, _)| (from..=to).contains(at))
    }

    /// By how much the clock went back in all.
    pub(super) fn back(&self) -> i64 {
        self.steps.iter().map(|(_, by)| (-by).max(0)).sum()
    }

    /// When the store's clock first reached an instant, in virtual time; `None` if a step went over it.
    pub(super) fn reached(&self, start: Millis, instant: Millis) -> Option<u64> {
        let mut ahead = 0;
        let ends = self.steps.iter().map(|(at, _)| *at).chain([u64::MAX]);
        let steps = [(0, 0)].into_iter().chain(self.steps.iter().copied());
        for ((from, by), to) in steps.zip(ends) {
            ahead += by;
            let Ok(at) = u64::try_from(instant.0 - start.0 - ahead) else { return None };
            if at < from {
                return None;
            }
            if at <= to {
                return Some(at);
            }
        }
        None
    }
}

impl Node {
    fn end(&mut self, what: &'static str, at: u64) {
        if let Some(since) = self.since.remove(what) {
            self.troubles.push((since, at + 1_500));
        }
    }

    fn is_well(&self, from: u64, to: u64) -> bool {
        !self.troubles.iter().any(|(since, until)| *since <= to && *until >= from)
            && !self.since.values().any(|since| *since <= to)
    }
}
