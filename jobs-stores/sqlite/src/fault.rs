//! What goes wrong in a file of SQLite, and how the contract calls it.

use std::path::Path;

use jobs_core::StoreError;
use rusqlite::{Error, ErrorCode};

use crate::access;

/// What one step of the store returns.
pub(crate) type Done<T> = Result<T, Fault>;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What SQLite says.
    #[error(transparent)]
    Sql(#[from] Error),
    /// A record that cannot be read or written.
    #[error("a record is not what this version writes: {0}")]
    Record(#[from] serde_json::Error),
    /// What the contract has a name for already.
    #[error(transparent)]
    Told(#[from] StoreError),
}

impl Fault {
    /// The code of SQLite, if it is one of its errors.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Whether another process is in the way for the moment.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
        )
    }

    /// The same as the contract calls it.
    pub(crate) fn told(self, path: &Path) -> StoreError {
        let location = path.display().to_string();
        let code = self.code();
        let message = match self {
            Self::Told(error) => return error,
            Self::Sql(error) => error.to_string(),
            other => return StoreError::Backend(format!("{location}: {other}").into()),
        };
        match code {
            Some(ErrorCode::DiskFull) => StoreError::Full { message: format!("{location}: {message}") },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                access::explain(path).unwrap_or(StoreError::ReadOnly { location, message })
            }
            Some(ErrorCode::NotADatabase) => {
                StoreError::Foreign { location, message: "it is no database of SQLite".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Backend(
                format!("{location} is damaged ({message}); restore it from a backup, or move it away to begin anew")
                    .into(),
            ),
            Some(ErrorCode::CannotOpen) => access::explain(path).unwrap_or_else(|| StoreError::Unreachable {
                message: format!("{location} cannot be opened ({message})"),
            }),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Unreachable { message: format!("{location} is locked by another process ({message})") }
            }
            Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                StoreError::Refused { message: format!("{location}: {message}") }
            }
            _ => StoreError::Backend(format!("{location}: {message}").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn told(code: std::ffi::c_int) -> StoreError {
        let error = Error::SqliteFailure(ffi::Error::new(code), Some("it says so".to_owned()));
        Fault::from(error).told(Path::new("/there/jobs.db"))
    }

    #[test]
    fn what_sqlite_does_not_take_is_refused_and_no_outage() {
        for code in [ffi::SQLITE_TOOBIG, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH] {
            assert!(matches!(told(code), StoreError::Refused { .. }), "{:?}", told(code));
        }
        assert!(matches!(told(ffi::SQLITE_BUSY), StoreError::Unreachable { .. }));
        assert!(matches!(told(ffi::SQLITE_FULL), StoreError::Full { .. }));
    }
}
