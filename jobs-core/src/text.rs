//! How much is kept of a text that a user's code makes: an error may be of any size, and is stored many times.

use std::fmt::{Display, Write};

/// The most bytes that are kept of one text, or of the texts of one [`Failure`](crate::Failure) together.
pub const MAX_TEXT: usize = 8 * 1024;

/// What a text that is cut says at its end takes no more bytes than this.
const ROOM_TO_SAY_SO: usize = 64;

/// Cuts a text to at most [`MAX_TEXT`] bytes. One that is cut says so at its end.
pub fn cut(text: &mut String) {
    let bytes = text.len();
    cut_together(std::slice::from_mut(text), bytes);
}

/// The text of a value, cut. However long it is, no more than what is kept of it is ever in memory.
#[must_use]
pub fn cut_text(value: impl Display) -> String {
    let mut texts = Texts::default();
    texts.push(&value);
    texts.finish().pop().unwrap_or_default()
}

/// Texts of which the first [`MAX_TEXT`] bytes are kept, and the rest is counted.
#[derive(Default)]
pub(crate) struct Texts {
    kept: Vec<String>,
    bytes: usize,
}

impl Texts {
    /// Adds the text of a value.
    pub(crate) fn push(&mut self, value: &dyn Display) {
        if self.bytes <= MAX_TEXT {
            self.kept.push(String::new());
        }
        // Nothing here fails; a value whose own `Display` does has said what it could.
        let _written = write!(self, "{value}");
    }

    /// The texts that are kept, cut as if they had been whole.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let kept = cut_together(&mut self.kept, self.bytes);
        self.kept.truncate(kept);
        self.kept
    }
}

impl Write for Texts {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.bytes);
        self.bytes = self.bytes.saturating_add(part.len());
        if let Some(text) = self.kept.last_mut() {
            text.push_str(&part[..part.floor_char_boundary(room)]);
        }
        Ok(())
    }
}

/// Cuts texts that had so many bytes together, and returns how many of them are kept.
pub(crate) fn cut_together(texts: &mut [String], bytes: usize) -> usize {
    if bytes <= MAX_TEXT {
        return texts.len();
    }
    let mut room = MAX_TEXT - ROOM_TO_SAY_SO;
    for (index, text) in texts.iter_mut().enumerate() {
        if text.len() < room {
            room -= text.len();
            continue;
        }
        text.truncate(text.floor_char_boundary(room));
        // Writing into a string does not fail.
        let _written = write!(text, "… (cut, {} bytes in all)", with_commas(bytes));
        text.shrink_to_fit();
        return index + 1;
    }
    texts.len()
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_as_it_is() {
        let mut text = "x".repeat(MAX_TEXT);
        assert_eq!(cut_text(&text), text);
        let whole = text.clone();
        cut(&mut text);
        assert_eq!(text, whole);
    }

    #[test]
    fn a_longer_text_is_cut_and_says_so() {
        let long = "x".repeat(MAX_TEXT + 1);
        let mut text = long.clone();
        cut(&mut text);
        assert!(text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 100, "{}", text.len());
        assert!(text.ends_with("x… (cut, 8,193 bytes in all)"), "{text}");
        assert_eq!(text.capacity(), text.len(), "what was cut off is given back");
        assert_eq!(cut_text(&long), text);
        let whole = text.clone();
        cut(&mut text);
        assert_eq!(text, whole, "it is not cut again");
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for before in 0..4 {
            let mut text = "x".repeat(before) + &"€".repeat(10 << 20);
            assert_eq!(
                cut_text(&text).find("… (cut"),
                Some(text.floor_char_boundary(MAX_TEXT - ROOM_TO_SAY_SO))
            );
            let written = cut_text(&text);
            cut(&mut text);
            assert_eq!(text, written);
        }
    }

    #[test]
    fn no_more_than_what_is_kept_is_ever_in_memory() {
        struct Long;
        impl Display for Long {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let part = "x".repeat(1 << 10);
                (0..10 << 10).try_for_each(|_| f.write_str(&part))
            }
        }
        let mut texts = Texts::default();
        texts.push(&Long);
        texts.push(&Long);
        assert!(texts.kept.iter().map(String::capacity).sum::<usize>() <= 2 * MAX_TEXT, "as a string grows");
        let [text] = &texts.finish()[..] else { panic!("nothing is left of the second") };
        assert!(text.len() <= MAX_TEXT && text.ends_with("(cut, 20,971,520 bytes in all)"));
    }
}
