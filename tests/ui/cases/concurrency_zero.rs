//! No item at once is no concurrency.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", concurrency = 0)]
    async fn run(&self) {}
}

fn main() {}
