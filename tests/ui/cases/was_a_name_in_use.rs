//! A former name that is still a job.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn first(&self) {}
    #[job("b", "0 9 * * *", was = "a")]
    async fn second(&self) {}
}

fn main() {}
