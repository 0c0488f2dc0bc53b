//! An interval has no zone.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "5m", tz = "Europe/Paris")]
    async fn run(&self) {}
}

fn main() {}
