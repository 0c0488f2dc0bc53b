//! A schedule for an attribute that has one.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[daily("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
