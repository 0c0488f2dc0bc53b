//! The impl block of a trait.
use jobs_runner::prelude::*;

pub struct Jobs;
pub trait Runs {
    fn run(&self);
}

#[cron_group("g")]
impl Runs for Jobs {
    #[job("a", "0 9 * * *")]
    fn run(&self) {}
}

fn main() {}
