//! A group without a job.
use jobs_runner::prelude::*;

pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    pub fn helper(&self) {}
}

fn main() {}
