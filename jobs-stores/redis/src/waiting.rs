//! Keeping a paused clock from jumping while an operation is under way.
//!
//! A test whose clock is paused (`tokio::time::pause`) has its time jump when all tasks are idle, and a task that waits
//! for a server looks idle. An open blocking task keeps time from jumping. So with the feature `testing`, which
//! `jobs-runner` turns on with its own feature of that name, and only on a runtime of one thread, which alone can have a
//! paused clock, a blocking task waits along. A program that is built without the feature pays nothing.

/// An operation is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    #[cfg(feature = "testing")]
    _held: Option<std::sync::mpsc::Sender<()>>,
}

impl UnderWay {
    /// Begins. The blocking task is there when this returns: a future that nobody has polled yet waits too.
    #[cfg(not(feature = "testing"))]
    pub(crate) fn begin() -> Self {
        Self {}
    }

    /// Begins. The blocking task is there when this returns: a future that nobody has polled yet waits too.
    #[cfg(feature = "testing")]
    pub(crate) fn begin() -> Self {
        use tokio::runtime::{Handle, RuntimeFlavor};

        let runtime = Handle::try_current().ok();
        let runtime = runtime.filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
        let held = runtime.map(|runtime| {
            let (held, released) = std::sync::mpsc::channel::<()>();
            runtime.spawn_blocking(move || released.recv());
            held
        });
        Self { _held: held }
    }
}
