//! An item that is generic in disguise.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a")]
    async fn run(&self, _item: impl ToString) {}
}

fn main() {}
