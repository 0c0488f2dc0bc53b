//! Cells: when one is there, when it may be written, and which of them are pauses.

use crate::{Cell, Millis, PAUSES, pause_cells};

/// Whether a cell is there at this time.
#[must_use]
pub fn is_live(cell: &Cell, now: Millis) -> bool {
    cell.expires_at.is_none_or(|at| now < at)
}

/// Whether a cell may be written by somebody who expects this version; 0 expects that there is none. `there` is live.
#[must_use]
pub fn fits(there: Option<&Cell>, expected: u64) -> bool {
    there.map_or(0, |cell| cell.version) == expected
}

/// What the cell of a pause notes.
#[must_use]
pub fn pause_note(cell: &Cell) -> String {
    cell.value.get("note").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// The cell that keeps where the cursor of a schedule stood before it was set back.
#[must_use]
pub fn ahead_cell(schedule: &str) -> String {
    format!("ahead/{schedule}")
}

/// The cells of all pauses, expired ones included, with their names.
#[derive(Clone, Debug, Default)]
pub struct Pauses(pub Vec<(String, Cell)>);

impl Pauses {
    /// The note of the pause that covers a job.
    #[must_use]
    pub fn of(&self, job: &str, now: Millis) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let find = |wanted: &String| self.0.iter().find(|(name, cell)| name == wanted && is_live(cell, now));
        pause_cells(job).iter().find_map(find).map(|(_, cell)| pause_note(cell))
    }

    /// The patterns that are paused, with their notes.
    #[must_use]
    pub fn patterns(&self, now: Millis) -> Vec<(String, String)> {
        let live = self.0.iter().filter(|(_, cell)| is_live(cell, now));
        live.map(|(name, cell)| (name[PAUSES.len()..].to_owned(), pause_note(cell))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cell(version: u64, expires_at: Option<i64>) -> Cell {
        Cell { version, value: json!({"note": "moving"}), expires_at: expires_at.map(Millis), owner: None }
    }

    #[test]
    fn a_cell_is_there_until_the_instant_at_which_it_expires() {
        assert!(is_live(&cell(1, None), Millis::MAX));
        assert!(is_live(&cell(1, Some(10)), Millis(9)));
        assert!(!is_live(&cell(1, Some(10)), Millis(10)));
    }

    #[test]
    fn a_cell_is_written_by_whoever_knows_its_version() {
        assert!(fits(None, 0) && fits(Some(&cell(7, None)), 7));
        for (there, expected) in
            [(None, 7), (Some(cell(7, None)), 0), (Some(cell(7, None)), 6), (Some(cell(7, None)), 8)]
        {
            assert!(!fits(there.as_ref(), expected), "{expected}");
        }
    }

    #[test]
    fn the_narrowest_pause_that_has_not_expired_covers_a_job() {
        let pause = |pattern: &str, note: &str, expires_at| {
            let cell = Cell { value: json!({ "note": note }), ..cell(1, expires_at) };
            (crate::pause_cell(pattern), cell)
        };
        let pauses = Pauses(vec![
            pause("*", "all", None),
            pause("a.*", "group", Some(5)),
            pause("a.b", "job", Some(3)),
        ]);
        let notes = |now| ["a.b", "a.c", "d.e"].map(|job| pauses.of(job, Millis(now)).unwrap_or_default());
        assert_eq!(notes(0), ["job", "group", "all"]);
        assert_eq!(notes(3), ["group", "group", "all"]);
        assert_eq!(notes(5), ["all", "all", "all"]);
        assert_eq!(pauses.patterns(Millis(4)), [("*".into(), "all".into()), ("a.*".into(), "group".into())]);
        assert_eq!(Pauses::default().of("a.b", Millis(0)), None);
    }

    #[test]
    fn a_cell_is_named_for_what_it_keeps() {
        assert_eq!(ahead_cell("a.b"), "ahead/a.b");
        assert_eq!(pause_note(&cell(1, None)), "moving");
        assert_eq!(pause_note(&Cell { value: json!(7), ..cell(1, None) }), "", "somebody else wrote it");
    }
}
