//! A job on a schedule takes an item that nothing finds.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: String) {
        let _ = item;
    }
}

fn main() {}
