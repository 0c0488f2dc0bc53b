//! News of what others do, by a connection of its own: a hint, for whoever waits looks again by itself now and then.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_core::Stream;
use redis::{Client, RedisResult, aio::PubSubSink};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::space::Spaces;

/// So long after a connection was lost a new one is tried, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So often a connection that nothing is heard of is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);

/// What listens; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    task: JoinHandle<()>,
    hears: Arc<AtomicBool>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Listens for all namespaces of a store; nothing outside of a runtime.
    pub(crate) fn start(client: Client, spaces: Arc<Spaces>, deadline: Duration) -> Option<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let hears = Arc::new(AtomicBool::new(false));
        let task = runtime.spawn(listen(client, spaces, deadline, hears.clone()));
        Some(Self { task, hears })
    }

    /// Whether it hears what is published, what this process publishes included.
    pub(crate) fn hears(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }
}

async fn listen(client: Client, spaces: Arc<Spaces>, deadline: Duration, hears: Arc<AtomicBool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Why it ended is told by the operations, which use the same server.
        let _lost = hear(&client, &spaces, deadline, &hears, &mut pause).await;
        hears.store(false, Ordering::Relaxed);
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Listens by one connection, until it is lost.
async fn hear(
    client: &Client,
    spaces: &Spaces,
    deadline: Duration,
    hears: &AtomicBool,
    pause: &mut Duration,
) -> RedisResult<()> {
    let connecting = timeout(deadline, client.get_async_pubsub());
    let (mut sink, stream) = connecting.await.map_err(|_| late())??.split();
    let mut stream = pin!(stream);
    subscribe(&mut sink, spaces, deadline).await?;
    hears.store(true, Ordering::Relaxed);
    *pause = FIRST_PAUSE;
    // What happened before was not heard.
    spaces.raise_all();
    loop {
        tokio::select! {
            biased;
            message = poll_fn(|cx| stream.as_mut().poll_next(cx)) => {
                let Some(message) = message else { return Ok(()) };
                let told = String::from_utf8_lossy(message.get_payload_bytes()).into_owned();
                spaces.heard(message.get_channel_name(), &told);
            }
            () = spaces.added.notified() => subscribe(&mut sink, spaces, deadline).await?,
            () = sleep(SILENCE) => {
                timeout(deadline, sink.ping_message::<redis::Value>("")).await.map_err(|_| late())??;
            }
        }
    }
}

async fn subscribe(sink: &mut PubSubSink, spaces: &Spaces, deadline: Duration) -> RedisResult<()> {
    timeout(deadline, sink.subscribe(spaces.channels())).await.map_err(|_| late())?
}

fn late() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
