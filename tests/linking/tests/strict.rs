//! Groups under the strictest lints.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    non_local_definitions,
    unreachable_pub,
    unused,
    unused_qualifications,
    clippy::all,
    clippy::pedantic
)]

use jobs_runner::{Job, JobContext, cron_group, daily, job, monthly, prelude::Page, query};
use serde::{Deserialize, Serialize};

/// An item that nobody else sees.
#[derive(Serialize, Deserialize)]
struct Private(u8);

/// A group.
#[derive(Default)]
pub struct Strict {
    first: u8,
}

#[cron_group("strict", tz = "Europe/Paris", keep_dead = "30d")]
impl Strict {
    #[query("a")]
    async fn find(&self) -> Vec<Private> {
        std::future::ready(vec![Private(1)]).await
    }

    #[job("a", "0 9 * * *", retries = 3, timeout = "30s", priority = -1, catch_up = "all", enabled = cfg!(unix))]
    async fn a(&self, item: Private, _cx: &JobContext) {
        std::future::ready(item.0).await;
    }

    #[query("b")]
    fn pages(&self, after: Option<u8>) -> Page<u8, u8> {
        Page::new(vec![self.first], after.map(|at| at + 1))
    }

    /// Also for those who read the docs.
    #[monthly("b")]
    pub fn b(&self, item: u8) {
        std::hint::black_box(item + self.first);
    }

    #[deprecated = "called by the runner alone"]
    #[daily("c", handle = DAILY)]
    async fn c(&self) {
        std::future::ready(()).await;
    }

    #[must_use = "the number is all there is"]
    #[job("d", "5m")]
    async fn d(&self) -> Result<u8, String> {
        std::future::ready(Ok(1)).await
    }
}

/// Another block of the same group, in another module.
mod second {
    use super::Strict;
    use jobs_runner::{cron_group, job};

    #[cron_group("strict")]
    impl Strict {
        #[job("e", was = "earlier")]
        pub(super) async fn e(&self, item: String) {
            std::future::ready(item).await;
        }
    }
}

#[test]
fn strict_lints_have_nothing_to_say_about_generated_code() {
    let (a, b, daily): (Job<Private>, Job<u8>, Job<()>) = (Strict::A, Strict::B, Strict::DAILY);
    assert_eq!(
        [a.id(), b.id(), daily.id(), Strict::D.id()],
        ["strict.a", "strict.b", "strict.c", "strict.d"]
    );
    let later: Job<String> = Strict::E;
    assert_eq!(later.id(), "strict.e");
}

#[test]
fn a_group_inside_of_a_function_is_a_group() {
    #[derive(Default)]
    struct Local;

    #[cron_group("local")]
    impl Local {
        #[job("a")]
        async fn a(&self) {
            std::future::ready(()).await;
        }
    }
    assert_eq!(Local::A.id(), "local.a");
}
