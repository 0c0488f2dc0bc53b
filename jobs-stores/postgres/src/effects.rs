//! Effects that happen exactly once: what a handler writes into the same database, in a transaction of its own.
//!
//! The transaction inserts a row that names the item, and so becomes the one place where it is decided whether the item
//! was worked on: of two that try, the second waits for the first and then finds its row. Nothing is updated or locked
//! that others write. The row is honoured wherever an item would come back: whatever became of its attempt, an item whose
//! row is there is done. It stays for a day after its lease is gone, for a handler that was stopped in between.

use jobs_core::{JobContext, StoreError};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{fault::Done, store::PostgresStore};

/// Whether an effect is to happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only `First` may go on"]
#[non_exhaustive]
pub enum Once {
    /// It has not happened: write it, and commit.
    First,
    /// It was committed by an attempt before this one, which did not live to say so: return `Ok`.
    Before,
    /// The lease is lost, and the item another's: write nothing. What the handler returns is not looked at.
    Lost,
}

/// Effects that happen exactly once, on the database that the store is in.
///
/// ```no_run
/// # use jobs_core::{BoxError, JobContext};
/// use jobs_postgres::{Once, OnceIn, PostgresStore};
///
/// async fn charge(cx: &JobContext, store: &PostgresStore, pool: &sqlx::PgPool) -> Result<(), BoxError> {
///     let mut transaction = pool.begin().await?;
///     if cx.once_in(store, &mut transaction).await? == Once::First {
///         sqlx::query("UPDATE account SET balance = balance - 1").execute(&mut *transaction).await?;
///         transaction.commit().await?;
///     }
///     Ok(())
/// }
/// ```
pub trait OnceIn {
    /// Records in a transaction that its commit is the effect of this item, if that has not happened before. Another
    /// attempt of the item that does the same waits for the end of this transaction, so keep it short.
    ///
    /// The role needs `SELECT` on the table `lease` and `INSERT` on the table `effect` of the store's schema.
    ///
    /// # Errors
    /// What the database says; the transaction is then of no use any more.
    fn once_in(
        &self,
        store: &PostgresStore,
        transaction: &mut PgConnection,
    ) -> impl Future<Output = Result<Once, StoreError>> + Send;
}

impl OnceIn for JobContext {
    async fn once_in(
        &self,
        store: &PostgresStore,
        transaction: &mut PgConnection,
    ) -> Result<Once, StoreError> {
        let recorded = record(self, store.schema(), transaction).await;
        recorded.map_err(|fault| fault.told(store.location()))
    }
}

async fn record(cx: &JobContext, schema: &str, transaction: &mut PgConnection) -> Done<Once> {
    let (item, token) = (cx.item_id(), cx.token().cast_signed());
    let (number, n) = (item.number().cast_signed(), item.n().cast_signed());
    // The schema's name was checked when the store was opened.
    let insert = format!(
        "INSERT INTO \"{schema}\".effect (number, item, token, at)
         SELECT $1, $2, $3, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
         FROM \"{schema}\".lease WHERE token = $3 ON CONFLICT DO NOTHING"
    );
    let insert = sqlx::query(AssertSqlSafe(insert)).persistent(false).bind(number).bind(n).bind(token);
    if insert.execute(&mut *transaction).await?.rows_affected() > 0 {
        return Ok(Once::First);
    }
    let find = format!("SELECT FROM \"{schema}\".effect WHERE number = $1 AND item = $2");
    let find = sqlx::query(AssertSqlSafe(find)).persistent(false).bind(number).bind(n);
    Ok(if find.fetch_optional(transaction).await?.is_some() { Once::Before } else { Once::Lost })
}
