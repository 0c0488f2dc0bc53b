//! Calls that the store refuses, although it answers: what they refer to fails once, with the reason, and other work goes on.

use std::fmt;

use jobs_core::{End, Failure, FailureKind, Millis, Settlement, StoreError};

/// Why the store refused a call. Repeated, the same call would be refused again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(String);

/// How much of a reason is kept, in characters: it may quote what was refused.
const MOST: usize = 200;

impl Refusal {
    /// Of an error, if the store answered and refused.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Refused { message } => Some(Self(message.chars().take(MOST).collect())),
            _ => None,
        }
    }

    /// The reason as every store takes it: what this one has refused may stand in it. All but plain text is written as
    /// Rust writes it, as in `\u{fc}`.
    pub(crate) fn escaped(&self) -> String {
        let mut escaped = String::new();
        for c in self.0.chars() {
            match c {
                ' '..='~' => escaped.push(c),
                _ => escaped.extend(c.escape_default()),
            }
        }
        escaped
    }

    /// What becomes of an item whose end the store refused: it is dead, with the reason.
    pub(crate) fn instead(&self, settlement: &Settlement, node: &str, now: Millis) -> Settlement {
        let message = format!("the store refused what became of the attempt: {}", self.escaped());
        let mut failure = Failure::new(FailureKind::Fatal, message, now.timestamp());
        node.clone_into(&mut failure.node);
        Settlement { end: End::Dead(Box::new(failure)), ..settlement.clone() }
    }
}

/// The reason as people read it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_is_no_outage_is_a_refusal() {
        let refused = StoreError::Refused { message: "ung\u{fc}ltiges \u{0}byte \u{1f600}".into() };
        let refusal = Refusal::of(&refused).expect("it is one");
        assert_eq!(refusal.to_string(), "ung\u{fc}ltiges \u{0}byte \u{1f600}");
        assert_eq!(refusal.escaped(), r"ung\u{fc}ltiges \u{0}byte \u{1f600}");
        assert_eq!(Refusal::of(&StoreError::Unreachable { message: "no".into() }), None);
        assert_eq!(Refusal::of(&StoreError::Full { message: "no".into() }), None);
        let long = StoreError::Refused { message: "x".repeat(10_000) };
        assert_eq!(Refusal::of(&long).map(|refusal| refusal.escaped().len()), Some(MOST));
    }
}
