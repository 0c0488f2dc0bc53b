//! A field for the year.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 0 9 * * * 2027")]
    async fn run(&self) {}
}

fn main() {}
