//! A group that threads cannot share.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs(std::cell::Cell<u32>);

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
