//! A priority beyond its type.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", priority = 40000)]
    async fn run(&self) {}
}

fn main() {}
