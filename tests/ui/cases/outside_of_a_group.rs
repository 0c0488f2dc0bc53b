//! Attributes without a group around them.
use jobs_runner::prelude::*;

pub struct Jobs;

impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {}
    #[query("a")]
    async fn find(&self) -> Vec<u8> {
        vec![]
    }
}

#[daily("b")]
async fn free() {}

fn main() {}
