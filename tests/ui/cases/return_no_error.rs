//! An error type that is none.
use jobs_runner::prelude::*;

pub struct Problem;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) -> Result<(), Problem> {
        Ok(())
    }
}

fn main() {}
