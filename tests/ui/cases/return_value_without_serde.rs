//! A value that cannot be kept.
use jobs_runner::prelude::*;

pub struct Receipt;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) -> Result<Receipt> {
        Ok(Receipt)
    }
}

fn main() {}
