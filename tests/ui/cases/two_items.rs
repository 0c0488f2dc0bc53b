//! A job with two items.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a")]
    async fn run(&self, from: String, to: String) {
    let _ = (from, to);
}
}

fn main() {}
