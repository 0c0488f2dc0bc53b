//! An option without a value.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", timeout, retries =)]
    async fn run(&self) {}
}

fn main() {}
