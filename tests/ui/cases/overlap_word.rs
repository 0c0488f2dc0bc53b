//! A word that `overlap` does not know.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *", overlap = "queued")]
    async fn run(&self) {}
}

fn main() {}
