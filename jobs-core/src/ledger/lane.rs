//! Lanes: one numbered series of a session's calls, with one outstanding. A repeat is answered as the first was.

use serde::{Deserialize, Serialize};

use crate::{Lease, Millis, RunId, Settled, Token};

/// What the last call of a lane was answered; its leases are found by their tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The leases that it was granted.
    pub leases: Vec<Token>,
    lost: Vec<Token>,
    ended: Vec<u64>,
    next_due: Option<Millis>,
}

/// What a call is to its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is the next one.
    Next,
    /// It is the repeat of the last one.
    Repeat,
    /// It came late: one after it was answered, so nobody waits for its answer.
    Late,
}

impl Turn {
    /// Of the call `n`, when `last` was the last one.
    #[must_use]
    pub fn of(last: Option<u64>, n: u64) -> Self {
        match last {
            Some(last) if last == n => Self::Repeat,
            Some(last) if last > n => Self::Late,
            _ => Self::Next,
        }
    }
}

impl Lane {
    /// What is kept of an answer.
    #[must_use]
    pub fn of(settled: &Settled) -> Self {
        Self {
            leases: settled.leases.iter().map(|lease| lease.token).collect(),
            lost: settled.lost.clone(),
            ended: settled.ended.iter().map(|run| run.number()).collect(),
            next_due: settled.next_due,
        }
    }

    /// The same answer again, with those of its leases that are still held.
    #[must_use]
    pub fn repeated(&self, leases: Vec<Lease>) -> Settled {
        Settled {
            leases,
            lost: self.lost.clone(),
            ended: self.ended.iter().copied().map(RunId::new).collect(),
            next_due: self.next_due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_the_next_a_repeat_or_late() {
        assert_eq!(Turn::of(None, 1), Turn::Next);
        assert_eq!(Turn::of(Some(1), 2), Turn::Next);
        assert_eq!(Turn::of(Some(2), 2), Turn::Repeat);
        assert_eq!(Turn::of(Some(3), 2), Turn::Late);
    }

    #[test]
    fn a_repeat_is_answered_as_the_first_was() {
        let answer = Settled {
            leases: Vec::new(),
            lost: vec![Token(3)],
            ended: vec![RunId::new(9)],
            next_due: Some(Millis(5)),
        };
        let text = serde_json::to_string(&Lane::of(&answer)).unwrap_or_else(|error| panic!("{error}"));
        let read: Lane = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.repeated(Vec::new()), answer);
    }
}
