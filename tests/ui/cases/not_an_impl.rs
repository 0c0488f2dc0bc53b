//! A group that is no impl block.
use jobs_runner::prelude::*;

#[cron_group("g")]
pub struct Jobs;

fn main() {}
