//! Everything that a program with job groups may do to them, short of running them.
//!
//! This library has a group of its own; its tests link it, a plugin crate, and a crate that renames `jobs-runner`.

use jobs_runner::prelude::*;

/// A group in a package's own library.
#[derive(Debug, Default)]
pub struct Housekeeping;

#[cron_group("housekeeping")]
impl Housekeeping {
    /// Sweeps.
    #[daily("sweep")]
    pub async fn sweep(&self) {}
}
