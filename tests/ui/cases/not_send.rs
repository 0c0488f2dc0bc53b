//! A handler that holds an `Rc` over an await.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) {
        let count = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(count);
    }
}

fn main() {}
