//! Pauses: which cells hold them, and which jobs a pattern covers.

/// What the names of the cells that hold pauses begin with; the pattern follows.
pub const PAUSES: &str = "pause/";

/// The cell of the pause of a pattern: `"group.job"`, `"group.*"` or `"*"`.
#[must_use]
pub fn pause_cell(pattern: &str) -> String {
    format!("{PAUSES}{pattern}")
}

/// The cells of the pauses that cover a job, the narrowest first.
#[must_use]
pub fn pause_cells(job: &str) -> [String; 3] {
    let group = job.split_once('.').map_or(job, |(group, _)| group);
    [pause_cell(job), pause_cell(&format!("{group}.*")), pause_cell("*")]
}

/// Whether a pattern, `"group.job"`, `"group.*"` or `"*"`, covers a job.
#[must_use]
pub fn covers(pattern: &str, job: &str) -> bool {
    pattern == "*"
        || pattern == job
        || pattern
            .strip_suffix(".*")
            .is_some_and(|group| job.split_once('.').is_some_and(|(g, _)| g == group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_job_a_group_or_all() {
        for (pattern, covered) in [("*", true), ("a.*", true), ("a.b", true), ("a", false), ("ab.*", false)] {
            assert_eq!(covers(pattern, "a.b"), covered, "{pattern}");
            assert_eq!(pause_cells("a.b").contains(&pause_cell(pattern)), covered, "{pattern}");
        }
    }
}
