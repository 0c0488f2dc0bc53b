//! An option that does not exist, close to one that does.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", retires = 3)]
    async fn run(&self) {}
}

fn main() {}
