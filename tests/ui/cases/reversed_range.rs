//! A range that runs backwards.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 17-9 * * *")]
    async fn run(&self) {}
}

fn main() {}
