//! What a query finds, on its way to the store: while one call stores, what is found meanwhile is collected for the next.
//! So a query does not wait at each thousand items for a store that is far away.

use std::sync::Mutex;

use jobs_core::{
    Body, BoxError, BoxFuture,
    descriptor::{BlockingDrain, Sink},
};
use tokio::sync::{Notify, mpsc};

use crate::{
    appends::Appends,
    batch::{Batch, fitting},
    lock::lock,
};

/// The most bodies that go into one call. As many are kept while it is under way.
const MOST: usize = 64;
/// The most bytes that do, unless a single body has more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What was found and not stored.
#[derive(Debug, Default)]
pub(crate) struct Found {
    waiting: Mutex<Waiting>,
    came: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bodies: Vec<Body>,
    is_all: bool,
}

impl Waiting {
    /// How many of the first `most` bodies go into one call.
    fn fitting(&self, most: usize) -> usize {
        let sizes = self.bodies.iter().take(most).map(|body| body.as_bytes().len());
        fitting(sizes, MOST_BYTES).max(1)
    }
}

impl Found {
    /// Where the query puts what it finds.
    pub(crate) fn sink<'a>(&'a self, appends: &'a Appends) -> FoundSink<'a> {
        FoundSink { found: self, appends }
    }

    /// The query has found all: it waits for the store from here on.
    pub(crate) fn finish(&self, appends: &Appends) {
        appends.wait_begins();
        lock(&self.waiting).is_all = true;
        self.came.notify_one();
    }

    /// What goes with the last call.
    pub(crate) fn take_rest(&self) -> Vec<Body> {
        std::mem::take(&mut lock(&self.waiting).bodies)
    }

    /// Stores what comes, until the rest goes into one call.
    pub(crate) async fn store(&self, appends: &Appends) -> Result<(), BoxError> {
        let (env, mut batch) = (appends.node.env.clone(), Batch::of_at_most(MOST));
        while let Some(bodies) = self.next(batch.size()).await {
            let (count, began) = (bodies.len(), env.uptime());
            appends.append(bodies, None, false).await?;
            batch.took(count, env.uptime().saturating_sub(began));
        }
        Ok(())
    }

    /// The next bodies, at most `most`; none when all is found and the rest fits into the last call. Until then one body is
    /// kept back, so that a small result is one call.
    async fn next(&self, most: usize) -> Option<Vec<Body>> {
        loop {
            let came = self.came.notified();
            {
                let mut waiting = lock(&self.waiting);
                let fitting = waiting.fitting(most);
                let kept = if waiting.is_all { fitting } else { 1 };
                if waiting.bodies.len() > kept {
                    let n = fitting.min(waiting.bodies.len() - 1);
                    let next = waiting.bodies.drain(..n).collect();
                    drop(waiting);
                    self.taken.notify_one();
                    return Some(next);
                }
                if waiting.is_all {
                    return None;
                }
            }
            came.await;
        }
    }

    /// Takes a body, if there is room.
    fn take(&self, body: Body) -> Result<(), Body> {
        let mut waiting = lock(&self.waiting);
        if waiting.bodies.len() > waiting.fitting(MOST) {
            return Err(body);
        }
        waiting.bodies.push(body);
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }
}

/// Where a query puts what it finds.
pub(crate) struct FoundSink<'a> {
    found: &'a Found,
    appends: &'a Appends,
}

impl FoundSink<'_> {
    /// Puts a body with the others; waits for the store if there are too many.
    async fn put(&self, mut body: Body) {
        loop {
            let taken = self.found.taken.notified();
            match self.found.take(body) {
                Ok(()) => return,
                Err(refused) => body = refused,
            }
            self.appends.wait_begins();
            taken.await;
            self.appends.wait_ends();
        }
    }
}

impl Sink for FoundSink<'_> {
    fn push(&mut self, body: Body) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            self.put(body).await;
            Ok(())
        })
    }

    fn push_blocking(&mut self, drain: BlockingDrain) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let appends = self.appends;
            let env = appends.node.env.clone();
            if env.is_virtual() {
                let mut found = Vec::new();
                drain(&mut |body| {
                    found.push(body);
                    Ok(())
                })?;
                for body in found {
                    self.put(body).await;
                }
                return Ok(());
            }
            let (sender, mut receiver) = mpsc::channel(1);
            let blocks = appends.blocks();
            let blocking = env.blocking(move || {
                let _blocks = blocks;
                drain(&mut |body| sender.blocking_send(body).map_err(|_| "the query was broken off".into()))
            });
            let mut blocking = std::pin::pin!(blocking);
            let result = loop {
                tokio::select! {
                    biased;
                    Some(body) = receiver.recv() => self.put(body).await,
                    result = &mut blocking => break result,
                }
            };
            while let Ok(body) = receiver.try_recv() {
                self.put(body).await;
            }
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
