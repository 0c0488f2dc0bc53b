//! How many records one step may still touch one by one.

use jobs_core::STEP_RECORDS;

#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    /// Whether there was more to do than the step may.
    pub(super) is_spent: bool,
}

impl Budget {
    pub(super) fn of_a_step() -> Self {
        Self { left: STEP_RECORDS, is_spent: false }
    }

    /// Whether one more may be touched; it is counted if so.
    pub(super) fn take(&mut self) -> bool {
        self.is_spent |= self.left == 0;
        let may = self.left > 0;
        self.left -= usize::from(may);
        may
    }

    /// How many more may be touched.
    pub(super) fn left(&self) -> usize {
        self.left
    }
}
