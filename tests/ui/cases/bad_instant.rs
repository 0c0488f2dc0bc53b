//! An instant without a zone.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "2026-12-25T09:00:00")]
    async fn run(&self) {}
}

fn main() {}
