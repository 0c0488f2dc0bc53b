//! An interval without a unit.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "every 5")]
    async fn run(&self) {}
}

fn main() {}
