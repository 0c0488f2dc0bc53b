//! A query that holds an `Rc` over an await.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("a")]
    async fn find(&self) -> Vec<u8> {
        let count = std::rc::Rc::new(1);
        std::future::ready(()).await;
        vec![*count]
    }
    #[job("a", "0 9 * * *")]
    async fn run(&self, item: u8) {
        let _ = item;
    }
}

fn main() {}
