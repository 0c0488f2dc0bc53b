//! An option that resembles none.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", colour = 3)]
    async fn run(&self) {}
}

fn main() {}
