//! A query finds items for a job that takes none.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a")]
    async fn find(&self) -> Vec<u8> {
        vec![]
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
