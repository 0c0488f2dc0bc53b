//! How often a call was tried that the store has not answered, and whether it is too much for it.

use std::time::Duration;

use crate::node::Node;

/// A call that was not answered so often, although the store answers others, carries too much.
const TOO_OFTEN: u32 = 3;
/// A call is tried again after this long at first, and at last.
const FIRST: Duration = Duration::from_millis(10);
const LAST: Duration = Duration::from_secs(1);

/// The tries of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    /// When it was made first, by this machine's uptime.
    began: Duration,
    most: u32,
    failures: u32,
    wait: Duration,
}

impl Tries {
    /// Those of a call that is made first at this uptime.
    pub(crate) fn from(began: Duration) -> Self {
        Self { began, most: TOO_OFTEN, failures: 0, wait: FIRST }
    }

    /// The same for what was part of a call that was too much: it has one try.
    pub(crate) fn of_a_part(began: Duration) -> Self {
        Self { most: 1, ..Self::from(began) }
    }

    /// The store has not answered.
    pub(crate) fn failed(&mut self) {
        self.failures += 1;
    }

    /// Whether one try at least was not answered: the call may have been done all the same.
    pub(crate) fn have_failed(&self) -> bool {
        self.failures > 0
    }

    /// How many there were beyond those after which the call is too much.
    pub(crate) fn beyond(&self) -> u32 {
        self.failures.saturating_sub(self.most)
    }

    /// Whether the call is too much for the store: it has failed so often, and others were answered since it was made
    /// first. If none was, the heartbeat is asked to try.
    pub(crate) fn are_too_many(&self, node: &Node) -> bool {
        let (often, answers) = (self.failures >= self.most, node.has_been_answered_since(self.began));
        if often && !answers {
            node.refresh.notify_one();
        }
        often && answers
    }

    /// Waits before the next one, longer each time.
    pub(crate) async fn rest(&mut self, node: &Node) {
        node.env.sleep(node.env.about(self.wait)).await;
        self.wait = (self.wait * 2).min(LAST);
    }
}
