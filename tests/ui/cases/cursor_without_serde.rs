//! A cursor that cannot be stored.
use jobs_runner::prelude::*;

pub struct Raw;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a")]
    async fn find(&self, after: Option<Raw>) -> Result<Page<u8, Raw>> {
        Ok(Page::new(vec![], after))
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: u8) {
        let _ = item;
    }
}

fn main() {}
