//! A date that no year has.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 0 31 2 *")]
    async fn run(&self) {}
}

fn main() {}
