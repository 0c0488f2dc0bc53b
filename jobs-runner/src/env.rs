//! The one place from which a runner takes time, sleep, randomness, threads and tasks.
//!
//! Under simulation all of them are virtual, so the same seed gives the same run of the same loops.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jobs_core::Millis;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::lock::lock;

/// Time, sleep, randomness and threads of one runner.
#[derive(Clone, Debug)]
pub(crate) struct Env(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    random: Mutex<fastrand::Rng>,
    /// When the virtual clock began; `None` for the real one.
    began: Option<Instant>,
    /// Calls that block.
    blocking: AtomicUsize,
}

/// A call that blocks, until it is over: also when nobody waits for it any more.
struct Blocking(Env);

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.0.blocking.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A clock that only grows, and that counts suspend; where there is none, the next best.
#[cfg(any(target_os = "linux", target_os = "android"))]
const COUNTS_SUSPEND: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const COUNTS_SUSPEND: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Env {
    /// The machine's.
    pub(crate) fn real() -> Self {
        Self(Arc::new(Inner {
            random: Mutex::new(fastrand::Rng::new()),
            began: None,
            blocking: AtomicUsize::new(0),
        }))
    }

    /// A virtual one: its clock is tokio's, and its randomness comes from the seed.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn simulated(seed: u64) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Self(Arc::new(Inner { random, began: Some(Instant::now()), blocking: AtomicUsize::new(0) }))
    }

    /// Time that only grows, and that counts suspend: a laptop's lid does not stop it.
    pub(crate) fn uptime(&self) -> Duration {
        if let Some(began) = self.0.began {
            return began.elapsed();
        }
        let now = rustix::time::clock_gettime(COUNTS_SUSPEND);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    /// What this machine takes for the time of day; a virtual one has none. For people alone.
    pub(crate) fn time_of_day(&self) -> Option<Millis> {
        self.0.began.is_none().then(|| jiff::Timestamp::now().into())
    }

    /// Waits. On the real clock never for more than 15 s in one piece, so that a jump or a suspend is noticed:
    /// whoever waits looks at the clock again.
    pub(crate) async fn sleep(&self, wait: Duration) {
        const LONGEST: Duration = Duration::from_secs(15);
        let wait = if self.0.began.is_some() { wait } else { wait.min(LONGEST) };
        tokio::time::sleep(wait).await;
    }

    /// Any number.
    pub(crate) fn random(&self) -> u64 {
        lock(&self.0.random).u64(..)
    }

    /// Somewhere in `wait` ± a tenth: what many nodes do at the same interval does not fall together.
    pub(crate) fn about(&self, wait: Duration) -> Duration {
        let share = u32::try_from(self.random() >> 54).unwrap_or(0);
        wait.mul_f64(0.9 + f64::from(share) / f64::from(1 << 10) / 5.0)
    }

    /// Calls what may block: on a thread of its own, or inline where time is virtual.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::Result<T> {
        self.0.blocking.fetch_add(1, Ordering::AcqRel);
        let blocking = Blocking(self.clone());
        let guarded = move || {
            let _blocking = blocking;
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call))
        };
        if self.is_virtual() {
            return guarded();
        }
        match tokio::task::spawn_blocking(guarded).await {
            Ok(result) => result,
            Err(error) => Err(Box::new(error.to_string())),
        }
    }

    /// Waits until no call blocks.
    pub(crate) async fn unblocked(&self) {
        while self.0.blocking.load(Ordering::Acquire) > 0 {
            self.sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether time is virtual.
    pub(crate) fn is_virtual(&self) -> bool {
        self.0.began.is_some()
    }
}

/// The tasks of one runner: they end together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Under simulation: what stops the whole process for a while.
    #[cfg(any(test, feature = "testing"))]
    gate: Option<crate::testing::Gate>,
}

impl Tasks {
    /// Tasks that a gate can freeze, as a stopped process is.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn behind(gate: crate::testing::Gate) -> Self {
        Self { gate: Some(gate), ..Self::default() }
    }

    /// Other tasks of the same runner, which end apart from these.
    pub(crate) fn beside(&self) -> Self {
        let mut others = self.clone();
        (others.tracker, others.stop) = (TaskTracker::new(), CancellationToken::new());
        others
    }

    /// Runs a future until it ends or all are stopped.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        #[cfg(any(test, feature = "testing"))]
        let future = crate::testing::gated(self.gate.clone(), future);
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = future => {}
            }
        });
    }

    /// Drops the futures of all tasks, each at its next await.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task has ended.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_sleep_is_longer_than_fifteen_seconds_in_one_piece() {
        let (env, began) = (Env::real(), Instant::now());
        env.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(15));
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(16));
    }
}
