//! A usual name for an option that has another one here.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", timezone = "Europe/Paris", max_attempts = 4)]
    async fn run(&self) {}
}

fn main() {}
