//! A job without a query is bounded by `max_compute_time`.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", timeout = "2h", max_compute_time = "1h")]
    async fn run(&self) {}
}

fn main() {}
