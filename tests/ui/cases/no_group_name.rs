//! A group without a name.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group(retries = 3)]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
