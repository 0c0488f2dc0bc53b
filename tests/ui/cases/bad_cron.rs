//! A value outside of its field.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "61 * * * *")]
    async fn run(&self) {}
}

fn main() {}
