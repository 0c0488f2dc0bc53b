//! Virtual time: tokio's paused clock, which jumps only while somebody advances it.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::Timestamp;
use jobs_core::Millis;
use tokio::time::Instant;

/// So many turns of the runtime without a step of the store mean that nothing is left to run.
const QUIET_TURNS: u32 = 100;

/// The clock of a harness.
#[derive(Debug)]
pub(super) struct Time {
    base: Millis,
    began: Instant,
    /// Steps of the store, which tell that something still runs.
    steps: Arc<AtomicU64>,
}

thread_local! {
    /// While it is there, time stands still: for all harnesses of a test, which share the runtime's clock.
    static STILL: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
    static HARNESSES: Cell<usize> = const { Cell::new(0) };
}

impl Time {
    /// Stops tokio's clock, if it is not stopped.
    pub(super) async fn stop(at: Timestamp) -> Self {
        // A harness that is there has stopped it, and would keep the next lines from moving it.
        release();
        if !is_paused() {
            tokio::time::pause();
        }
        align().await;
        HARNESSES.set(HARNESSES.get() + 1);
        hold();
        Self { base: at.into(), began: Instant::now(), steps: Arc::default() }
    }

    pub(super) fn now(&self) -> Millis {
        self.base + self.began.elapsed()
    }

    /// The same for a store, whose steps are counted.
    pub(super) fn clock(&self) -> impl Fn() -> Millis + Send + Sync + 'static {
        let (base, began, steps) = (self.base, self.began, self.steps.clone());
        move || {
            steps.fetch_add(1, Ordering::Relaxed);
            base + began.elapsed()
        }
    }

    /// Lets time run, from one timer to the next, until a future is ready; and what is due then be done.
    pub(super) async fn run_until<T>(&self, future: impl Future<Output = T>) -> T {
        self.settle().await;
        release();
        let value = future.await;
        hold();
        self.settle().await;
        value
    }

    pub(super) async fn advance_to(&self, target: Millis) {
        let wait = target.since(self.now());
        if wait > Duration::ZERO {
            self.run_until(tokio::time::sleep(wait)).await;
        } else {
            self.settle().await;
        }
    }

    /// Runs what can run without time.
    pub(super) async fn settle(&self) {
        let mut quiet = 0;
        let mut seen = self.steps.load(Ordering::Relaxed);
        while quiet < QUIET_TURNS {
            tokio::task::yield_now().await;
            let steps = self.steps.load(Ordering::Relaxed);
            quiet = if steps == seen { quiet + 1 } else { 0 };
            seen = steps;
        }
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        HARNESSES.set(HARNESSES.get() - 1);
        if HARNESSES.get() == 0 {
            release();
        }
    }
}

/// An open blocking task keeps tokio's paused clock from jumping.
fn hold() {
    let (sender, receiver) = mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || receiver.recv());
    STILL.set(Some(sender));
}

fn release() {
    STILL.take();
}

/// Moves to a whole millisecond of tokio's timers, which go off on those alone; a paused clock keeps the fraction at
/// which it was stopped, and every timer would be a millisecond late.
async fn align() {
    const MILLI: u64 = 1_000_000;
    // A sleep of a millisecond less `fraction` is over within one, and not two, if that much is missing.
    let (mut least, mut most) = (0, MILLI - 1);
    while least < most {
        let fraction = u64::midpoint(least, most);
        let before = Instant::now();
        tokio::time::sleep(Duration::from_nanos(MILLI - fraction)).await;
        if before.elapsed() <= Duration::from_millis(1) { most = fraction } else { least = fraction + 1 }
    }
    if least > 0 {
        tokio::time::advance(Duration::from_nanos(MILLI - least)).await;
    }
}

/// Whether tokio's clock stands still: the real one has moved after a microsecond.
fn is_paused() -> bool {
    let (virtual_start, real_start) = (Instant::now(), std::time::Instant::now());
    while real_start.elapsed() < Duration::from_micros(2) {
        std::hint::spin_loop();
    }
    Instant::now() == virtual_start
}
