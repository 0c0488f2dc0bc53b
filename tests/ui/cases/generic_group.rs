//! A free type parameter.
use jobs_runner::prelude::*;

pub struct Jobs<T>(T);

#[cron_group("g")]
impl<T: Send> Jobs<T> {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
}

fn main() {}
