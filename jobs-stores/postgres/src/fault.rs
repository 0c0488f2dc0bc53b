//! What goes wrong in a database, and how the contract calls it.

use jobs_core::StoreError;
use sqlx::{Error, postgres::PgDatabaseError};

/// What one step of the store returns.
pub(crate) type Done<T> = Result<T, Fault>;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What Postgres, or the way to it, says.
    #[error(transparent)]
    Sql(#[from] Error),
    /// A record that cannot be read or written.
    #[error("a record is not what this version writes: {0}")]
    Record(#[from] serde_json::Error),
    /// A row that has to be there, and is not.
    #[error("a record is missing: {0}")]
    Missing(&'static str),
    /// The deadline of the call has passed.
    #[error("no answer within {0} ms")]
    Late(u128),
    /// The connection was lost while a transaction was committed: it was done, or not. Done again by itself, some
    /// operations would be answered otherwise, so whoever asked has to know.
    #[error("the connection was lost in a commit, which was done or not")]
    Unsure,
    /// The operation has to hold its namespace alone.
    #[error("the operation has to hold its namespace alone")]
    Alone,
    /// What the contract has a name for already.
    #[error(transparent)]
    Told(#[from] StoreError),
}

impl Fault {
    fn database(&self) -> Option<&PgDatabaseError> {
        match self {
            Self::Sql(Error::Database(error)) => error.try_downcast_ref(),
            _ => None,
        }
    }

    /// The SQLSTATE, if it is an error of the server.
    pub(crate) fn code(&self) -> Option<&str> {
        self.database().map(PgDatabaseError::code)
    }

    /// Whether the same may go through at the next attempt: two transactions were in each other's way.
    pub(crate) fn is_conflict(&self) -> bool {
        // Deadlock, serialization failure, a row that another transaction has inserted meanwhile.
        matches!(self.code(), Some("40P01" | "40001" | "23505"))
    }

    /// Whether what was asked for is not there: somebody has dropped the schema, or has put an older one in its place.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.code(), Some("3F000" | "42P01" | "42883" | "42704" | "42703"))
    }

    /// Whether the connection is of no use any more, or there is none.
    pub(crate) fn is_disconnected(&self) -> bool {
        match self {
            Self::Sql(Error::Io(_) | Error::PoolTimedOut | Error::WorkerCrashed | Error::Protocol(_))
            | Self::Late(_) => true,
            Self::Sql(Error::Database(_)) => self.code().is_some_and(is_gone),
            _ => false,
        }
    }

    /// The same, of a commit.
    pub(crate) fn of_commit(self) -> Self {
        if self.is_disconnected() { Self::Unsure } else { self }
    }

    /// The same as the contract calls it. `location`: the server and the schema, without a password.
    pub(crate) fn told(self, location: &str) -> StoreError {
        let code = self.code().map(str::to_owned);
        let message = match self {
            Self::Told(error) => return error,
            Self::Late(_) | Self::Unsure => return unreachable(location, &self.to_string()),
            Self::Sql(Error::Database(ref error)) => error.message().to_owned(),
            Self::Sql(Error::PoolClosed) => {
                return StoreError::Backend("the pool of connections is closed".into());
            }
            Self::Sql(Error::PoolTimedOut) => {
                return unreachable(location, "no connection was free or could be made in time");
            }
            Self::Sql(Error::Io(ref error)) => return unreachable(location, &error.to_string()),
            Self::Sql(Error::Tls(ref error)) => {
                return unreachable(location, &format!("no TLS connection: {error}"));
            }
            Self::Sql(Error::Protocol(_) | Error::WorkerCrashed) => {
                return unreachable(location, "the connection was lost");
            }
            other => return StoreError::Backend(format!("{location}: {other}").into()),
        };
        by_code(&code.unwrap_or_default(), location, message)
    }
}

/// What an error of the server means.
fn by_code(code: &str, location: &str, message: String) -> StoreError {
    let location = location.to_owned();
    match code {
        "53100" | "53200" => StoreError::Full { message: format!("{location}: {message}") },
        // Read-only transactions: a standby, or `default_transaction_read_only`.
        "25006" => StoreError::ReadOnly {
            location,
            message: format!(
                "{message}; connect to the primary, or turn `default_transaction_read_only` off"
            ),
        },
        "42501" => StoreError::ReadOnly { location, message: format!("{message}; {GRANTS}") },
        "28P01" | "28000" | "3D000" => {
            let message = format!("{message}; check the user, the password and the database");
            StoreError::BadUrl { url: location, message }
        }
        "57014" | "55P03" | "25P03" | "53300" => unreachable(&location, &message),
        code if is_gone(code) => unreachable(&location, &message),
        // A value that is too long, that the encoding or the type cannot express, or that a constraint does not allow.
        code if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Refused { message: format!("{location}: {message} (SQLSTATE {code})") }
        }
        _ => StoreError::Backend(format!("{location}: {message} (SQLSTATE {code})").into()),
    }
}

/// What a role needs that uses a schema which another one has made.
const GRANTS: &str = "grant the role what it needs: USAGE on the schema (CREATE on the database to make it), \
                      SELECT, INSERT, UPDATE and DELETE on its tables, USAGE on its sequences";

fn unreachable(location: &str, message: &str) -> StoreError {
    StoreError::Unreachable { message: format!("{location}: {message}") }
}

/// The server goes down or comes up, or the connection was ended.
fn is_gone(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03") || code.starts_with("08")
}
