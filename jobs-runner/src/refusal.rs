//! What the store refuses, although it answers: it fails what it refers to, once, and nothing waits for it.

use jobs_core::{End, Failure, FailureKind, Millis, Settlement, StoreError};

/// Why the store refused a call. Repeated, the same call would be refused again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

/// How much of a reason is kept: it may quote what was refused.
const MOST: usize = 200;

impl Refusal {
    /// Of an error, if the store answered and refused.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Refused { message } => Some(Self::new(message)),
            _ => None,
        }
    }

    fn new(message: &str) -> Self {
        // What the store refused once may stand in its message: plain text is taken by every store.
        let plain = message.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
        Self(plain.take(MOST).collect())
    }

    /// What becomes of items whose end the store refused: they are dead, with the reason.
    pub(crate) fn instead(&self, settlement: &Settlement, node: &str, now: Millis) -> Settlement {
        let message = format!("the store refused what became of the attempt: {}", self.0);
        let mut failure = Failure::new(FailureKind::Fatal, message, now.timestamp());
        node.clone_into(&mut failure.node);
        Settlement { end: End::Dead(Box::new(failure)), ..settlement.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_is_no_outage_is_a_refusal() {
        let refused = StoreError::Refused { message: "invalid \u{0}byte \u{1f600}".into() };
        assert_eq!(Refusal::of(&refused), Some(Refusal("invalid byte ".into())));
        assert_eq!(Refusal::of(&StoreError::Unreachable { message: "no".into() }), None);
        assert_eq!(Refusal::of(&StoreError::Full { message: "no".into() }), None);
        let long = StoreError::Refused { message: "x".repeat(10_000) };
        assert_eq!(Refusal::of(&long).map(|refusal| refusal.0.len()), Some(MOST));
    }
}
