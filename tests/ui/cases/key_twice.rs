//! The same option twice.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", retries = 3, retries = 4)]
    async fn run(&self) {}
}

fn main() {}
