//! An item taken by reference.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a")]
    async fn find(&self) -> Vec<String> {
        vec![]
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: &String) {
        let _ = item;
    }
}

fn main() {}
