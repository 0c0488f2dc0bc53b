//! Tests of a job group: what it does over a night in which the clocks change, over failures, over a crash.
//!
//! ```console
//! $ cargo test --example testing
//! $ cargo run --example testing     # the same night, told line by line
//! ```
//!
//! Handlers are plain methods, so most tests call them and need no framework. The harness is for the rest. It runs
//! the real loops on virtual time, which stands still until a test advances it.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use jobs_runner::{Event, prelude::*, testing::Harness};

/// Stands for what a real group holds: here it counts, and fails for some.
#[derive(Default)]
struct Digest {
    /// Its mail server refuses the first attempt.
    flaky: BTreeSet<String>,
    sent: Mutex<Vec<String>>,
}

#[cron_group("digest", retries = 2, retry_delay = "1m")]
impl Digest {
    #[query("send")]
    async fn users(&self) -> Vec<String> {
        ["ada", "bob", "eve"].map(String::from).into()
    }

    /// At half past two, which on a night of March does not exist.
    #[job("send", "30 2 * * *", tz = "Europe/Paris", timeout = "30s")]
    async fn send(&self, user: String, cx: &JobContext) -> Result<()> {
        if user == "eve" {
            return Err(fatal("eve has no address").into());
        }
        if self.flaky.contains(&user) && cx.attempt() == 1 {
            return Err("the mail server is busy".into());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.sent.lock().map_err(|_| "poisoned")?.push(user);
        Ok(())
    }
}

fn digest() -> Digest {
    Digest { flaky: ["bob".to_owned()].into(), ..Digest::default() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let t = Harness::new().at("2026-03-28T12:00:00Z".parse()?).provide(digest()).start().await?;
    t.advance_to("2026-03-29T12:00:00Z".parse()?).await;
    for event in t.events() {
        match event {
            Event::TickFired { tick, .. } => println!("tick {} fired", tick.in_tz("Europe/Paris")?),
            Event::AttemptFailed { failure, .. } => {
                let (at, attempt, message) = (failure.at, failure.attempt, failure.message);
                let next = failure.retry_at.map_or("dead".to_owned(), |at| format!("again at {at}"));
                println!("  {at}  attempt {attempt}: {message}; {next}");
            }
            Event::ItemDone { attempt, duration, .. } => {
                println!("  done in {duration:?}, attempt {attempt}");
            }
            Event::RunFinished(report) => println!("  {:?}: {:?}", report.state, report.counts),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jobs_runner::{FailureKind, RunFilter, RunState};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[tokio::test(start_paused = true)]
    async fn a_handler_is_a_method() {
        let digest = digest();
        digest.send("bob".into(), &JobContext::test()).await.unwrap_err();
        digest.send("bob".into(), &JobContext::test().with_attempt(2)).await.unwrap();
        assert_eq!(*digest.sent.lock().unwrap(), ["bob"]);
    }

    #[tokio::test]
    async fn a_night_without_half_past_two_fires_right_after_the_gap() -> Result<()> {
        let t = Harness::new().at("2026-03-27T12:00:00Z".parse()?).provide(digest()).start().await?;
        t.advance(3 * DAY).await;
        let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(t.fired(Digest::SEND), expected.map(|tick| tick.parse::<Timestamp>().unwrap()));
        Ok(())
    }

    #[tokio::test]
    async fn a_refused_mail_is_tried_again_and_a_fatal_one_is_not() -> Result<()> {
        let t = Harness::new().provide(digest()).start().await?;
        let report = t.run(Digest::SEND).await?;
        assert_eq!(report.state, RunState::Partial);
        assert_eq!((report.counts.ok, report.counts.dead, report.counts.retries), (2, 1, 1));

        let dead = t.dead(Digest::SEND).await;
        assert_eq!(dead[0].payload, "eve");
        assert_eq!(dead[0].attempts[0].kind, FailureKind::Fatal);
        Ok(())
    }

    #[tokio::test]
    async fn a_crash_repeats_what_was_in_flight_and_loses_nothing() -> Result<()> {
        let t = Harness::new().provide(digest()).start().await?;
        t.advance_to_next(Digest::SEND).await;
        t.advance(Duration::from_secs(2)).await;
        t.crash("a").await; // ada's mail takes five seconds.
        t.restart("a").await;
        t.advance(Duration::from_secs(600)).await;

        let runs = t.client().runs(RunFilter::new().job(Digest::SEND)).await?;
        assert_eq!(runs.len(), 1, "one run per tick");
        assert_eq!((runs[0].counts.ok, runs[0].counts.dead), (2, 1));
        let first = |event: &Event| matches!(event, Event::AttemptStarted { attempt: 1, .. });
        assert!(t.events().iter().filter(|event| first(event)).count() > 3, "begun again, and not charged");
        Ok(())
    }

    #[tokio::test]
    async fn a_night_with_the_runner_down_is_made_up_for_once() -> Result<()> {
        let t = Harness::new().provide(digest()).start().await?;
        t.crash("a").await;
        t.advance(3 * DAY).await;
        t.restart("a").await;
        t.advance(Duration::from_secs(60)).await;
        assert_eq!(t.fired(Digest::SEND).len(), 1);
        Ok(())
    }
}
