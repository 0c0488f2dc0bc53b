//! The schedule behind a key.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", schedule = "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
