//! Texts of errors, cut to what a store keeps of them.

use std::borrow::Cow;

use crate::Failure;

/// The most bytes that are kept of the text of an error.
pub const MAX_TEXT: usize = 8 * 1024;

/// A text as it is kept: whole, or its beginning and how much was left out.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    // The remark on what was left out has its place in the limit.
    let end = text.floor_char_boundary(MAX_TEXT - 64);
    Cow::Owned(format!("{}… ({} bytes were left out)", &text[..end], text.len() - end))
}

impl Failure {
    /// The failure as it is kept: its message is cut, and so is what its sources say, all of them together.
    #[must_use]
    pub fn cut(mut self) -> Self {
        if let Cow::Owned(message) = cut(&self.message) {
            self.message = message;
        }
        let mut left = MAX_TEXT;
        self.chain.retain_mut(|text| {
            if let Cow::Owned(shorter) = cut(text) {
                *text = shorter;
            }
            let is_kept = text.len() <= left;
            left = left.saturating_sub(text.len());
            is_kept
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureKind, Millis};

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        assert!(matches!(cut("no"), Cow::Borrowed("no")));
        let long = "\u{1f980}".repeat(MAX_TEXT);
        let kept = cut(&long);
        assert!(kept.len() <= MAX_TEXT && kept.ends_with("bytes were left out)"), "{}", kept.len());
        assert_eq!(cut(&kept), kept, "what was cut is not cut again");
    }

    #[test]
    fn a_failure_is_kept_within_two_texts() {
        let mut failure = Failure::new(FailureKind::Error, "x".repeat(1 << 20), Millis(0).timestamp());
        failure.chain = (0..64).map(|_| "y".repeat(1 << 16)).collect();
        let kept = failure.cut();
        let chain: usize = kept.chain.iter().map(String::len).sum();
        assert!(kept.message.len() <= MAX_TEXT && chain <= MAX_TEXT && !kept.chain.is_empty(), "{chain}");
    }
}
