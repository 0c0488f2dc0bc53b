//! One method that is both.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    #[query("a")]
    async fn run(&self) -> Vec<u8> {
        vec![]
    }
}

fn main() {}
