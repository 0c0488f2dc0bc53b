//! An option of the group on a job, and the other way round.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g", was = "old")]
impl Jobs {
    #[job("a", "0 9 * * *", crate = jobs_runner)]
    async fn run(&self) {}
}

fn main() {}
