//! A reference to something that is not the context.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self, _count: &u32) {}
}

fn main() {}
