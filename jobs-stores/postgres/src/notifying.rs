//! News between processes: `NOTIFY` when something was stored, `LISTEN` on a connection of its own. A hint: whoever hears
//! nothing looks now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use jobs_core::Marks;
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    raw_sql,
};
use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    connection::key,
    space::{Spaces, lock},
};

/// After one `NOTIFY`, what happens is collected for so long: each is a commit, and all of them wait for one lock.
const COLLECT: Duration = Duration::from_millis(50);
/// So long after a connection was lost, or could not be made, the next is tried.
const AGAIN: Duration = Duration::from_secs(1);

/// Tells other processes, and hears from them.
#[derive(Debug)]
pub(crate) struct Notifier {
    pool: PgPool,
    channel: String,
    /// What tells its own news from those of others.
    origin: u64,
    pending: Mutex<Pending>,
    listener: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Pending {
    marks: BTreeMap<String, Marks>,
    /// Whether somebody sends.
    sending: bool,
}

impl Notifier {
    pub(crate) fn new(pool: PgPool, schema: &str) -> Self {
        let channel = format!("jobs_{:08x}", key(&[schema.as_bytes()]));
        let (pending, listener) = (Mutex::default(), Mutex::default());
        Self { pool, channel, origin: fastrand::u64(..), pending, listener }
    }

    /// Tells others that so much has happened in a namespace: at once, or with what happens in the next moment.
    pub(crate) fn tell(self: &Arc<Self>, namespace: &str, marks: Marks) {
        if marks == Marks::default() {
            return;
        }
        let mut pending = lock(&self.pending);
        let of = pending.marks.entry(namespace.to_owned()).or_default();
        of.work += marks.work;
        of.runs += marks.runs;
        of.control += marks.control;
        if !std::mem::replace(&mut pending.sending, true) {
            tokio::spawn(self.clone().send_all());
        }
    }

    async fn send_all(self: Arc<Self>) {
        loop {
            let news = {
                let mut pending = lock(&self.pending);
                if pending.marks.is_empty() {
                    pending.sending = false;
                    return;
                }
                std::mem::take(&mut pending.marks)
            };
            for (namespace, marks) in news {
                let payload = written(self.origin, &namespace, marks).replace('\'', "''");
                let notify = format!("SELECT pg_notify('{}', '{payload}')", self.channel);
                // Whoever does not hear of it looks by himself.
                let _lost = raw_sql(AssertSqlSafe(notify)).execute(&self.pool).await;
            }
            tokio::time::sleep(COLLECT).await;
        }
    }

    /// Listens from now on, unless it does already.
    pub(crate) fn listen(self: &Arc<Self>, spaces: &Arc<Spaces>) {
        let mut listener = lock(&self.listener);
        let Ok(runtime) = Handle::try_current() else { return };
        if listener.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let connect = (*self.pool.connect_options()).clone();
        let (channel, origin) = (self.channel.clone(), self.origin);
        let task = runtime.spawn(hear(connect, channel, origin, Arc::downgrade(spaces)));
        *listener = Some(task.abort_handle());
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.listener).take() {
            task.abort();
        }
    }
}

/// Listens until nobody is left who could wait.
async fn hear(connect: PgConnectOptions, channel: String, origin: u64, spaces: Weak<Spaces>) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(connect);
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(&channel).await.is_ok()
        {
            // What happened before is known to nobody.
            let Some(of) = spaces.upgrade() else { return };
            of.raise_all();
            drop(of);
            while let Ok(Some(news)) = listener.try_recv().await {
                let Some(spaces) = spaces.upgrade() else { return };
                match read(news.payload()) {
                    Some((from, ..)) if from == origin => {}
                    Some((_, namespace, marks)) => {
                        if let Some(space) = spaces.known(namespace) {
                            space.raise(marks);
                        }
                    }
                    None => spaces.raise_all(),
                }
            }
        }
        if spaces.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn written(origin: u64, namespace: &str, Marks { work, runs, control }: Marks) -> String {
    let bits = u8::from(work > 0) | u8::from(runs > 0) << 1 | u8::from(control > 0) << 2;
    format!("{origin} {bits} {namespace}")
}

fn read(payload: &str) -> Option<(u64, &str, Marks)> {
    let (origin, rest) = payload.split_once(' ')?;
    let (bits, namespace) = rest.split_once(' ')?;
    let bits: u64 = bits.parse().ok()?;
    let marks = Marks { work: bits & 1, runs: bits >> 1 & 1, control: bits >> 2 & 1 };
    Some((origin.parse().ok()?, namespace, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_they_were_written() {
        for marks in [Marks { work: 1, runs: 0, control: 1 }, Marks { work: 0, runs: 1, control: 0 }] {
            assert_eq!(read(&written(7, "a b", marks)), Some((7, "a b", marks)));
        }
        assert_eq!(read("of another version"), None);
    }
}
