//! Writing what a step has changed in what is remembered.

use crate::{fault::Done, step::Step};

impl Step<'_> {
    /// Writes all of it.
    pub(crate) fn finish(&mut self) -> Done<()> {
        self.write_leases()?;
        self.write_runs()?;
        self.write_jobs()?;
        self.write_ended()
    }
}
