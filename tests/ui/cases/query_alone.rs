//! A query whose job is in another block.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("process")]
    async fn find(&self) -> Vec<u8> {
        vec![]
    }
}

fn main() {}
