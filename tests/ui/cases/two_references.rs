//! Two references, of which one can be the context.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self, _cx: &JobContext, _other: &str) {}
}

fn main() {}
