//! A character that names do not have.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("grüße")]
impl Jobs {
    #[job("send mail", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
