//! What wakes up a waiting runner or client.

use tokio::sync::watch;

/// How often each kind of thing has happened in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Items became ready, or will at a new time.
    pub work: u64,
    /// A run is no longer busy, or is over.
    pub runs: u64,
    /// A pause, a cancel or a schedule has changed.
    pub control: u64,
}

/// The store's end: it marks what happens.
#[derive(Clone, Debug)]
pub struct Waker(watch::Sender<Marks>);

/// The other end: it waits for marks. A hint: correctness never depends on one.
#[derive(Clone, Debug)]
pub struct Wakeups(watch::Receiver<Marks>);

impl Default for Waker {
    fn default() -> Self {
        Self(watch::Sender::new(Marks::default()))
    }
}

impl Waker {
    /// So much has happened so far.
    pub fn raise(&self, marks: Marks) {
        self.0.send_if_modified(|seen| {
            let raised = *seen != marks;
            *seen = marks;
            raised
        });
    }

    /// A receiver of what happens from now on.
    #[must_use]
    pub fn wakeups(&self) -> Wakeups {
        Wakeups(self.0.subscribe())
    }
}

impl Wakeups {
    /// Waits until `of` gives another number than it gave for `seen`, and gives it back. Never returns once the
    /// store is gone: whoever waits also polls.
    pub async fn changed(&mut self, of: impl Fn(&Marks) -> u64, seen: u64) -> u64 {
        let marks = self.0.wait_for(|marks| of(marks) != seen).await.map(|marks| *marks);
        match marks {
            Ok(marks) => of(&marks),
            Err(_) => std::future::pending().await,
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn marks(&self) -> Marks {
        *self.0.borrow()
    }
}
