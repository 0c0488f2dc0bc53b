//! One operation: a command, its answer, and how long that may take.

use std::{sync::OnceLock, time::Duration};

use jobs_core::{BoxError, Millis, Reply, StoreError};
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::time::timeout;

use crate::{
    checks::{self, Limits},
    fault,
    reply::{List, Read},
    script::Script,
    server::Server,
    waiting::UnderWay,
};

/// A server, as operations use it.
pub(crate) struct Wire {
    pub(crate) server: Server,
    /// The server as it may be shown.
    pub(crate) place: String,
    pub(crate) deadline: Duration,
    /// What the server takes at once; until that is known, what servers take as a rule.
    pub(crate) limits: OnceLock<Limits>,
}

/// What is sent to a script.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) script: &'static Script,
    /// The key of the namespace.
    pub(crate) key: String,
    pub(crate) offset: i64,
    /// The request as JSON.
    pub(crate) request: String,
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Whether it changes nothing if it is done again.
    pub(crate) repeatable: bool,
}

/// What a script answered: its value, and what is to be told to those who wait.
pub(crate) struct Answered<T> {
    pub(crate) reply: Reply<T>,
    pub(crate) marks: String,
}

/// A call of so many bytes may be what a server has no room for, while it has room for others.
const LARGE: usize = 1 << 20;

impl Call {
    /// The lengths of what is sent.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.request.len()).chain(self.blobs.iter().map(Vec::len))
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(1).arg(&self.key).arg(self.offset).arg(&self.request);
        for blob in &self.blobs {
            command.arg(blob);
        }
        command
    }
}

impl Wire {
    /// Does an operation, and reads its answer.
    pub(crate) async fn run<T>(
        &self,
        call: Call,
        under_way: UnderWay,
        read: impl FnOnce(List) -> Read<T>,
    ) -> Result<Answered<T>, StoreError> {
        let _under_way = under_way;
        let limits = self.limits.get().copied().unwrap_or_default();
        limits.check(call.lengths()).map_err(|error| self.refused(&error))?;
        let mut answer = self.within_deadline(self.eval(&call)).await;
        if let Err(StoreError::Full { message }) = &answer
            && call.lengths().sum::<usize>() >= LARGE
            && !checks::is_full(self).await
        {
            answer = Err(self.refused(&format!("{message}; it has room for smaller ones")));
        }
        let unreadable = |error: BoxError| StoreError::Backend(format!("{}: {error}", self.place).into());
        let answered = |value| {
            let mut answer = List::of(value)?;
            let (now, marks) = (Millis(answer.number()?), answer.text()?);
            Ok(Answered { reply: Reply { now, value: read(answer.list()?)? }, marks })
        };
        answered(answer?).map_err(unreadable)
    }

    fn refused(&self, why: &str) -> StoreError {
        StoreError::Refused { message: format!("{}: {why}", self.place) }
    }

    /// Does one command that is no script.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, StoreError> {
        let _under_way = UnderWay::begin();
        self.within_deadline(self.server.send(command)).await
    }

    /// Runs a script by its hash, and sends it whole to a server that does not know it: no flush of the scripts comes
    /// between.
    async fn eval(&self, call: &Call) -> RedisResult<Value> {
        let script = call.script;
        let by_hash = call.command("EVALSHA", &script.hash);
        let mut answer = self.server.send(&by_hash).await;
        // A connection that was idle may have been closed since. What was done all the same changes nothing now.
        if call.repeatable && answer.as_ref().is_err_and(RedisError::is_connection_dropped) {
            answer = self.server.send(&by_hash).await;
        }
        match answer {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.server.send(&call.command("EVAL", &script.text)).await
            }
            answer => answer,
        }
    }

    /// Waits for an answer, but not for ever.
    async fn within_deadline(
        &self,
        answer: impl Future<Output = RedisResult<Value>>,
    ) -> Result<Value, StoreError> {
        let number = self.server.number();
        match timeout(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|error| fault::told(&error, &self.place)),
            Err(_) => {
                // It may have been lost without a word.
                self.server.renew(number);
                let span = jobs_schedule::duration::format(self.deadline);
                let message = format!("{}: no answer within {span}", self.place);
                Err(StoreError::Unreachable { message })
            }
        }
    }
}
