//! A schedule on a query.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a", "0 9 * * *")]
    async fn find(&self) -> Vec<u8> {
        vec![]
    }
    #[job("a")]
    async fn run(&self, item: u8) {
        let _ = item;
    }
}

fn main() {}
