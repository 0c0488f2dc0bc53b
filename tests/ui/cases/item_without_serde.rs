//! An item that cannot be stored.
use jobs_runner::prelude::*;

pub struct Raw;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a")]
    async fn find(&self) -> Vec<Raw> {
        vec![]
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: Raw) {
        let _ = item;
    }
}

fn main() {}
