//! An instant has its zone.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "2026-12-25T09:00:00Z", tz = "Europe/Paris")]
    async fn run(&self) {}
}

fn main() {}
