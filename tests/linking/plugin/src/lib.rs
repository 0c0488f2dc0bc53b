//! A crate of jobs that a program links by name alone: `use plugin as _;`.

use jobs_runner::prelude::*;

/// Never named by the program.
#[derive(Debug, Default)]
pub struct PluginJobs;

#[cron_group("plugin")]
impl PluginJobs {
    #[job("tick", "*/5 * * * *")]
    async fn tick(&self) {}
}
