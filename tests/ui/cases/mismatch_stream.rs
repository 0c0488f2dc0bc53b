//! A stream of other items than the job takes.
use jobs_runner::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Order;
#[derive(Serialize, Deserialize)]
pub struct Invoice;

pub struct Nothing<T>(std::marker::PhantomData<fn() -> T>);
impl<T> futures_core::Stream for Nothing<T> {
    type Item = T;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(None)
    }
}

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("process")]
    fn find(&self) -> impl futures_core::Stream<Item = Result<Invoice, std::io::Error>> {
        Nothing(std::marker::PhantomData)
    }
    #[job("process", "0 9 * * *")]
    async fn run(&self, order: Order) {
        let _ = order;
    }
}

fn main() {}
