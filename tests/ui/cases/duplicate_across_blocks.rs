//! Two jobs of one name in two blocks of a group.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn first(&self) {}
}

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 10 * * *")]
    async fn second(&self) {}
}

fn main() {}
