//! The thread that owns the connection that only reads.

use std::sync::mpsc::Receiver;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::{
    connection::{Opened, open_reader},
    fault::Done,
    operation::Read,
    options::SqliteOptions,
    reading::Snapshot,
    schema,
};

pub(crate) type Question = Box<dyn Read>;

pub(crate) struct Reader {
    options: SqliteOptions,
    opened: Opened,
}

impl Reader {
    pub(crate) fn open(options: SqliteOptions) -> Done<Self> {
        let opened = open_reader(&options)?;
        Ok(Self { options, opened })
    }

    /// Works until nobody is left who could ask something.
    pub(crate) fn work(mut self, questions: &Receiver<Question>) {
        while let Ok(question) = questions.recv() {
            self.answer(question);
        }
    }

    fn answer(&mut self, question: Question) {
        if let Err(fault) = self.reopen_if_replaced() {
            return question.run(Err(fault.told(&self.options.path)));
        }
        let Self { options, opened: Opened { conn, .. } } = self;
        let path = &*options.path;
        // All that one question looks at is of one moment.
        let transaction = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Deferred);
        let looking = transaction.map_err(Into::into).and_then(|transaction: rusqlite::Transaction<'_>| {
            schema::is_known(&transaction)?;
            Ok((namespace(&transaction, &question.space().name)?, transaction))
        });
        match looking {
            Ok((ns, transaction)) => {
                let now = question.now();
                question.run(Ok(Snapshot { conn: &transaction, path, ns, now }));
                // It has written nothing, so it makes no difference how it ends.
                drop(transaction);
            }
            Err(fault) => question.run(Err(crate::fault::Fault::told(fault, path))),
        }
    }

    fn reopen_if_replaced(&mut self) -> Done<()> {
        if self.opened.place.is_replaced() {
            self.opened = open_reader(&self.options)?;
        }
        self.opened.place.check()
    }
}

fn namespace(conn: &Connection, name: &str) -> Done<Option<i64>> {
    let mut select = conn.prepare_cached("SELECT id FROM namespace WHERE name = ?1")?;
    Ok(select.query_row([name], |row| row.get(0)).optional()?)
}
