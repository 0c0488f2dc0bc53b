//! A handler that is `unsafe`.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    unsafe fn run(&self) {}
}

fn main() {}
