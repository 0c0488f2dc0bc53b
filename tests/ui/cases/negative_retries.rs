//! A negative count.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", retries = -1)]
    async fn run(&self) {}
}

fn main() {}
