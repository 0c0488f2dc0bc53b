//! A number where a duration belongs.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", timeout = 30)]
    async fn run(&self) {}
}

fn main() {}
