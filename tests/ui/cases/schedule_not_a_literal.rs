//! A schedule that cannot be checked here.
use jobs_runner::prelude::*;

const NINE: &str = "0 9 * * *";

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", NINE)]
    async fn a(&self) {}
    #[job("b", concat!("0 9", " * * *"))]
    async fn b(&self) {}
}

fn main() {}
