//! A word that `catch_up` does not know.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", catch_up = true)]
    async fn run(&self) {}
}

fn main() {}
