//! A job without a name.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job]
    async fn run(&self) {}
}

fn main() {}
