//! Splitting a text into words that remember their column, so that an error can point at one character.

/// A piece of the user's text and the column (in characters, from 1) where it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) column: usize,
}

impl<'a> Word<'a> {
    /// The part from byte `start` to byte `end`, which must be character boundaries.
    pub(crate) fn part(self, start: usize, end: usize) -> Word<'a> {
        let before = self.text.get(..start).unwrap_or_default();
        Word {
            text: self.text.get(start..end).unwrap_or_default(),
            column: self.column + before.chars().count(),
        }
    }

    /// The parts between the separators; at least one, which may be empty.
    pub(crate) fn split(self, separator: char) -> impl Iterator<Item = Word<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let word = Word { text, column };
            column += text.chars().count() + 1;
            word
        })
    }

    /// The parts before and behind the first separator.
    pub(crate) fn split_once(self, separator: char) -> Option<(Word<'a>, Word<'a>)> {
        let at = self.text.find(separator)?;
        Some((self.part(0, at), self.part(at + separator.len_utf8(), self.text.len())))
    }
}

/// The words of a text between blanks of any kind.
pub(crate) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    let mut column = 0;
    for (at, char) in text.char_indices() {
        column += 1;
        match (char.is_whitespace(), start) {
            (false, None) => start = Some((at, column)),
            (true, Some((from, column))) => {
                words.push(Word { text: &text[from..at], column });
                start = None;
            }
            _ => {}
        }
    }
    if let Some((from, column)) = start {
        words.push(Word { text: &text[from..], column });
    }
    words
}
