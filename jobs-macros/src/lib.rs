//! The attributes that declare jobs: [`macro@cron_group`] on an `impl` block, [`macro@job`] and [`macro@query`] on its
//! methods. `jobs-runner` re-exports them; depend on that one.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attr;
mod block;
mod errors;
mod expand;
mod group;
mod model;
mod names;
mod options;
mod outside;
mod validate;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes an `impl` block a group of jobs: `#[cron_group("name", option = .., crate = path)]`.
///
/// The block stays as it is, so that its methods are called and tested like any others. The options are defaults for
/// the jobs of the block; the keys are those of [`macro@job`]. `crate` is the path of `jobs-runner` where it has
/// another name.
///
/// ```
/// use jobs_runner::prelude::*;
///
/// #[derive(Default)]
/// struct Digest;
///
/// #[cron_group("digest", tz = "Europe/Paris", retries = 3)]
/// impl Digest {
///     #[query("send")]
///     async fn users(&self) -> Result<Vec<String>> {
///         Ok(vec!["ada@example.org".into()])
///     }
///
///     #[job("send", "0 9 * * *", timeout = "30s")]
///     async fn send(&self, address: String, cx: &JobContext) -> Result<()> {
///         println!("{address}, attempt {}", cx.attempt());
///         Ok(())
///     }
/// }
///
/// assert_eq!(Digest::SEND.id(), "digest.send");
/// ```
#[proc_macro_attribute]
pub fn cron_group(args: TokenStream, item: TokenStream) -> TokenStream {
    group::expand(args.into(), &item.into()).into()
}

/// Makes a method of a group a job: `#[job("name", "schedule", option = ..)]`; without a schedule it runs on demand.
///
/// The method takes `&self`, its item by value if it has one, and the context as `&JobContext` if it wants it. It is
/// async, or a plain `fn` that may block. It returns `()`, `Outcome`, or a `Result` of these or of a value to keep.
/// The type gains a constant of type `Job`, named as the method in capitals.
///
/// | option | default | |
/// |---|---|---|
/// | `retries` | 0 | attempts after the first |
/// | `retry_delay`, `max_retry_delay` | `"10s"`, `"1h"` | least and longest wait before a retry |
/// | `backoff` | `"exponential"` | how the wait grows; or `"linear"`, `"fixed"` |
/// | `timeout` | none | bound of one attempt |
/// | `max_compute_time` | `"1h"` | bound of one call of the query, or of one attempt of a job without one |
/// | `tz` | `"UTC"` | zone of a cron schedule |
/// | `concurrency`, `global_concurrency` | 10, none | items at once in one runner, and over all |
/// | `priority` | 0 | higher is served first |
/// | `overlap` | `"skip"` | a tick while the last run is busy; or `"queue"`, `"allow"` |
/// | `catch_up`, `catch_up_window` | `"once"`, none | ticks missed while nothing ran; or `"skip"`, `"all"` |
/// | `jitter` | none | delays each firing, the same on every node |
/// | `late_after` | `"30s"` | a tick fired later than this is late |
/// | `keep_runs`, `keep_ticks`, `keep_dead` | 100, 1,000, `"90d"` | history kept |
/// | `enabled` | true | any constant `bool` |
/// | `handle` | | another name for the constant, as in `handle = SEND_ALL` |
/// | `was` | | the name that the job had, so that it keeps its items |
///
/// Durations are text such as `"1h 30m"` or constants of type `Duration`, numbers are literals or constants.
#[proc_macro_attribute]
pub fn job(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("job", &args.into(), &item.into()).into()
}

/// Makes a method find the items of the job of the same name, in the same block: `#[query("name")]`.
///
/// It returns a `Vec`, an `Iterator` or a `Stream` of the job's items, plain or in a `Result`; or it takes an
/// `Option` of a cursor by value and returns a `Result<Page<T, C>>`. See [`macro@cron_group`] for an example.
#[proc_macro_attribute]
pub fn query(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("query", &args.into(), &item.into()).into()
}

/// A [`macro@job`] at the start of every hour: `#[hourly("name", option = ..)]`.
#[proc_macro_attribute]
pub fn hourly(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("hourly", &args.into(), &item.into()).into()
}

/// A [`macro@job`] at midnight: `#[daily("name", option = ..)]`.
#[proc_macro_attribute]
pub fn daily(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("daily", &args.into(), &item.into()).into()
}

/// A [`macro@job`] at midnight before Sunday: `#[weekly("name", option = ..)]`.
#[proc_macro_attribute]
pub fn weekly(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("weekly", &args.into(), &item.into()).into()
}

/// A [`macro@job`] at midnight before the first of the month: `#[monthly("name", option = ..)]`.
#[proc_macro_attribute]
pub fn monthly(args: TokenStream, item: TokenStream) -> TokenStream {
    outside::expand("monthly", &args.into(), &item.into()).into()
}
