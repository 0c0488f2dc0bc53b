//! An option of the job on its query.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a", timeout = "30s")]
    async fn find(&self) -> Vec<u8> {
        vec![]
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: u8) {
        let _ = item;
    }
}

fn main() {}
