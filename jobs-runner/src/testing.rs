//! Tests on virtual time: the real loops, with your groups, through days and crashes in milliseconds.
//!
//! Handlers are plain methods, so most tests need nothing from here. The [`Harness`] is for the rest: what happens
//! over time, over retries, over a night in which the clocks change, over a crash.
//!
//! ```
//! use jobs_runner::{prelude::*, testing::Harness};
//!
//! #[derive(Default)]
//! struct Reports;
//!
//! #[cron_group("reports")]
//! impl Reports {
//!     #[job("nightly", "0 3 * * *", tz = "Europe/Paris")]
//!     async fn nightly(&self) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let t = Harness::new().at("2026-03-28T12:00:00Z".parse()?).group::<Reports>().start().await?;
//! t.advance_to("2026-03-29T12:00:00Z".parse()?).await;
//! // In summer time, 3:00 in Paris is 1:00 UTC.
//! assert_eq!(t.fired(Reports::NIGHTLY), ["2026-03-29T01:00:00Z".parse::<Timestamp>()?]);
//! # Ok(())
//! # }
//! ```
//!
//! Time stands still until it is advanced, so nothing depends on how fast the machine is. Works in a plain
//! `#[tokio::test]`.

mod harness;
mod linked;
mod running;
#[doc(hidden)]
pub mod simulated;
mod time;

pub use harness::Harness;
pub use linked::linked;
pub use running::Running;
pub(crate) use simulated::{Gate, gated};
