//! "Did you mean": the one way in which every error of the project finds the name that was meant.

/// The known name that is one or two keys away from what was written, if one is; case does not count.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let distances = known.into_iter().map(|name| (distance(&written, &name.to_lowercase()), name));
    let (distance, name) = distances.min()?;
    (distance <= 2 && distance * 3 <= written.chars().count()).then_some(name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a_char) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b_char) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(a_char != *b_char);
            diagonal = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}
