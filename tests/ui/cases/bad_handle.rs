//! A constant named by a string.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", handle = "SEND")]
    async fn run(&self) {}
}

fn main() {}
