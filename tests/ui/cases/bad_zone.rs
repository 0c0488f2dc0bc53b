//! A zone that does not exist.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", tz = "Europe/Pariss")]
    async fn run(&self) {}
}

fn main() {}
