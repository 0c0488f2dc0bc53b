//! The group judges its defaults as a job does.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g", retry_delay = "soon", tz = "Mars/Olympus")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
