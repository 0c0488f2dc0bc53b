//! The schedule after an option.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", retries = 3, "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
