//! A macro that cron does not know.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "@fortnightly")]
    async fn run(&self) {}
}

fn main() {}
