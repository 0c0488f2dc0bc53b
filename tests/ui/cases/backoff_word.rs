//! A word that `backoff` does not know.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", backoff = "quadratic")]
    async fn run(&self) {}
}

fn main() {}
