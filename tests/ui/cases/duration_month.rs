//! A month has no fixed length.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", keep_dead = "3M")]
    async fn run(&self) {}
}

fn main() {}
