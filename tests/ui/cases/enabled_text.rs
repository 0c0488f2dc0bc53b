//! A truth value in quotes.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", enabled = "false")]
    async fn run(&self) {}
}

fn main() {}
