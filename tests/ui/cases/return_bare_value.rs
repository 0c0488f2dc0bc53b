//! A value without a `Result`.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) -> u32 {
    1
}
}

fn main() {}
